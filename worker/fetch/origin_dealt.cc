// The part of an origin's budget that a coordinator deals out: permits in, what was learned and is wanted out.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

#include "worker/fetch/origin_budget.h"

namespace imgfleet::fetch {
namespace {

// Who has asked for so long and was told nothing goes on as if it were alone.
constexpr absl::Duration kPatience = absl::Milliseconds(200);

// Of what was learned, packed: a byte that tells how, then doubles of this machine's byte order (that of all we run on).
constexpr char kPacking = 1;

double Seconds(absl::Time time) { return static_cast<double>(absl::ToUnixNanos(time)) * 1e-9; }

}  // namespace

void OriginBell::Answer(std::function<void()> wake) {
  absl::MutexLock lock(&mutex_);
  wake_ = std::move(wake);
  answered_ = wake_ != nullptr;
  if (!answered_) rung_.clear();
}

void OriginBell::Ring(std::weak_ptr<OriginBudget> budget) {
  absl::MutexLock lock(&mutex_);
  if (wake_ == nullptr) return;
  rung_.push_back(std::move(budget));
  if (rung_.size() == 1) wake_();
}

std::vector<std::weak_ptr<OriginBudget>> OriginBell::Take() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(rung_, {});
}

void OriginBudget::Ring() {
  if (bell_ == nullptr || !bell_->answered() || std::exchange(rung_, true)) return;
  bell_->Ring(weak_from_this());
}

bool OriginBudget::RanOut() const { return !heard_ || permit_.until <= seen_; }

uint32_t OriginBudget::Permitted() const {
  if (!heard_) return seen_ >= asked_ + kPatience ? OriginPermit::kWhole : sent_ == 0 ? 1 : 0;
  if (!RanOut()) return permit_.concurrency;
  // Under an operator's limit what is not permitted is another's.
  if (permit_.rate > 0) return 0;
  return permit_.sharers > 1 ? std::max(window_.size() / permit_.sharers, 1u) : OriginPermit::kWhole;
}

double OriginBudget::PermittedRate() const {
  if (!heard_) return 0;
  if (!RanOut()) return permit_.rate;
  // Under an operator's rate nothing is permitted then.
  return permit_.sharers > 1 ? pace_.rate() / permit_.sharers : 0;
}

OriginUse::State OriginBudget::State() const {
  if (exempt_ || pace_.free()) return OriginUse::kOpen;
  return pace_.rate() > 0 || pace_.probing() ? OriginUse::kLimited : OriginUse::kBeginning;
}

// A word that is waited for, and a turn that is of no use any more, are told of at once.
void OriginBudget::SetWaiting(Seat& seat, uint32_t items) {
  const uint32_t before = items_waiting_;
  items_waiting_ += items - seat.waiting_;
  seat.waiting_ = items;
  if (exempt_ || bell_ == nullptr || !bell_->answered()) return;
  const bool first = !heard_ && items_waiting_ + sent_ > 1;
  const bool begins = before == 0 && items_waiting_ > 0 && heard_ && (RanOut() || permit_.concurrency == 0);
  const bool ends =
      before > 0 && items_waiting_ == 0 && heard_ && permit_.sharers > 1 && permit_.concurrency > 0;
  if (first || begins || ends) Ring();
}

void OriginBudget::BlockFor(absl::Time until) {
  blocked_until_ = std::max(blocked_until_, until);
  pace_.Block(Seconds(until));
}

void OriginBudget::WakeAll() {
  for (Seat* seat : seats_) {
    if (!std::exchange(seat->waits_, false)) continue;
    --waiting_;
    (*seat->wake_)();
  }
}

void OriginBudget::Keep(const OriginPermit& permit, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  seen_ = std::max(seen_, now);
  if (heard_ && permit.number <= permit_.number) return;
  const OriginPermit before = std::exchange(permit_, permit);
  const bool had = heard_ && before.until > now && before.concurrency > 0;
  heard_ = true;
  permit_.learned.clear();
  if (permit.begins) {
    turn_began_ = now;
    if (!permit.learned.empty() && !exempt_) TakeOver(permit.learned);
  } else if (had && permit.concurrency > 0 && !pace_.free()) {
    Stray(permit.strays_accepted - std::min(before.strays_accepted, permit.strays_accepted),
          permit.strays_refused - std::min(before.strays_refused, permit.strays_refused));
  }
  if (permit.blocked_for > absl::ZeroDuration()) {
    if (refused_with_ == 0) refused_with_ = 429;
    BlockFor(now + permit.blocked_for);
  }
  // That less is kept to, or a turn has begun, is waited for.
  if (permit.begins || permit.concurrency < before.concurrency || before.number == 0) Ring();
  WakeAll();
}

