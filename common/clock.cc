#include "common/clock.h"

#include <time.h>

namespace imgfleet {
namespace {

class SystemClock final : public Clock {
 public:
  absl::Time Boot() const override {
    timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return absl::TimeFromTimespec(ts);
  }
  absl::Time Wall() const override { return absl::Now(); }
};

}  // namespace

const Clock& Clock::System() {
  static const SystemClock* clock = new SystemClock;
  return *clock;
}

absl::Time FakeClock::Boot() const {
  absl::MutexLock lock(&mutex_);
  return boot_;
}

absl::Time FakeClock::Wall() const {
  absl::MutexLock lock(&mutex_);
  return wall_;
}

void FakeClock::Advance(absl::Duration by) {
  absl::MutexLock lock(&mutex_);
  boot_ += by;
  wall_ += by;
}

}  // namespace imgfleet
