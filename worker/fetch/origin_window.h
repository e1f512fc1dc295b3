// How many requests one origin gets at a time: as many as it answers without slowing down.
//
// Slow start as TCP's: each success adds one, so the window doubles every round trip, until the origin shows
// strain (latency well above what it has been, a 429 or 503, a timeout); strain halves it, at most once per
// round trip, and growth is by one per window from then on. The rule looks at the time to the first byte of
// an answer.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace imgfleet::fetch {

// Not thread-safe. Pure.
class OriginWindow {
 public:
  static constexpr double kStart = 8;

  explicit OriginWindow(uint32_t max) : max_(max) {}

  bool HasRoom() const { return in_flight_ < static_cast<uint32_t>(size_); }
  void Start() {
    if (++in_flight_ >= static_cast<uint32_t>(size_)) filled_ = in_flight_;
  }
  // A request is over without saying anything of the origin's load.
  void End() { --in_flight_; }
  // The origin answered `latency` after the request. `useful`: more requests in flight would have helped the
  // caller.
  void Answered(absl::Duration latency, absl::Time now, bool useful);
  // The origin asked for less or did not answer in time. `sent` is when that request began, `now` the
  // present: answers to requests sent before the window was last halved do not halve it again.
  void Strained(absl::Time sent, absl::Time now);

  uint32_t size() const { return static_cast<uint32_t>(size_); }
  uint32_t in_flight() const { return in_flight_; }

 private:
  const double max_;
  double size_ = kStart;
  uint32_t in_flight_ = 0;
  bool slow_start_ = true;
  uint32_t filled_ =
      0;  // Answers still to come of the requests that last filled the window: only they make it grow.
  absl::Time halved_ = absl::InfinitePast(), answered_ = absl::InfinitePast();
  double usual_us_ = 0;   // Least recent latency, rising slowly.
  double recent_us_ = 0;  // Moving average over about sixteen answers.
};

}  // namespace imgfleet::fetch
