#include "worker/fetch/origin_window.h"

#include <algorithm>

namespace imgfleet::fetch {
namespace {

// Latency counts as flat up to twice the usual and this much, which passes for noise,
constexpr double kSlack = 0.005;
// as long as the delay amounts to no more than these requests, which merely wait for one another. Nor does a window that
// many larger than it is ever filled help.
constexpr double kWaiting = 64;
// Latency is averaged over about so many answers; fewer are no average.
constexpr int kAnswers = 16;

// An origin that has become slower for good is taken as it is after about this long. Much sooner, and every round of
// growth would excuse the next.
constexpr double kForget = 60;

// A window larger by this factor is to bring answers by that factor, or it is of no use.
constexpr double kLarger = 1.25;
constexpr double kMore = 1.1;
// A round is no shorter: answers come in bursts, and the rate of a few of them says nothing.
constexpr double kRound = 0.01;
// Rounds in a row that have to agree.
constexpr int kIdleRounds = 2;
constexpr double kHold = 10;

}  // namespace

bool OriginWindow::Flat(double latency, double now) {
  answers_ = std::min(answers_ + 1, kAnswers);
  recent_ += (latency - recent_) / answers_;
  if (answers_ < kAnswers) return true;
  if (usual_ == 0 || recent_ < usual_) {
    usual_ = recent_;
  } else {
    usual_ = std::min(recent_, usual_ * (1 + std::clamp(now - answered_, 0.0, 1.0) / kForget));
  }
  answered_ = now;
  return recent_ <= 2 * usual_ + std::min(kSlack, kWaiting * recent_ / size_);
}

void OriginWindow::BeginRound(double now) {
  round_began_ = now;
  round_size_ = size_;
  round_answers_ = 0;
}

void OriginWindow::CountRound(double latency, double now) {
  if (round_began_ == kEver) return BeginRound(now);
  ++round_answers_;
  if (now - latency < round_began_ || now < round_began_ + kRound) return;
  rate_ = round_answers_ / (now - round_began_);
  if (rate_ > best_rate_ * kMore) {
    best_rate_ = rate_;
    best_size_ = round_size_;
    idle_rounds_ = 0;
  } else if (round_size_ >= best_size_ * kLarger && ++idle_rounds_ >= kIdleRounds) {
    size_ = best_size_;
    best_rate_ = 0;
    idle_rounds_ = 0;
    hold_until_ = now + kHold;
  }
  BeginRound(now);
}

void OriginWindow::Answered(double latency, double now, bool useful) {
  const bool flat = Flat(latency, now);
  const bool filled = filled_ > 0;
  if (filled) --filled_;
  --in_flight_;
  if (!useful || !filled) {
    round_began_ = kEver;  // The caller had no more to ask for: this round says nothing.
    return;
  }
  CountRound(latency, now);
  if (!flat || idle_rounds_ > 0 || now < hold_until_) return;
  // Little's law: as many are at the origin as come per second, times how long each stays.
  if (size_ >= kWaiting + 2 * rate_ * recent_) return;
  size_ = std::min({size_ + (slow_start_ ? 1.0 : 1.0 / size_), 2 * round_size_, max_});
}

void OriginWindow::Strained(double sent, double now) {
  --in_flight_;
  if (sent < halved_) return;
  halved_ = now;
  slow_start_ = false;
  size_ = std::max(size_ / 2, 1.0);
  best_rate_ = 0;
  round_began_ = kEver;
}

}  // namespace imgfleet::fetch
