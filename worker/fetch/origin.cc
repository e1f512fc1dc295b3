#include "worker/fetch/origin.h"

#include <algorithm>

namespace imgfleet::fetch {

Origin* Origins::Get(const Target& target, absl::Time now) {
  key_.assign(target.host);
  key_.push_back(target.https ? 's' : 'p');
  key_.push_back(static_cast<char>(target.port >> 8));
  key_.push_back(static_cast<char>(target.port & 0xff));
  std::unique_ptr<Origin>& origin = origins_[key_];
  if (origin == nullptr) {
    origin = std::make_unique<Origin>(target, budgets_->Get(key_, /*exempt=*/false, now), wake_);
  }
  origin->used = now;
  return origin.get();
}

void Origins::Sweep(absl::Time now) {
  if (origins_.size() < sweep_at_) return;
  absl::erase_if(origins_, [now](const auto& entry) {
    const Origin& origin = *entry.second;
    return origin.queue.empty() && origin.in_flight == 0 && !origin.listed && !origin.in_full &&
           !origin.resolving && origin.blocked_until < now && origin.used < now - absl::Seconds(10);
  });
  sweep_at_ = std::max<size_t>(4096, origins_.size() + 1024);
}

}  // namespace imgfleet::fetch
