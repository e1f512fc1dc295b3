#include "coordinator/core/trials.h"

#include <algorithm>

namespace imgfleet::core {
namespace {

// Deaths of so long before and after are one: nobody may be told of a machine's end before its connections time out.
constexpr absl::Duration kTogetherBefore = absl::Seconds(5);
constexpr absl::Duration kTogetherAfter = absl::Seconds(15);
// How long those that left are remembered: longer than a lease is in question.
constexpr absl::Duration kRemembered = absl::Minutes(5);
// A worker whose leases do not run out for so long is no good for a trial; after a trial that goes on for so long, another
// may begin.
constexpr absl::Duration kPatience = absl::Minutes(2);
// Other work has one worker's time for so long at most before it is set aside again.
constexpr absl::Duration kLongestRest = absl::Minutes(1);

}  // namespace

void Muster::Came(const std::string& worker, absl::Time now) {
  const auto [at, fresh] = workers_.try_emplace(worker, Worker{now});
  if (!fresh) at->second = Worker{at->second.came};
}

void Muster::Left(const std::string& worker, absl::Time now, Way how) {
  std::erase_if(workers_, [&](const auto& known) { return known.second.left + kRemembered < now; });
  const auto at = workers_.find(worker);
  if (at == workers_.end()) return;
  if (how == Way::kInPeace) {
    workers_.erase(at);
  } else if (at->second.left == absl::InfiniteFuture()) {
    at->second.left = now;
    at->second.on_trial = how == Way::kOnTrial;
  }
}

Muster::Death Muster::HowDied(const std::string& worker, absl::Time lapsed) const {
  const auto dead = workers_.find(worker);
  if (dead == workers_.end()) return Death::kUnknown;
  const absl::Time died = std::min(dead->second.left, lapsed);
  const absl::Time before = died - kTogetherBefore;
  bool others = false;
  for (const auto& [name, other] : workers_) {
    if (name == worker || other.on_trial || other.came > before || other.left < before) continue;
    if (other.left > died + kTogetherAfter) return Death::kAlone;
    others = true;
  }
  return others ? Death::kWithOthers : Death::kAlone;
}

size_t Muster::workers() const {
  return static_cast<size_t>(std::count_if(workers_.begin(), workers_.end(), [](const auto& known) {
    return known.second.left == absl::InfiniteFuture();
  }));
}

void Trials::End(std::map<std::string, Trial>::iterator trial, size_t workers, absl::Time now) {
  if (trial->second.set_aside && workers <= 1) {
    rest_until_ = now + std::clamp(now - trial->second.since, absl::Seconds(1), kLongestRest);
  }
  under_way_.erase(trial);
}

void Trials::Asks(const std::string& worker, size_t workers, absl::Time now) {
  std::erase_if(under_way_, [&](const auto& known) { return known.second.since + kPatience < now; });
  const auto trial = under_way_.find(worker);
  if (trial != under_way_.end() && !trial->second.awaits) End(trial, workers, now);
}

void Trials::Left(const std::string& worker, size_t workers, absl::Time now) {
  const auto trial = under_way_.find(worker);
  if (trial != under_way_.end()) End(trial, workers, now);
}

bool Trials::OnTrial(const std::string& worker) const {
  const auto trial = under_way_.find(worker);
  return trial != under_way_.end() && !trial->second.awaits;
}

std::optional<ShardKey> Trials::Awaits(const std::string& worker) const {
  const auto trial = under_way_.find(worker);
  return trial == under_way_.end() ? std::nullopt : trial->second.awaits;
}

bool Trials::MayTry(size_t workers) const { return under_way_.size() < std::max<size_t>(workers / 2, 1); }

void Trials::SetAside(const std::string& worker, const ShardKey& shard, absl::Time now) {
  under_way_[worker] = {shard, true, now};
}

void Trials::Begins(const std::string& worker, absl::Time now) {
  Trial& trial = under_way_.try_emplace(worker, Trial{{}, false, now}).first->second;
  trial.awaits = std::nullopt;
}

}  // namespace imgfleet::core
