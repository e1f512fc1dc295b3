// Where time is read. Components take a Clock (or `now` as an argument) and never ask the system themselves,
// so that tests move time by hand.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace imgfleet {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Time since boot, suspended time included (CLOCK_BOOTTIME), as an absl::Time for arithmetic's sake: it
  // never jumps, and it means nothing outside this machine and this boot. For leases, deadlines and
  // intervals.
  virtual absl::Time Boot() const = 0;
  // The time of day. For records and people only; it may jump.
  virtual absl::Time Wall() const = 0;

  // The system's clock; lives for ever.
  static const Clock& System();
};

// Stands still until told to move. Both times advance together.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time wall = absl::FromUnixSeconds(1'700'000'000)) : wall_(wall) {}

  absl::Time Boot() const override;
  absl::Time Wall() const override;
  void Advance(absl::Duration by);

 private:
  mutable absl::Mutex mutex_;
  absl::Time boot_ ABSL_GUARDED_BY(mutex_) = absl::UnixEpoch() + absl::Hours(1);
  absl::Time wall_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet
