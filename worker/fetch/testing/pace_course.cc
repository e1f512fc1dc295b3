#include "worker/fetch/testing/pace_course.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <utility>
#include <vector>

#include "common/backoff.h"
#include "worker/fetch/origin_budget.h"

namespace imgfleet::fetch {
namespace {

constexpr uint32_t kMaxRefusals = 10;  // As refusals.cc has it.

const absl::Time kBegin = absl::FromUnixSeconds(1'000'000);

absl::Time At(double seconds) { return kBegin + absl::Seconds(seconds); }

struct Event {
  double at, sent;
  enum Kind : uint8_t { kArrival, kAnswer, kRefusal, kRetry } kind;
  uint32_t refusals;  // Of this item, before.
  bool operator<(const Event& other) const { return at > other.at; }
};

class Simulation {
 public:
  Simulation(LimitedOrigin& origin, const Setting& setting, uint32_t seed)
      : origin_(origin),
        setting_(setting),
        random_(seed),
        budget_(std::make_shared<OriginBudget>(setting.in_flight, /*exempt=*/false)),
        seat_(budget_, &wake_) {}

  Course Run() {
    now_ = Uniform();
    const double begin = now_;
    left_ = to_come_ = setting_.items;
    while (left_ > 0) {
      while (Send()) continue;
      if (now_ < begin + 1) course_.in_flight_after_a_second = in_flight_;
      const double event = events_.empty() ? HUGE_VAL : events_.top().at;
      if (timer_ < event) {
        now_ = std::max(now_, std::exchange(timer_, HUGE_VAL));
        continue;
      }
      now_ = event;
      const Event next = events_.top();
      events_.pop();
      Happen(next);
    }
    budget_->Decline(seat_);
    course_.seconds = now_ - begin;
    const double trips = std::ceil(1.0 * setting_.items / setting_.in_flight);
    course_.best = std::max({origin_.best(setting_.items, begin) - begin + origin_.round_trip,
                             setting_.items / setting_.answers, trips * origin_.round_trip});
    return course_;
  }

 private:
  double Uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  uint32_t queued() const { return again_.size() + to_come_; }
  uint32_t known() const { return std::min(queued(), setting_.held - in_flight_); }

  // The next item, where it may go now.
  bool Send() {
    if (queued() == 0 || timer_ != HUGE_VAL || full_) return false;
    const OriginBudget::Turn turn = budget_->Start(seat_, At(now_), known() - 1);
    if (turn.kind == OriginBudget::Turn::kWait) {
      timer_ = absl::ToDoubleSeconds(turn.until - kBegin) + 0.002 * Uniform();
    }
    full_ = turn.kind == OriginBudget::Turn::kFull || turn.full;
    if (turn.kind != OriginBudget::Turn::kGo) return false;
    uint32_t refusals = 0;
    if (!again_.empty()) {
      refusals = again_.front();
      again_.pop_front();
    } else {
      --to_come_;
    }
    ++course_.requests;
    ++in_flight_;
    events_.push({now_ + Trip() / 2, now_, Event::kArrival, refusals});
    return true;
  }

  double Trip() { return origin_.round_trip * (0.95 + Uniform() / 10); }

  void Arrive(Event event) {
    const std::optional<double> delay = origin_.allow(now_, there_);
    served_ = std::max(served_, now_) + 1 / setting_.answers;
    ++there_;
    event.at = served_ + delay.value_or(0) + Trip() / 2;
    event.kind = delay.has_value() ? Event::kAnswer : Event::kRefusal;
    events_.push(event);
  }

  void Happen(const Event& event) {
    if (event.kind == Event::kArrival) return Arrive(event);
    if (event.kind == Event::kRetry) return again_.push_back(event.refusals);
    --in_flight_;
    --there_;
    full_ = false;
    if (event.kind == Event::kAnswer) {
      --left_;
      budget_->Answered(seat_, At(event.sent), absl::Seconds(now_ - event.sent), At(now_), /*useful=*/true,
                        known() > 0);
      return;
    }
    ++course_.refused;
    OriginBudget::Refusal refusal;
    refusal.sent = At(event.sent);
    refusal.now = At(now_);
    refusal.status = origin_.status;
    if (const double wait = origin_.retry_after(now_); wait > 0) refusal.retry_after = absl::Seconds(wait);
    refusal.again = event.refusals > 0;
    refusal.random = Uniform();
    budget_->Refused(seat_, refusal, known() > 0);
    const uint32_t refusals = event.refusals + 1;
    if (refusals >= kMaxRefusals) {
      --left_;
      ++course_.lost;
    } else if (refusals == 1) {
      again_.push_front(refusals);
    } else {
      const double wait = absl::ToDoubleSeconds(backoff_.Wait(refusals - 1, Uniform()));
      events_.push({now_ + wait, 0, Event::kRetry, refusals});
    }
  }

  LimitedOrigin& origin_;
  const Setting setting_;
  std::mt19937 random_;
  const Backoff backoff_;
  const std::function<void()> wake_ = [this] { full_ = false; };
  const std::shared_ptr<OriginBudget> budget_;
  OriginBudget::Seat seat_;

  Course course_;
  double now_ = 0, timer_ = HUGE_VAL;
  double served_ = 0;                   // When the server has dealt with all it was asked.
  uint32_t in_flight_ = 0, there_ = 0;  // From the worker's view, and from the server's.
  int left_ = 0, to_come_ = 0;          // Items without an outcome, and never sent.
  std::deque<uint32_t> again_;          // How often those were refused that are to go again.
  bool full_ = false;
  std::priority_queue<Event> events_;
};

}  // namespace

Course Fetch(LimitedOrigin& origin, const Setting& setting, uint32_t seed) {
  return Simulation(origin, setting, seed).Run();
}

}  // namespace imgfleet::fetch
