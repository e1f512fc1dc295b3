// A condition variable whose waits end by the steady clock.
//
// Those of absl::CondVar end by the wall clock: where that is set back by an hour, a wait of a second takes an hour
// longer. Whoever keeps a promise about time (a lease that lapses, a report that is due) waits with this one.
//
// Thread-safe, as absl::CondVar is.
#pragma once

#include <chrono>
#include <condition_variable>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace imgfleet {

class SteadyCondVar {
 public:
  // Unlocks the mutex, waits for a signal or until `limit` is over, and locks it again. True: it was over. May also
  // return for nothing.
  bool WaitFor(absl::Mutex& mutex, absl::Duration limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Lock lock{mutex};
    // Where adding to the clock's time cannot overflow.
    const absl::Duration bounded = limit < kLongest ? limit : kLongest;
    return signal_.wait_for(lock, absl::ToChronoNanoseconds(bounded)) == std::cv_status::timeout &&
           bounded == limit;
  }
  void Signal() { signal_.notify_one(); }
  void SignalAll() { signal_.notify_all(); }

 private:
  static constexpr absl::Duration kLongest = absl::Hours(24);

  struct Lock {
    absl::Mutex& mutex;
    void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
    void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }
  };

  std::condition_variable_any signal_;
};

}  // namespace imgfleet
