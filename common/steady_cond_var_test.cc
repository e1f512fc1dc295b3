#include "common/steady_cond_var.h"

#include <gtest/gtest.h>

#include <thread>

namespace imgfleet {
namespace {

TEST(SteadyCondVar, ASignalEndsAWaitThatWouldLastForEver) {
  for (const absl::Duration limit : {absl::Hours(1), absl::InfiniteDuration()}) {
    absl::Mutex mutex;
    SteadyCondVar signal;
    bool ready = false;
    std::thread other([&] {
      absl::MutexLock lock(&mutex);
      ready = true;
      signal.Signal();
    });
    {
      absl::MutexLock lock(&mutex);
      while (!ready) EXPECT_FALSE(signal.WaitFor(mutex, limit));
    }
    other.join();
  }
}

TEST(SteadyCondVar, AWaitEndsByItself) {
  absl::Mutex mutex;
  SteadyCondVar signal;
  absl::MutexLock lock(&mutex);
  while (!signal.WaitFor(mutex, absl::Milliseconds(1))) {
  }
  while (!signal.WaitFor(mutex, absl::ZeroDuration())) {
  }
  while (!signal.WaitFor(mutex, -absl::InfiniteDuration())) {
  }
}

}  // namespace
}  // namespace imgfleet
