#include "coordinator/core/origin_homes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace imgfleet::core {
namespace {

// What is not wanted for so long is given up, though nobody else wants it.
constexpr absl::Duration kIdle = absl::Seconds(3);
// Whoever uses nothing for so long leaves.
constexpr absl::Duration kLeave = absl::Minutes(1);
// Rows are void after so long, and written again before; what was learned is kept between the one and the other.
constexpr absl::Duration kRowLives = absl::Minutes(10), kRenew = absl::Minutes(5);
// Members outlive what they know of themselves, should clocks run unevenly.
constexpr absl::Duration kSlack = absl::Milliseconds(250);
// Exchanges that are asked for take one part in so many of the time, at most.
constexpr int kCostPart = 10;
// Of an open origin each that uses it has so much.
constexpr uint32_t kLeastPart = 10;

// Larger or smaller by a half: worth a row.
bool Notable(uint64_t one, uint64_t other) {
  return std::max(one, other) > std::min(one, other) + std::min(one, other) / 2;
}

// A member's name begins with its coordinator's.
bool IsOf(const std::string& member, const std::string& coordinator) {
  return member.size() > coordinator.size() && member.compare(0, coordinator.size(), coordinator) == 0 &&
         member[coordinator.size()] == '/';
}

}  // namespace

OriginHomes::OriginHomes(Options options, OriginShares& shares, absl::Time now)
    : options_(std::move(options)), shares_(shares) {
  OriginHome nothing;
  nothing.share = 0;
  shares_.Lend(absl::InfiniteFuture(), 1, nothing, now);
}

void OriginHomes::Soon(absl::Time now) {
  const absl::Duration pause = std::max(options_.least_rhythm, std::min(cost_ * kCostPart, options_.rhythm));
  next_ = std::min(next_, std::max(now, began_ + pause));
}

void OriginHomes::Look(absl::Time now) {
  const bool urgent = shares_.TakeUrgent();
  if (next_ == absl::InfiniteFuture() && shares_.origins() > 0 && (urgent || standing_.joined)) {
    OriginHome nothing;
    nothing.share = 0;
    if (!standing_.joined) shares_.Lend(now + options_.claim, 1, nothing, now);
    used_ = now;
    Soon(now);
  }
  if (urgent && !standing_.alone) Soon(now);
}

void OriginHomes::Hear(absl::Time now) {
  if (next_ != absl::InfiniteFuture()) Soon(now);
}

OriginQuery OriginHomes::Prepare(absl::Time now) {
  began_ = now;
  next_ = now + options_.rhythm;
  decided_ = false;
  asked_.clear();
  shares_.ForEachName([&](const std::string& name) {
    if (!origins_[name].known) asked_.push_back(name);
  });
  return {last_, asked_};
}

bool OriginHomes::Lives(const std::string& member) const {
  const auto found = members_.find(member);
  return found != members_.end() && found->second.until > store_now_;
}

// This membership, or one that has ended.
bool OriginHomes::Mine(const std::string& member) const { return IsOf(member, options_.coordinator); }

// All that was claimed before is another's, who is dead.
void OriginHomes::Join() {
  standing_ = {true, false, false, absl::StrCat(options_.coordinator, "/", ++joins_), number_};
  publish_again_ = false;
  writes_.tell = true;
  for (auto& [name, origin] : origins_) {
    origin.mine = Claim();
    origin.mine_written = absl::InfinitePast();
    origin.ending = false;
  }
}

// All others have written what they use since this one has come.
void OriginHomes::Settle() {
  bool others = false, all = true;
  for (const auto& [name, member] : members_) {
    if (Mine(name) || member.until <= store_now_) continue;
    others = true;
    all &= member.number > standing_.since;
    // One that has just come waits for this.
    writes_.tell |= member.fresh;
  }
  standing_.settled |= all;
  publishing_ = publish_again_ || (standing_.alone && others);
  standing_.alone = standing_.settled && !others;
  for (auto& [name, member] : members_) member.fresh = false;
}

OriginWrites OriginHomes::Decide(const OriginNews& news, absl::Time now) {
  decided_ = true;
  before_ = standing_;
  number_ = news.number;
  store_now_ = news.now;
  writes_ = OriginWrites();
  staged_.clear();
  Read(news);
  if (!standing_.joined || now >= end_ || !Lives(standing_.id)) Join();
  Settle();
  shares_.ForEach([&](const std::string& name, const OriginShares::Sum& sum) { Consider(name, sum, now); },
                  now);
  for (auto& [name, origin] : origins_) {
    if (origin.seen != number_ && (origin.mine.users > 0 || origin.mine.share > 0)) {
      Write(name, standing_.id, "", "", absl::ZeroDuration());
    }
  }
  leaving_ = used_ + kLeave <= now;
  Write("", standing_.id, "", "", leaving_ ? absl::ZeroDuration() : options_.claim + kSlack);
  writes_.sweep = swept_ + kKept <= now;
  if (writes_.sweep) swept_ = now;
  return std::move(writes_);
}

void OriginHomes::Write(std::string origin, std::string coordinator, std::string value, std::string learned,
                        absl::Duration lives) {
  writes_.rows.push_back({std::move(origin), std::move(coordinator), std::move(value), std::move(learned),
                          store_now_ + lives, number_});
}

OriginHomes::Others OriginHomes::SumOf(const Origin& origin) const {
  Others sum;
  const absl::Time mine_since = std::min(origin.mine.since, store_now_);
  const bool mine_precedes = origin.state.by == options_.coordinator;
  for (const auto& [member, claim] : origin.others) {
    if (!Lives(member) || Mine(member) || (claim.users == 0 && claim.share == 0)) continue;
    ++sum.claims;
    sum.shares += claim.share;
    sum.wants += claim.wants;
    sum.wait |= claim.waits;
    sum.lacks |= claim.users > 0 && claim.share == 0;
    sum.before_me |= claim.waits && claim.share == 0 &&
                     std::pair(claim.since, member) < std::pair(mine_since, standing_.id);
    sum.keeps |=
        claim.share > 0 && !mine_precedes && (IsOf(member, origin.state.by) || member < standing_.id);
    sum.home.sharers += claim.users;
    sum.home.in_flight += static_cast<uint32_t>(claim.in_flight);
    sum.home.wanted += claim.wanted;
    sum.home.strays_accepted += claim.strays_accepted;
    sum.home.strays_refused += claim.strays_refused;
  }
  sum.home.wanted_elsewhere = sum.wait;
  return sum;
}

// Whose word holds: who has none of an origin has nothing to say. True: the shares were told something.
bool OriginHomes::Agree(const std::string& name, Origin& origin, const OriginShares::Sum& sum,
                        const Others& others, absl::Time now) {
  const State& stored = origin.state;
  State state = stored;
  bool told = false;
  if (stored.blocked_until > store_now_) {
    shares_.Block(name, now + (stored.blocked_until - store_now_), now);
  }
  if (sum.blocked_until > now) {
    const absl::Time until = store_now_ + (sum.blocked_until - now);
    if (until > stored.blocked_until + absl::Milliseconds(200)) state.blocked_until = until;
  }
  const bool theirs = !stored.by.empty() && stored.by != options_.coordinator && stored.open != origin.open;
  if (theirs || (origin.held == 0 && sum.open != origin.open)) {
    if (theirs) origin.open = stored.open;
    shares_.Teach(name, origin.open, stored.window, stored.learned, now);
    told = true;
  } else if (origin.held > 0) {
    origin.open = sum.open;
    if (sum.open != stored.open || (publishing_ && !shares_.learned(name).empty())) {
      state.open = sum.open;
      state.window = sum.window;
      state.by = options_.coordinator;
      state.learned = shares_.learned(name);
    }
  }
  const bool renew = origin.held > 0 && !stored.by.empty() && origin.state_written + kRenew <= store_now_;
  if (!(state == stored) || renew) {
    writes_.tell |= others.claims > 0;
    // For whoever comes: the origin's own word.
    const bool word = state.blocked_until > stored.blocked_until;
    if (!standing_.alone || word) StageState(name, origin, std::move(state));
  }
  return told;
}

uint32_t OriginHomes::Turn(Origin& origin, const OriginShares::Sum& sum, const Others& others) const {
  if (origin.mine.share == 0) {
    origin.ending = false;
    const bool next = sum.waiting > 0 && !others.before_me && others.shares == 0;
    return next ? OriginHome::kAll : 0;
  }
  if (others.shares > 0 && others.keeps) return 0;
  if (!others.wait) {
    origin.ending = false;
  } else if (!origin.ending) {
    const absl::Duration turn = std::clamp(absl::Seconds(sum.users), options_.least_turn, options_.most_turn);
    // The request that the pace allows next is part of the turn.
    const bool asked = sum.sent > origin.sent_before || sum.may_send;
    origin.ending = sum.waiting == 0 || (store_now_ >= origin.turn_began + turn && asked);
  }
  if (origin.ending) return 0;
  return others.shares == 0 ? OriginHome::kAll : origin.mine.share;
}

