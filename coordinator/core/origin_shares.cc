#include "coordinator/core/origin_shares.h"

#include <algorithm>

namespace imgfleet::core {
namespace {

// Reports come twice a second; a worker that has not spoken of an origin for so long does not want it.
constexpr absl::Duration kSilent = absl::Seconds(3);
constexpr absl::Duration kLook = absl::Milliseconds(20), kSweep = absl::Seconds(1);
// What was learned of an origin that limits is kept for so long, as OriginPace keeps it.
constexpr absl::Duration kRemember = absl::Minutes(5);
// Of what is wanted from an open origin, one part in so many is in flight at most; as OriginBudget has it.
constexpr uint64_t kFreePart = 10;
// A part is dealt anew at once where it changes by more than one in so many; else with the answer to the next report.
constexpr uint32_t kNotable = 4;

bool Notable(uint32_t one, uint32_t other) {
  const uint32_t most = std::max(one, other), change = most - std::min(one, other);
  return change > 0 && change >= most / kNotable;
}

std::string HostOf(const std::string& origin) {
  size_t begin = origin.find("://");
  begin = begin == std::string::npos ? 0 : begin + 3;
  const size_t end = origin.rfind(':');
  return origin.substr(begin, end == std::string::npos || end < begin ? std::string::npos : end - begin);
}

}  // namespace

// The most that the worker may think is its own.
uint32_t OriginShares::MayUse(const User& user, absl::Time now) {
  uint32_t most = user.kept.until > now ? user.kept.concurrency : 0;
  for (const Sent& sent : user.sent) {
    if (sent.until > now) most = std::max(most, sent.concurrency);
  }
  return most;
}

uint32_t OriginShares::Waiting(const User& user, absl::Time now) const {
  return user.reported + kSilent > now ? user.use.waiting : 0;
}

bool OriginShares::Uses(const User& user, absl::Time now) const {
  return user.reported + kSilent > now && (user.use.waiting > 0 || user.use.in_flight > 0);
}

OriginShares::Origin& OriginShares::Find(const std::string& name) {
  const auto [found, inserted] = origins_.try_emplace(name);
  if (inserted) {
    found->second.home = fresh_;
    urgent_ |= fresh_.share < OriginHome::kAll;
    if (const auto limit = options_.limits.find(HostOf(name)); limit != options_.limits.end()) {
      found->second.limit = limit->second;
      found->second.limited_by_word = true;
    }
  }
  return found->second;
}

void OriginShares::Report(const std::string& worker, uint64_t report, std::vector<OriginUse> uses,
                          absl::Time now) {
  reports_[worker] = report;
  for (OriginUse& use : uses) {
    const std::string name = use.origin;
    if (origins_.size() >= kMaxOrigins && !origins_.contains(name)) {
      OriginPermit whole;
      whole.origin = name;
      whole.number = ++permits_;
      whole.report = report;
      whole.concurrency = OriginPermit::kWhole;
      whole.valid_for = options_.valid;
      output_.push_back({worker, std::move(whole)});
      continue;
    }
    Origin& origin = Find(name);
    Note(origin, worker, std::move(use), now);
    Deal(name, origin, now);
  }
}

void OriginShares::Note(Origin& origin, const std::string& worker, OriginUse use, absl::Time now) {
  User& user = origin.users[worker];
  const bool was_waiting = AnyWaits(origin);
  const OriginUse before = std::exchange(user.use, std::move(use));
  user.reported = now;
  user.owed = true;
  origin.used = now;
  while (!user.sent.empty() && user.sent.front().number <= user.use.permit) {
    user.kept = user.sent.front();
    user.sent.pop_front();
  }
  if (user.use.permit < user.kept.number) {  // It has begun anew, and keeps to none.
    user.kept = Sent();
    user.begun = 0;
  }
  if (user.use.waiting == 0) {
    user.waiting_since = absl::InfiniteFuture();
  } else if (user.waiting_since == absl::InfiniteFuture()) {
    user.waiting_since = now;
  }
  if (user.use.waiting > 0 || user.use.in_flight > 0) origin.wanted_at = now;
  if (AnyWaits(origin) != was_waiting) {
    urgent_ |= origin.home.wanted_elsewhere || origin.home.share < OriginHome::kAll;
  }
  if (user.use.blocked_for > absl::ZeroDuration()) {
    const absl::Time until = now + user.use.blocked_for;
    // The same word again differs by what it took to come here.
    if (until > origin.blocked_until + absl::Milliseconds(100)) origin.tell = urgent_ = true;
    origin.blocked_until = std::max(origin.blocked_until, until);
  }
  const bool again = user.use.accepted >= before.accepted && user.use.refused >= before.refused;
  const uint64_t accepted = again ? user.use.accepted - before.accepted : 0;
  const uint64_t refused = again ? user.use.refused - before.refused : 0;
  // As many as all together have, where this is a part of them.
  origin.answers += (accepted + refused) * OriginHome::kAll / std::max(origin.home.share, 1u);
  if (user.begun > 0) origin.sent += user.use.sent - std::min(before.sent, user.use.sent);
  if (!origin.open && worker != origin.holder) {
    origin.strays_accepted += accepted;
    origin.strays_refused += refused;
    if (refused > 0) origin.tell = true;
  }
  Learn(origin, worker, user, now);
}

// What a worker has learned counts where it has learned it from its turn or its part: else it knows less than others.
void OriginShares::Learn(Origin& origin, const std::string& worker, const User& user, absl::Time now) {
  const bool current = user.begun > 0 && user.use.permit >= user.begun;
  if (!current) return;
  if (!origin.open) {
    if (worker != origin.holder) return;
    if (!user.use.learned.empty()) {
      origin.learned = user.use.learned;
      origin.learned_by = worker;
    }
    if (user.use.state != OriginUse::kOpen || origin.limited_by_word) return;
    origin.open = true;
    origin.growth.Begin(std::max(user.use.window, user.use.in_flight));
  } else if (user.use.state == OriginUse::kLimited && MayUse(user, now) > 0) {
    origin.open = false;
    origin.learned = user.use.learned;
    origin.learned_by = worker;
    origin.holder = worker;
    origin.turn_began = now;
    origin.sent_before = user.use.sent;
  } else {
    return;
  }
  origin.ending = false;
  origin.tell = true;
  // The next turn or part of each other begins with what this one knows.
  for (auto& [name, other] : origin.users) {
    if (name != worker) other.begun = 0;
  }
}

void OriginShares::Left(const std::string& worker, absl::Time now) {
  reports_.erase(worker);
  for (auto& [name, origin] : origins_) {
    const auto found = origin.users.find(worker);
    if (found == origin.users.end()) continue;
    found->second.use.waiting = found->second.use.in_flight = 0;
    found->second.waiting_since = absl::InfiniteFuture();
    found->second.owed = false;
    contested_.insert(name);
  }
  wake_ = std::min(wake_, now);
}

bool OriginShares::TurnIsOver(const Origin& origin, const User& holder, absl::Time now) const {
  if (Waiting(holder, now) == 0) return true;
  // The request that the pace allows next is part of the turn.
  const bool asked = holder.use.sent > origin.sent_before || holder.use.next_in <= absl::ZeroDuration();
  return now >= origin.turn_began + options_.turn && asked;
}

// One worker has all: until its turn is over, and it has said so or its permit has run out.
std::map<std::string, uint32_t> OriginShares::Turns(Origin& origin, absl::Time now) {
  if (origin.home.share == 0) return Withhold(origin, now);
  std::map<std::string, uint32_t> targets;
  const std::string* next = nullptr;
  bool others_may_use = false;
  for (const auto& [name, user] : origin.users) {
    targets[name] = 0;
    if (name == origin.holder) continue;
    others_may_use |= MayUse(user, now) > 0;
    if (Waiting(user, now) == 0) continue;
    if (next == nullptr || user.waiting_since < origin.users.at(*next).waiting_since) next = &name;
  }
  const auto holder = origin.users.find(origin.holder);
  if (holder != origin.users.end()) {
    const bool lost = MayUse(holder->second, now) == 0;
    if (next != nullptr && !origin.ending) origin.ending = lost || TurnIsOver(origin, holder->second, now);
    if (next != nullptr && origin.ending && lost) {
      // Handed on; if it wants more, it is the last in the line.
      if (holder->second.waiting_since != absl::InfiniteFuture()) holder->second.waiting_since = now;
      holder->second.begun = 0;
      origin.holder.clear();
    } else if (next == nullptr || !origin.ending) {
      origin.ending = false;
      // Of a part, all becomes the turn's once the others keep to nothing.
      targets[origin.holder] =
          std::min(All(origin), others_may_use ? MayUse(holder->second, now) : OriginPermit::kWhole);
      return targets;
    }
  }
  if (holder == origin.users.end()) origin.holder.clear();
  if (!origin.holder.empty() || others_may_use || next == nullptr) return targets;
  origin.holder = *next;
  origin.ending = false;
  origin.turn_began = now;
  origin.sent_before = origin.users.at(*next).use.sent;
  targets[*next] = All(origin);
  return targets;
}

// The budget is cut by what each wants. A part grows only into what all others are known to leave.
std::map<std::string, uint32_t> OriginShares::Parts(Origin& origin, absl::Time now) {
  const uint64_t share = origin.home.share;
  if (share == 0) return Withhold(origin, now);
  std::map<std::string, uint32_t> targets;
  std::vector<std::pair<uint64_t, std::string>> wants;
  uint64_t wanted = 0, in_flight = 0, sum = 0;
  bool others_may_use = false;
  for (const auto& [name, user] : origin.users) {
    targets[name] = 0;
    if (!Uses(user, now)) {
      others_may_use |= MayUse(user, now) > 0;
      continue;
    }
    wanted += user.use.wanted;
    in_flight += user.use.in_flight;
    wants.push_back({uint64_t{user.use.waiting} + user.use.in_flight, name});
    sum += wants.back().first;
  }
  if (wants.empty()) return targets;
  origin.growth.Observe(origin.answers, in_flight * OriginHome::kAll / share, now);
  uint64_t budget = std::max<uint64_t>(
      wanted / kFreePart, static_cast<uint64_t>(OriginGrowth::kLeast) * share / OriginHome::kAll);
  budget = std::min<uint64_t>(budget, origin.growth.size() * share / OriginHome::kAll);
  budget = std::max<uint64_t>(budget, wants.size());
  if (wants.size() == 1 && !others_may_use && share == OriginHome::kAll) {
    targets[wants[0].second] = budget = OriginPermit::kWhole;
  } else {
    std::sort(wants.begin(), wants.end());
    uint64_t left = budget;
    for (size_t i = 0; i < wants.size(); ++i) {
      const uint64_t others = wants.size() - i - 1;
      const uint64_t fair = std::max<uint64_t>(1, left * wants[i].first / std::max<uint64_t>(sum, 1));
      // With room for what comes next.
      const uint64_t most = wants[i].first + wants[i].first / 4 + 1;
      const uint64_t part = std::min({fair, most, left - others});
      targets[wants[i].second] = static_cast<uint32_t>(part);
      left -= part;
      sum -= wants[i].first;
    }
  }
  for (auto& [name, target] : targets) {
    const uint32_t own = MayUse(origin.users.at(name), now);
    if (target <= own) continue;
    uint64_t others = 0;
    for (const auto& [other, user] : origin.users) {
      if (other != name) others += std::max(MayUse(user, now), targets.at(other));
    }
    const uint64_t room = budget > others ? budget - others : 0;
    target = std::max<uint32_t>(own, static_cast<uint32_t>(std::min<uint64_t>(target, room)));
  }
  return targets;
}

uint32_t OriginShares::InFlightElsewhere(const Origin& origin, const std::string& worker, absl::Time now) {
  uint32_t sum = origin.home.in_flight;
  for (const auto& [name, user] : origin.users) {
    if (name != worker && user.reported + kSilent > now) sum += user.use.in_flight;
  }
  return sum;
}

void OriginShares::Deal(const std::string& name, Origin& origin, absl::Time now) {
  std::map<std::string, uint32_t> targets;
  if (Lapsed(now)) {
    for (const auto& [worker, user] : origin.users) targets[worker] = origin.limited_by_word ? 0 : 1;
  } else {
    targets = origin.open ? Parts(origin, now) : Turns(origin, now);
  }
  for (const auto& [worker, target] : targets) {
    User& user = origin.users.at(worker);
    const bool valid = (user.sent.empty() ? user.kept : user.sent.back()).until > now;
    const uint32_t last = valid ? user.last.concurrency : 0;
    bool at_once = (target == 0) != (last == 0) || Notable(target, last);
    // Who has a turn makes room for what the others still have in flight.
    if (!origin.open && target > 0)
      at_once |= Notable(InFlightElsewhere(origin, worker, now), user.last.in_flight_elsewhere);
    at_once &= !Lapsed(now);  // Nothing valid was sent: all would be again.
    if (origin.tell || user.owed || at_once) Send(name, origin, worker, target, now);
  }
  origin.tell = false;
  if (origin.lowered && Settled(origin, now)) {
    origin.lowered = false;
    urgent_ = true;
  }
  if (origin.users.size() > 1 || origin.lowered) {
    contested_.insert(name);
    wake_ = std::min(wake_, now + kLook);
  }
}

void OriginShares::Send(const std::string& name, Origin& origin, const std::string& worker,
                        uint32_t concurrency, absl::Time now) {
  User& user = origin.users.at(worker);
  const auto report = reports_.find(worker);
  if (report == reports_.end()) return;
  OriginPermit permit;
  permit.origin = name;
  permit.number = ++permits_;
  permit.report = report->second;
  permit.concurrency = concurrency;
  permit.rate = origin.limit.rate;
  permit.sharers = origin.home.sharers;
  permit.wanted_elsewhere = origin.home.wanted;
  uint32_t here = 0;
  for (const auto& [other, its] : origin.users) {
    here += other == worker || Uses(its, now);
    if (other == worker || its.reported + kSilent <= now) continue;
    permit.wanted_elsewhere += its.use.wanted;
  }
  permit.in_flight_elsewhere = InFlightElsewhere(origin, worker, now);
  permit.sharers += here;
  permit.strays_accepted = origin.strays_accepted + origin.home.strays_accepted;
  permit.strays_refused = origin.strays_refused + origin.home.strays_refused;
  permit.blocked_for = std::max(origin.blocked_until - now, absl::ZeroDuration());
  permit.valid_for = std::min(options_.valid, std::max(lent_until_ - now, absl::ZeroDuration()));
  if (Lapsed(now)) {
    permit.sharers = std::max(permit.sharers, here * coordinators_);
    if (concurrency == 0) permit.valid_for = options_.valid;
  }
  if (concurrency > 0 && user.begun == 0 && !Lapsed(now)) {
    user.begun = permit.number;
    permit.begins = true;
    if (origin.learned_by != worker) permit.learned = origin.learned;
  }
  user.sent.push_back({permit.number, concurrency, now + permit.valid_for});
  user.owed = false;
  user.last = permit;
  user.last.learned.clear();
  output_.push_back({worker, std::move(permit)});
}

// Whether nothing would be lost with it.
bool OriginShares::Forget(Origin& origin, absl::Time now) {
  std::erase_if(origin.users, [&](const auto& entry) {
    return !Uses(entry.second, now) && MayUse(entry.second, now) == 0 &&
           entry.second.reported + kSilent <= now;
  });
  if (!origin.users.empty()) return false;
  if (origin.blocked_until > now) return false;
  return origin.used + (origin.open || origin.learned.empty() ? kSilent : kRemember) <= now;
}

void OriginShares::Tick(absl::Time now) {
  for (auto name = contested_.begin(); name != contested_.end();) {
    const auto found = origins_.find(*name);
    if (found != origins_.end()) Deal(found->first, found->second, now);
    const bool contested =
        found != origins_.end() && (found->second.users.size() > 1 || found->second.lowered);
    name = contested ? std::next(name) : contested_.erase(name);
  }
  if (Lapsed(now) && !std::exchange(lapsed_, true)) {
    for (auto& [name, origin] : origins_) {
      origin.tell = true;
      Deal(name, origin, now);
    }
  }
  if (sweep_at_ <= now) {
    absl::erase_if(origins_, [&](auto& entry) { return Forget(entry.second, now); });
    sweep_at_ = now + kSweep;
  }
  wake_ = std::min(contested_.empty() ? absl::InfiniteFuture() : now + kLook,
                   origins_.empty() ? absl::InfiniteFuture() : sweep_at_);
  if (!lapsed_) wake_ = std::min(wake_, lent_until_);
}

}  // namespace imgfleet::core