// Answers to requests that others had sent before the turn began here.
void OriginBudget::Stray(uint64_t accepted, uint64_t refused) {
  if (exempt_) return;
  const double sent = Seconds(turn_began_) - 1e-6, now = Seconds(seen_);
  for (uint64_t i = 0; i < std::min<uint64_t>(accepted, max_); ++i) pace_.Accepted(sent, now);
  for (uint64_t i = 0; i < std::min<uint64_t>(refused, max_); ++i) {
    pace_.Refused(sent, now, /*again=*/false, /*random=*/0.5);
  }
}

void OriginBudget::Disconnected(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  seen_ = std::max(seen_, now);
  permit_.until = absl::InfinitePast();
  permit_.number = 0;
  rung_ = false;
}

OriginUse OriginBudget::Use(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  seen_ = std::max(seen_, now);
  rung_ = false;
  OriginUse use;
  use.origin = name_;
  use.waiting = items_waiting_;
  use.in_flight = window_.in_flight();
  use.wanted = wanted_;
  use.sent = sent_;
  use.accepted = accepted_ever_;
  use.refused = refused_ever_;
  use.permit = heard_ ? permit_.number : 0;
  use.state = State();
  use.window = std::min(window_.size(), at_once_);
  use.rate = pace_.rate();
  use.blocked_for = std::max(told_until_ - now, absl::ZeroDuration());
  const double next = pace_.next() - Seconds(now);
  if (next > 0) use.next_in = absl::Seconds(std::min(next, 1e9));
  use.contested = heard_ && permit_.sharers > 1;
  if (!exempt_ && (use.contested || use.state == OriginUse::kLimited)) use.learned = PackLearned();
  return use;
}

bool OriginBudget::at_rest() const {
  absl::MutexLock lock(&mutex_);
  return exempt_ || (items_waiting_ == 0 && window_.in_flight() == 0 && !rung_);
}

template <typename Visit>
void OriginBudget::ForEachNumber(Visit visit) {
  const double now = Seconds(seen_);
  double passed = now - next_permitted_;
  visit(passed);
  next_permitted_ = now - passed;
  window_.ForEachNumber(now, visit);
  pace_.ForEachNumber(now, visit);
}

std::string OriginBudget::PackLearned() {
  std::string packed(1, kPacking);
  ForEachNumber(
      [&](double& number) { packed.append(reinterpret_cast<const char*>(&number), sizeof(number)); });
  return packed;
}

// What this process knows of the origin's speed stays; a packing that it does not know is of no use to it.
void OriginBudget::TakeOver(const std::string& learned) {
  size_t numbers = 0;
  ForEachNumber([&](double&) { ++numbers; });
  if (learned.size() != 1 + numbers * sizeof(double) || learned[0] != kPacking) return;
  const char* at = learned.data() + 1;
  bool sound = true;
  for (size_t i = 0; i < numbers; ++i) {
    double number;
    std::memcpy(&number, at + i * sizeof(number), sizeof(number));
    sound &= !std::isnan(number);
  }
  if (!sound) return;
  ForEachNumber([&](double& number) {
    std::memcpy(&number, at, sizeof(number));
    at += sizeof(number);
  });
}

std::vector<std::shared_ptr<OriginBudget>> OriginBudgets::All() const {
  std::vector<std::shared_ptr<OriginBudget>> all;
  absl::MutexLock lock(&mutex_);
  all.reserve(budgets_.size());
  for (const auto& [name, budget] : budgets_) all.push_back(budget);
  return all;
}

std::vector<OriginUse> OriginBudgets::Uses(bool all, size_t limit, absl::Time now) {
  std::vector<std::shared_ptr<OriginBudget>> budgets;
  for (const std::weak_ptr<OriginBudget>& rung : bell_.Take()) {
    if (std::shared_ptr<OriginBudget> budget = rung.lock()) budgets.push_back(std::move(budget));
  }
  const size_t urgent = budgets.size();
  if (all) {
    for (std::shared_ptr<OriginBudget>& budget : All()) {
      if (!budget->at_rest()) budgets.push_back(std::move(budget));
    }
  }
  std::vector<OriginUse> uses;
  for (size_t i = 0; i < budgets.size(); ++i) {
    uses.push_back(budgets[i]->Use(now));
    uses.back().contested |= i < urgent;
  }
  const auto order = [](const OriginUse& use) { return std::tuple(use.contested, use.waiting); };
  if (uses.size() > limit) {
    std::partial_sort(uses.begin(), uses.begin() + limit, uses.end(),
                      [&](const OriginUse& a, const OriginUse& b) { return order(a) > order(b); });
    uses.resize(limit);
  }
  return uses;
}

void OriginBudgets::Keep(const std::vector<OriginPermit>& permits, absl::Time now) {
  for (const OriginPermit& permit : permits) {
    std::shared_ptr<OriginBudget> budget;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = budgets_.find(permit.origin);
      if (found != budgets_.end()) budget = found->second;
    }
    if (budget != nullptr) budget->Keep(permit, now);
  }
}

void OriginBudgets::Disconnected(absl::Time now) {
  bell_.Take();
  for (const std::shared_ptr<OriginBudget>& budget : All()) budget->Disconnected(now);
}

}  // namespace imgfleet::fetch