uint32_t OriginHomes::Part(const Origin& origin, const OriginShares::Sum& sum, const Others& others) const {
  if (others.claims == 0) return OriginHome::kAll;
  const uint64_t wants = uint64_t{sum.waiting} + sum.in_flight;
  const uint64_t all = std::max<uint64_t>(wants + others.wants, 1);
  const uint32_t most =
      OriginHome::kAll - kLeastPart * std::min(others.claims, OriginHome::kAll / kLeastPart / 2);
  const uint32_t fair = std::clamp(static_cast<uint32_t>(OriginHome::kAll * wants / all), kLeastPart, most);
  const uint32_t share = origin.mine.share;
  // Nothing is moved for a little, unless somebody has nothing.
  const bool near = fair + fair / 4 >= share && share + share / 4 >= fair;
  return near && share + others.shares <= OriginHome::kAll && !others.lacks ? share : fair;
}

OriginHomes::Claim OriginHomes::NextClaim(Origin& origin, const OriginShares::Sum& sum, const Others& others,
                                          bool settled) const {
  Claim claim;
  claim.share = origin.mine.share;
  const uint32_t room = OriginHome::kAll - std::min(others.shares, OriginHome::kAll);
  if (publishing_) {
    claim.share = origin.held;
  } else if (origin.target > claim.share && standing_.settled && origin.known) {
    claim.share = std::max(claim.share, std::min(origin.target, room));
  } else if (origin.held < claim.share && settled) {
    claim.share = origin.held;
  }
  claim.users = sum.users;
  claim.waits = sum.waiting > 0;
  claim.wants = uint64_t{sum.waiting} + sum.in_flight;
  claim.in_flight = sum.in_flight;
  claim.wanted = sum.wanted;
  claim.strays_accepted = sum.strays_accepted;
  claim.strays_refused = sum.strays_refused;
  if (claim.waits && claim.share == 0) {
    claim.since = origin.mine.share > 0 ? store_now_ : std::min(origin.mine.since, store_now_);
  }
  if (!origin.open && !publishing_ && claim.share > 0 && origin.mine.share == 0) {
    origin.turn_began = store_now_;
    origin.sent_before = sum.sent;
  }
  return claim;
}

uint32_t OriginHomes::Target(Origin& origin, const OriginShares::Sum& sum, const Others& others,
                             absl::Time now) const {
  if (standing_.alone) return OriginHome::kAll;
  if (publishing_) return sum.users == 0 && sum.free ? 0 : origin.held;
  // Others may use what they have not written, or this has not read.
  if (!standing_.settled || !origin.known) return std::min(origin.held, origin.mine.share);
  if (sum.users == 0) return others.claims == 0 && sum.used + kIdle > now ? origin.mine.share : 0;
  return origin.open ? Part(origin, sum, others) : Turn(origin, sum, others);
}

void OriginHomes::Consider(const std::string& name, const OriginShares::Sum& sum, absl::Time now) {
  Origin& origin = origins_[name];
  origin.seen = number_;
  origin.held = sum.share;
  if (sum.users > 0) used_ = now;
  const Others others = SumOf(origin);
  const bool told = Agree(name, origin, sum, others, now);
  origin.home = others.home;
  origin.target = Target(origin, sum, others, now);
  const bool settled = sum.settled && !told && origin.held <= origin.target;
  if (origin.target < origin.held) {
    origin.held = origin.target;
    Apply(name, origin, now);
  }
  staged_.push_back(name);
  if (standing_.alone) return;
  const Claim claim = NextClaim(origin, sum, others, settled);
  const bool hands_on = claim.share < origin.mine.share && !origin.open;
  if (hands_on && !shares_.learned(name).empty() && shares_.learned(name) != origin.state.learned) {
    State state = origin.state_staged.value_or(origin.state);
    state.by = options_.coordinator;
    state.learned = shares_.learned(name);
    StageState(name, origin, std::move(state));
  }
  Stage(name, origin, claim, others);
}

