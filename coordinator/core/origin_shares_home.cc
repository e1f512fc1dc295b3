// The side of OriginShares that origin_homes.h sees.
#include <algorithm>
#include <utility>

#include "coordinator/core/origin_shares.h"

namespace imgfleet::core {

bool OriginShares::AnyWaits(const Origin& origin) {
  return std::any_of(origin.users.begin(), origin.users.end(),
                     [](const auto& entry) { return entry.second.use.waiting > 0; });
}

// What one worker may have that has all that there is here.
uint32_t OriginShares::All(const Origin& origin) {
  if (origin.home.share == OriginHome::kAll) return origin.limit.concurrency;
  const uint64_t part = uint64_t{origin.growth.size()} * origin.home.share / OriginHome::kAll;
  return std::min(origin.limit.concurrency, static_cast<uint32_t>(std::max<uint64_t>(part, 1)));
}

uint64_t OriginShares::AllMayUse(const Origin& origin, absl::Time now) {
  uint64_t sum = 0;
  for (const auto& [name, user] : origin.users) sum += MayUse(user, now);
  return sum;
}

bool OriginShares::Settled(const Origin& origin, absl::Time now) const {
  if (origin.home.share == OriginHome::kAll) return true;
  const uint64_t may_use = AllMayUse(origin, now);
  if (origin.home.share == 0) return may_use == 0;
  // Each that uses a part has one at least.
  return may_use <= std::max<uint64_t>(All(origin), origin.users.size());
}

// Nobody has anything. Whoever has asked in its turn is the last in the line when there is one again.
std::map<std::string, uint32_t> OriginShares::Withhold(Origin& origin, absl::Time now) {
  std::map<std::string, uint32_t> targets;
  for (auto& [name, user] : origin.users) {
    targets[name] = 0;
    if (MayUse(user, now) > 0) continue;
    user.begun = 0;
    if (name != origin.holder) continue;
    if (user.use.sent > origin.sent_before && user.waiting_since != absl::InfiniteFuture()) {
      user.waiting_since = now;
    }
    origin.holder.clear();
  }
  origin.ending = false;
  return targets;
}

void OriginShares::Lend(absl::Time until, uint32_t coordinators, const OriginHome& fresh, absl::Time now) {
  lent_until_ = until;
  coordinators_ = std::max(coordinators, 1u);
  fresh_ = fresh;
  wake_ = std::min(wake_, std::max(until, now));
  if (Lapsed(now) || !std::exchange(lapsed_, false)) return;
  for (auto& [name, origin] : origins_) {
    origin.tell = true;
    Deal(name, origin, now);
  }
}

void OriginShares::SetHome(const std::string& name, const OriginHome& home, absl::Time now) {
  const auto found = origins_.find(name);
  if (found == origins_.end() || found->second.home == home) return;
  Origin& origin = found->second;
  origin.lowered = home.share < origin.home.share || (origin.lowered && home.share == origin.home.share);
  origin.home = home;
  if (!Lapsed(now)) Deal(name, origin, now);
}

void OriginShares::Teach(const std::string& name, bool open, uint32_t window, const std::string& learned,
                         absl::Time now) {
  const auto found = origins_.find(name);
  if (found == origins_.end()) return;
  Origin& origin = found->second;
  origin.learned = learned;
  origin.learned_by.clear();
  for (auto& [worker, user] : origin.users) user.begun = 0;
  open &= !origin.limited_by_word;
  if (open != origin.open) {
    origin.open = open;
    origin.holder.clear();
    origin.ending = false;
    origin.tell = true;
    if (open) origin.growth.Begin(window);
  }
  if (!Lapsed(now)) Deal(name, origin, now);
}

void OriginShares::Block(const std::string& name, absl::Time until, absl::Time now) {
  const auto found = origins_.find(name);
  if (found == origins_.end() || until <= found->second.blocked_until + absl::Milliseconds(100)) return;
  found->second.blocked_until = until;
  found->second.tell = true;
  Deal(name, found->second, now);
}

OriginShares::Sum OriginShares::SumOf(const Origin& origin, absl::Time now) const {
  Sum sum;
  for (const auto& [name, user] : origin.users) {
    if (!Uses(user, now)) continue;
    ++sum.users;
    sum.waiting += user.use.waiting;
    sum.in_flight += user.use.in_flight;
    sum.wanted += user.use.wanted;
  }
  // With all that were sent while others had their turns.
  sum.strays_accepted = origin.strays_accepted;
  sum.strays_refused = origin.strays_refused;
  sum.sent = origin.sent;
  const auto holder = origin.users.find(origin.holder);
  sum.may_send = holder != origin.users.end() && holder->second.use.next_in <= absl::ZeroDuration();
  sum.open = origin.open;
  sum.limited_by_word = origin.limited_by_word;
  sum.free = AllMayUse(origin, now) == 0;
  sum.share = origin.home.share;
  sum.settled = Settled(origin, now);
  sum.window = origin.growth.size();
  sum.blocked_until = origin.blocked_until;
  sum.used = origin.wanted_at;
  return sum;
}

void OriginShares::ForEach(absl::FunctionRef<void(const std::string&, const Sum&)> visit,
                           absl::Time now) const {
  for (const auto& [name, origin] : origins_) visit(name, SumOf(origin, now));
}

void OriginShares::ForEachName(absl::FunctionRef<void(const std::string&)> visit) const {
  for (const auto& [name, origin] : origins_) visit(name);
}

const std::string& OriginShares::learned(const std::string& name) const {
  static const std::string& kNothing = *new std::string;
  const auto found = origins_.find(name);
  return found == origins_.end() ? kNothing : found->second.learned;
}

}  // namespace imgfleet::core
