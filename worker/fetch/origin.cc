#include "worker/fetch/origin.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace imgfleet::fetch {

void Origin::UseAddress(size_t index) {
  address = index % addresses.size();
  const bool v6 = absl::StrContains(host, ':');
  const std::string base =
      absl::StrCat(https ? "https://" : "http://", v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
  route = std::make_shared<Route>(base, addresses[address], connect_port, http2);
}

Origin* Origins::Get(const http::Target& target, absl::Time now) {
  key_.assign(target.https ? "https://" : "http://");
  absl::StrAppend(&key_, target.host, ":", target.port);
  std::unique_ptr<Origin>& origin = origins_[key_];
  if (origin == nullptr) {
    const bool exempt = options_->exempt_hosts.contains(target.host);
    origin = std::make_unique<Origin>(target, budgets_->Get(key_, exempt, now), wake_);
  }
  origin->used = now;
  return origin.get();
}

void Origins::Sweep(absl::Time now) {
  if (origins_.size() < sweep_at_) return;
  for (const absl::Duration unused : {absl::Seconds(10), absl::Seconds(1), absl::ZeroDuration()}) {
    Forget(now - unused);
    if (origins_.size() <= kMaxIdle) break;
  }
  sweep_at_ = std::max(kSweepFrom, origins_.size() * 5 / 4);
}

void Origins::Forget(absl::Time unused_since) {
  absl::erase_if(origins_, [unused_since](const auto& entry) {
    const Origin& origin = *entry.second;
    return origin.queue.empty() && origin.in_flight == 0 && !origin.listed && !origin.hurried &&
           !origin.in_full && !origin.resolving && origin.blocked_until < unused_since &&
           origin.used <= unused_since;
  });
}

}  // namespace imgfleet::fetch
