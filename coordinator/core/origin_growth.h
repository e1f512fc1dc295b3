// How many requests an open origin gets at a time from all workers together: what one worker's window had found, and more
// of it as long as that brings more answers per second; the law of worker/fetch/origin_window.h, over what is reported.
//
// Not thread-safe. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace imgfleet::core {

class OriginGrowth {
 public:
  static constexpr double kLeast = 8;

  // The origin is open to `window` requests at a time.
  void Begin(double window) {
    *this = OriginGrowth();
    size_ = std::max(window, kLeast);
  }
  // `answers` so far, by all; `in_flight` of them now.
  void Observe(uint64_t answers, uint64_t in_flight, absl::Time now) {
    const bool filled = static_cast<double>(in_flight) >= kFilled * size_;
    if (!filled || round_began_ == absl::InfinitePast()) {
      round_began_ = filled ? now : absl::InfinitePast();
      before_ = answers;
      return;
    }
    if (now - round_began_ < kRound) return;
    EndRound(static_cast<double>(answers - before_) / absl::ToDoubleSeconds(now - round_began_), now);
    round_began_ = now;
    before_ = answers;
  }
  uint32_t size() const { return static_cast<uint32_t>(size_); }

 private:
  static constexpr double kFilled = 0.7, kLarger = 1.25, kMore = 1.1, kStep = 1.5, kMost = 1 << 20;
  static constexpr int kIdleRounds = 2;
  static constexpr absl::Duration kRound = absl::Milliseconds(500), kHold = absl::Seconds(10);

  void EndRound(double rate, absl::Time now) {
    if (rate > best_rate_ * kMore) {
      best_rate_ = rate;
      best_size_ = size_;
      idle_rounds_ = 0;
    } else if (size_ >= best_size_ * kLarger && ++idle_rounds_ >= kIdleRounds) {
      // More at a time only wait for one another.
      size_ = best_size_;
      best_rate_ = 0;
      idle_rounds_ = 0;
      hold_until_ = now + kHold;
    }
    if (idle_rounds_ == 0 && now >= hold_until_) size_ = std::min(size_ * kStep, kMost);
  }

  double size_ = kLeast;
  absl::Time round_began_ = absl::InfinitePast();
  uint64_t before_ = 0;
  double best_rate_ = 0, best_size_ = 0;
  int idle_rounds_ = 0;
  absl::Time hold_until_ = absl::InfinitePast();
};

}  // namespace imgfleet::core
