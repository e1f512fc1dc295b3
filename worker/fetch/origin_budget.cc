#include "worker/fetch/origin_budget.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// Failures that are further apart say nothing of the time between them.
constexpr absl::Duration kFailuresApart = absl::Minutes(5);

// Of what is wanted, one part in so many may be in flight, less what the refusals from which a rate is learned take.
constexpr uint32_t kPart = 25, kLess = 4;
// Of an origin that has refused nothing of a thousand.
constexpr uint32_t kFreePart = 10;

double Seconds(absl::Time time) { return static_cast<double>(absl::ToUnixNanos(time)) * 1e-9; }
// An origin may name a time that no nanoseconds of 64 bits reach.
absl::Time TimeOf(double seconds) { return absl::UnixEpoch() + absl::Seconds(seconds); }

}  // namespace

OriginBudget::Seat::Seat(std::shared_ptr<OriginBudget> budget, const std::function<void()>* wake)
    : budget_(std::move(budget)), wake_(wake) {
  absl::MutexLock lock(&budget_->mutex_);
  budget_->seats_.push_back(this);
}

OriginBudget::Seat::~Seat() {
  absl::MutexLock lock(&budget_->mutex_);
  IMGFLEET_CHECK(in_flight_ == 0);
  budget_->Forsake(*this);
  budget_->SetWaiting(*this, 0);
  std::erase(budget_->seats_, this);
  budget_->Pass(*this, /*more=*/false);
}

bool OriginBudget::HasRoom() const {
  if (exempt_) return window_.in_flight() + promised_ < max_;
  const uint32_t size = std::min(window_.size(), at_once_);
  const uint32_t used = window_.in_flight() + promised_;
  if (bell_ == nullptr || !bell_->answered()) return used < size;
  const uint32_t permitted = Permitted();
  // Who has a turn makes room for what the others still have in flight, but always has one.
  const bool turn = heard_ && permitted == OriginPermit::kWhole && permit_.sharers > 1;
  if (turn && used > 0 && used + permit_.in_flight_elsewhere >= size) return false;
  return used < std::min(size, permitted);
}

void OriginBudget::Forsake(Seat& seat) {
  if (std::exchange(seat.waits_, false)) --waiting_;
  if (std::exchange(seat.promised_, false)) --promised_;
}

OriginBudget::Turn OriginBudget::Start(Seat& seat, absl::Time now, uint32_t more) {
  const double seconds = Seconds(now);
  absl::MutexLock lock(&mutex_);
  Forsake(seat);
  seen_ = std::max(seen_, now);
  if (asked_ == absl::InfinitePast()) asked_ = now;
  wanted_ = std::max(wanted_, accepted_ + window_.in_flight() + 1 + more);
  const uint64_t wanted = wanted_ + (RanOut() ? 0 : permit_.wanted_elsewhere);
  const auto part =
      static_cast<uint32_t>(std::min<uint64_t>(wanted / (pace_.free() ? kFreePart : kPart), max_));
  at_once_ = std::max(kAtOnce, part - std::min(kLess, part));
  SetWaiting(seat, more + 1);
  Turn turn;
  if (now < blocked_until_) {
    turn.kind = Turn::kWait;
    turn.until = blocked_until_;
    return turn;
  }
  if (!HasRoom()) {
    seat.waits_ = true;
    ++waiting_;
    turn.kind = Turn::kFull;
    return turn;
  }
  const double permitted = PermittedRate();
  const double next = permitted > 0 ? std::max(pace_.next(), next_permitted_) : pace_.next();
  if (next > seconds) {
    turn.until = TimeOf(next);
    if (turn.until > now) {  // Else the difference was lost in rounding.
      turn.kind = Turn::kWait;
      return turn;
    }
  }
  if (!exempt_) pace_.Sent(seconds, more);
  if (permitted > 0) next_permitted_ = std::max(next_permitted_, seconds) + 1 / permitted;
  window_.Start();
  ++seat.in_flight_;
  ++sent_;
  SetWaiting(seat, more);
  if (more > 0 && !HasRoom()) {
    turn.full = true;
    seat.waits_ = true;
    ++waiting_;
  }
  return turn;
}

void OriginBudget::Decline(Seat& seat) {
  absl::MutexLock lock(&mutex_);
  const bool promised = seat.promised_;
  Forsake(seat);
  SetWaiting(seat, 0);
  if (promised) Pass(seat, /*more=*/false);
}

void OriginBudget::Pass(Seat& seat, bool more) {
  // It asks again by itself, at once.
  Forsake(seat);
  if (!more) SetWaiting(seat, 0);
  // The last that a coordinator is told to wait for.
  if (window_.in_flight() == 0 && heard_ && permit_.sharers > 1) Ring();
  if (waiting_ == 0 || !HasRoom()) return;
  Seat* least = nullptr;
  for (Seat* other : seats_) {
    if (other->waits_ && (least == nullptr || other->in_flight_ < least->in_flight_)) least = other;
  }
  if (more && least->in_flight_ > 0 && least->in_flight_ + 1 >= seat.in_flight_) return;
  least->waits_ = false;
  --waiting_;
  least->promised_ = true;
  ++promised_;
  (*least->wake_)();
}

void OriginBudget::Answered(Seat& seat, absl::Time sent, absl::Duration latency, absl::Time now, bool useful,
                            bool more) {
  const double seconds = Seconds(now), sent_seconds = Seconds(sent);
  const double latency_seconds = static_cast<double>(absl::ToInt64Nanoseconds(latency)) * 1e-9;
  absl::MutexLock lock(&mutex_);
  --seat.in_flight_;
  ++accepted_;
  ++accepted_ever_;
  seen_ = std::max(seen_, now);
  window_.Answered(latency_seconds, seconds, useful);
  const bool free = pace_.free();
  if (!exempt_) pace_.Accepted(sent_seconds, seconds);
  if (!free && pace_.free()) Ring();
  answered_ = true;
  failing_since_ = absl::InfiniteFuture();
  Pass(seat, more);
}

void OriginBudget::Ended(Seat& seat, bool more) {
  absl::MutexLock lock(&mutex_);
  --seat.in_flight_;
  window_.End();
  Pass(seat, more);
}

absl::Duration OriginBudget::Failing(absl::Time now) {
  if (failing_since_ == absl::InfiniteFuture() || now - failed_ > kFailuresApart) failing_since_ = now;
  failed_ = now;
  return now - failing_since_;
}

absl::Duration OriginBudget::Silent(Seat& seat, absl::Time sent, absl::Time now, bool connected, bool more) {
  absl::MutexLock lock(&mutex_);
  --seat.in_flight_;
  if (connected || answered_) {
    window_.Strained(Seconds(sent), Seconds(now));
  } else {
    window_.End();
  }
  Pass(seat, more);
  return Failing(now);
}

absl::Duration OriginBudget::Refused(Seat& seat, const Refusal& refusal, bool more) {
  absl::MutexLock lock(&mutex_);
  --seat.in_flight_;
  refused_with_ = refusal.status;
  answered_ = true;
  ++refused_ever_;
  seen_ = std::max(seen_, refusal.now);
  const double sent = Seconds(refusal.sent), now = Seconds(refusal.now);
  // While others are accepted, the second refusal of a URL says nothing of the origin.
  const bool again = refusal.again && failing_since_ == absl::InfiniteFuture();
  if (!exempt_ && pace_.Refused(sent, now, again, refusal.random)) {
    window_.Strained(sent, now);
  } else {
    window_.End();
  }
  if (refusal.retry_after.has_value()) {
    told_until_ = std::max(told_until_, refusal.now + *refusal.retry_after);
    BlockFor(told_until_);
  }
  Ring();
  Pass(seat, more);
  return Failing(refusal.now);
}

uint32_t OriginBudget::refused_with() const {
  absl::MutexLock lock(&mutex_);
  return refused_with_;
}

uint32_t OriginBudget::in_flight() const {
  absl::MutexLock lock(&mutex_);
  return window_.in_flight();
}

uint32_t OriginBudget::window() const {
  absl::MutexLock lock(&mutex_);
  return exempt_ ? max_ : window_.size();
}

bool OriginBudget::idle(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  return seats_.empty() && pace_.idle(Seconds(now));
}

std::shared_ptr<OriginBudget> OriginBudgets::Get(const std::string& name, bool exempt, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<OriginBudget>& budget = budgets_[name];
  if (budget != nullptr) return budget;
  budget = std::make_shared<OriginBudget>(max_window_, exempt, name, &bell_);
  const std::shared_ptr<OriginBudget> made = budget;
  if (budgets_.size() >= sweep_at_) {
    // Whoever else holds one has a seat at it.
    absl::erase_if(budgets_, [&](const auto& entry) {
      return entry.second.use_count() == 1 && entry.second->idle(now);
    });
    sweep_at_ = std::max<size_t>(4096, 2 * budgets_.size());
  }
  return made;
}

size_t OriginBudgets::size() const {
  absl::MutexLock lock(&mutex_);
  return budgets_.size();
}

}  // namespace imgfleet::fetch
