// A few threads for what may wait: reading the store, parsing lists. gRPC's own threads and the ledger's never do.
#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace imgfleet::service {

// Thread-safe.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();  // As Stop.

  // Runs it on one of the threads, first come first served. After Stop it is dropped unrun.
  void Post(std::function<void()> work);
  // The same once `delay` is over, by the steady clock.
  void PostAfter(absl::Duration delay, std::function<void()> work);
  // Finishes what has begun, drops what has not. Once; never from one of the threads.
  void Stop();

 private:
  class Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace imgfleet::service
