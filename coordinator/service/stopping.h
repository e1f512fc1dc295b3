// Whether the coordinator stops, for what waits in the background: a wait for a failing store ends at once then.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/steady_cond_var.h"

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
    absl::MutexLock lock(&mutex_);
    // Woken for nothing it rests for less: it is but a pause between tries.
    if (!stopped_) stopped_now_.WaitFor(mutex_, duration);
    return stopped_;
  }

 private:
  mutable absl::Mutex mutex_;
  SteadyCondVar stopped_now_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::service
