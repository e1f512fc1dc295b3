// Whether the coordinator stops, for what waits in the background: a wait for a failing store ends at once then.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace imgfleet::service {

// Thread-safe.
class Stopping {
 public:
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    stopped_now_.SignalAll();
  }
  bool stopped() const {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  }
  // Waits for so long, or until Stop. True: it was stopped.
  bool Rest(absl::Duration duration) {
    const absl::Time until = absl::Now() + duration;
    absl::MutexLock lock(&mutex_);
    while (!stopped_ && !stopped_now_.WaitWithDeadline(&mutex_, until)) {
    }
    return stopped_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::CondVar stopped_now_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::service
