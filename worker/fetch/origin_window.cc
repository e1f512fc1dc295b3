#include "worker/fetch/origin_window.h"

#include <algorithm>

namespace imgfleet::fetch {
namespace {

// Latency counts as flat up to twice the usual and this much: what passes for noise.
constexpr double kSlackUs = 5'000;

// An origin that has become slower for good is taken as it is after about this long. Much sooner, and every round of
// growth would excuse the next.
constexpr absl::Duration kForget = absl::Minutes(1);

// A window larger by this factor is to bring answers by that factor, or it is of no use.
constexpr double kLarger = 1.25;
constexpr double kMore = 1.1;
// Rounds in a row that have to agree.
constexpr int kIdleRounds = 2;
constexpr absl::Duration kHold = absl::Seconds(10);

}  // namespace

bool OriginWindow::Flat(absl::Duration latency, absl::Time now) {
  const double us = absl::ToDoubleMicroseconds(latency);
  recent_us_ = recent_us_ == 0 ? us : recent_us_ + (us - recent_us_) / 16;
  if (usual_us_ == 0 || recent_us_ < usual_us_) {
    usual_us_ = recent_us_;
  } else {
    const absl::Duration passed = std::clamp(now - answered_, absl::ZeroDuration(), absl::Seconds(1));
    usual_us_ = std::min(recent_us_, usual_us_ * (1 + absl::FDivDuration(passed, kForget)));
  }
  answered_ = now;
  return recent_us_ <= 2 * usual_us_ + kSlackUs;
}

void OriginWindow::BeginRound(absl::Time now) {
  round_began_ = now;
  round_answers_ = 0;
}

void OriginWindow::CountRound(absl::Duration latency, absl::Time now) {
  if (round_began_ == absl::InfiniteFuture()) return BeginRound(now);
  ++round_answers_;
  if (now - latency < round_began_ || now <= round_began_) return;
  const double rate = round_answers_ / absl::ToDoubleSeconds(now - round_began_);
  BeginRound(now);
  if (rate > best_rate_ * kMore) {
    best_rate_ = rate;
    best_size_ = size_;
    idle_rounds_ = 0;
  } else if (size_ >= best_size_ * kLarger && ++idle_rounds_ >= kIdleRounds) {
    size_ = best_size_;
    best_rate_ = 0;
    idle_rounds_ = 0;
    hold_until_ = now + kHold;
  }
}

void OriginWindow::Answered(absl::Duration latency, absl::Time now, bool useful) {
  const bool flat = Flat(latency, now);
  const bool filled = filled_ > 0;
  if (filled) --filled_;
  --in_flight_;
  if (!useful || !filled) {
    round_began_ = absl::InfiniteFuture();  // The caller had no more to ask for: this round says nothing.
    return;
  }
  CountRound(latency, now);
  if (!flat || now < hold_until_) return;
  size_ = std::min(size_ + (slow_start_ ? 1.0 : 1.0 / size_), max_);
}

void OriginWindow::Strained(absl::Time sent, absl::Time now) {
  --in_flight_;
  if (sent < halved_) return;
  halved_ = now;
  slow_start_ = false;
  size_ = std::max(size_ / 2, 1.0);
  best_rate_ = 0;
  round_began_ = absl::InfiniteFuture();
}

}  // namespace imgfleet::fetch
