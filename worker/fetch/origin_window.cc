#include "worker/fetch/origin_window.h"

#include <algorithm>

namespace imgfleet::fetch {
namespace {

// Latency counts as flat up to twice the usual and this much: what passes for noise.
constexpr double kSlack = 0.005;

// An origin that has become slower for good is taken as it is after about this long. Much sooner, and every round of
// growth would excuse the next.
constexpr double kForget = 60;

// A window larger by this factor is to bring answers by that factor, or it is of no use.
constexpr double kLarger = 1.25;
constexpr double kMore = 1.1;
// Rounds in a row that have to agree.
constexpr int kIdleRounds = 2;
constexpr double kHold = 10;

}  // namespace

bool OriginWindow::Flat(double latency, double now) {
  recent_ = recent_ == 0 ? latency : recent_ + (latency - recent_) / 16;
  if (usual_ == 0 || recent_ < usual_) {
    usual_ = recent_;
  } else {
    usual_ = std::min(recent_, usual_ * (1 + std::clamp(now - answered_, 0.0, 1.0) / kForget));
  }
  answered_ = now;
  return recent_ <= 2 * usual_ + kSlack;
}

void OriginWindow::BeginRound(double now) {
  round_began_ = now;
  round_answers_ = 0;
}

void OriginWindow::CountRound(double latency, double now) {
  if (round_began_ == kEver) return BeginRound(now);
  ++round_answers_;
  if (now - latency < round_began_ || now <= round_began_) return;
  const double rate = round_answers_ / (now - round_began_);
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
  if (!flat || now < hold_until_) return;
  size_ = std::min(size_ + (slow_start_ ? 1.0 : 1.0 / size_), max_);
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
