// Simulated time: what is to happen, in order. Events of one moment happen in the order in which they were asked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/clock.h"

namespace imgfleet::simulation {

class Timeline {
 public:
  absl::Time now() const { return now_; }
  static absl::Time Start() { return absl::UnixEpoch() + absl::Hours(1'000); }

  void At(absl::Time when, std::function<void()> what) {
    events_.push({std::max(when, now_), ++asked_, std::move(what)});
  }
  void After(absl::Duration wait, std::function<void()> what) { At(now_ + wait, std::move(what)); }

  // The next event; false when there is none.
  bool Step() {
    if (events_.empty()) return false;
    // The queue gives const access only, and the event goes next.
    const std::function<void()> what = std::move(const_cast<Event&>(events_.top()).what);
    now_ = events_.top().when;
    events_.pop();
    ++happened_;
    what();
    return true;
  }
  uint64_t happened() const { return happened_; }

 private:
  struct Event {
    absl::Time when;
    uint64_t number = 0;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return when != other.when ? when > other.when : number > other.number;
    }
  };

  absl::Time now_ = Start();
  uint64_t asked_ = 0;
  uint64_t happened_ = 0;
  std::priority_queue<Event> events_;
};

// A node's own clock: it goes faster or slower than simulated time, and begins anywhere.
class NodeClock final : public Clock {
 public:
  NodeClock(const Timeline& timeline, double rate, absl::Time origin)
      : timeline_(timeline), rate_(rate), since_(timeline.now()), origin_(origin) {}

  absl::Time Boot() const override { return origin_ + (timeline_.now() - since_) * rate_; }
  absl::Time Wall() const override {
    return absl::FromUnixSeconds(1'700'000'000) + (timeline_.now() - Timeline::Start());
  }
  // When this clock will show `local`; never before now.
  absl::Time Global(absl::Time local) const {
    if (local == absl::InfiniteFuture()) return local;
    // Not a nanosecond early, or an event that waits for its time would find that it has not come.
    return std::max(timeline_.now(), since_ + (local - origin_) / rate_ + absl::Nanoseconds(2));
  }
  // The machine was started again.
  void Reboot(absl::Time origin) {
    since_ = timeline_.now();
    origin_ = origin;
  }

 private:
  const Timeline& timeline_;
  const double rate_;
  absl::Time since_;
  absl::Time origin_;
};

}  // namespace imgfleet::simulation