void OriginHomes::Stage(const std::string& name, Origin& origin, const Claim& claim, const Others& others) {
  const Claim& mine = origin.mine;
  const bool stored = mine.users > 0 || mine.share > 0;
  const bool void_now = claim.users == 0 && claim.share == 0;
  if (void_now && !stored) return;
  bool write = claim.share != mine.share || stored == void_now ||
               (stored && origin.mine_written + kRenew <= store_now_);
  if (others.claims > 0) {
    write |= claim.users != mine.users || claim.waits != mine.waits || claim.since != mine.since ||
             Notable(claim.wanted, mine.wanted);
    if (origin.open)
      write |= Notable(claim.wants, mine.wants);
    else
      write |= Notable(claim.in_flight, mine.in_flight) || claim.strays_refused != mine.strays_refused;
    writes_.tell |= claim.share < mine.share || (claim.waits && !mine.waits) || !stored;
  }
  if (!write) return;
  origin.claim_staged = claim;
  if (void_now) return Write(name, standing_.id, "", "", absl::ZeroDuration());
  Write(name, standing_.id,
        absl::StrCat(claim.share, " ", claim.users, " ", claim.waits ? 1 : 0, " ", claim.wants, " ",
                     claim.in_flight, " ", claim.wanted, " ", claim.strays_accepted, " ",
                     claim.strays_refused, " ", absl::ToUnixMicros(claim.since)),
        "", kRowLives);
}

void OriginHomes::StageState(const std::string& name, Origin& origin, State state) {
  if (origin.state_staged) {
    std::erase_if(writes_.rows,
                  [&](const OriginRow& row) { return row.origin == name && row.coordinator.empty(); });
  }
  Write(name, "",
        absl::StrCat(state.open ? 1 : 0, " ", state.window, " ", absl::ToUnixMicros(state.blocked_until), " ",
                     state.by),
        state.learned, kRowLives);
  origin.state_staged = std::move(state);
}

// Lets the workers have what is theirs.
void OriginHomes::Apply(const std::string& name, Origin& origin, absl::Time now) {
  OriginHome home = origin.home;
  home.share = origin.held;
  shares_.SetHome(name, home, now);
}

void OriginHomes::Committed(bool committed, absl::Time now) {
  cost_ = now - began_;
  if (!committed) {
    // What is stored of this coordinator's own is not known: it is read again.
    const bool published = decided_ && publishing_;
    if (decided_) standing_ = before_;
    if (published) {
      // They may have read it: from now on nothing is this one's that was not written then.
      publish_again_ = true;
      standing_.alone = false;
      OriginHome nothing;
      nothing.share = 0;
      shares_.Lend(end_, 2, nothing, now);
    }
    for (auto& [name, origin] : origins_) {
      origin.known = false;
      origin.claim_staged.reset();
      origin.state_staged.reset();
    }
    return;
  }
  last_ = number_;
  publish_again_ = false;
  members_[standing_.id] = {store_now_ + options_.claim + kSlack, number_};
  end_ = began_ + options_.claim;
  if (leaving_) {
    standing_ = Standing();
    origins_.clear();
    members_.clear();
    next_ = absl::InfiniteFuture();
  }
  uint32_t coordinators = 1;
  for (const auto& [name, member] : members_) {
    coordinators += name != standing_.id && member.until > store_now_;
  }
  OriginHome fresh;
  fresh.share = standing_.alone ? OriginHome::kAll : 0;
  // Until all have written what they use (the dead never will), each worker has a part, as without the store.
  const absl::Time until = leaving_ ? absl::InfiniteFuture() : standing_.settled ? end_ : now;
  shares_.Lend(until, coordinators, fresh, now);
  if (leaving_) {
    shares_.ForEachName([&](const std::string& name) { shares_.SetHome(name, fresh, now); });
    (void)shares_.TakeUrgent();
    return;
  }
  absl::erase_if(origins_,
                 [&](const auto& entry) { return entry.second.known && entry.second.seen != number_; });
  for (const std::string& name : staged_) {
    const auto found = origins_.find(name);
    if (found == origins_.end()) continue;
    Origin& origin = found->second;
    const bool turn =
        !origin.open && origin.claim_staged && origin.claim_staged->share > 0 && origin.mine.share == 0;
    if (origin.claim_staged) {
      origin.mine = *origin.claim_staged;
      origin.mine_written = store_now_;
    }
    if (turn && origin.state.by != options_.coordinator && !origin.state.learned.empty()) {
      shares_.Teach(name, false, 0, origin.state.learned, now);
    }
    if (origin.state_staged) {
      origin.state = *std::move(origin.state_staged);
      origin.state_written = store_now_;
    }
    origin.claim_staged.reset();
    origin.state_staged.reset();
    origin.held = standing_.alone ? OriginHome::kAll : std::min(origin.target, origin.mine.share);
    Apply(name, origin, now);
  }
  // Whoever waits for some of it has written so already.
  if (publishing_) Soon(now);
}

}  // namespace imgfleet::core
