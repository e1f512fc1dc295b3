// Frees a loop that libcurl does not give back. libcurl 7.88 reads an HTTP/2 connection until its socket is empty as
// long as nothing comes for the stream that it looks at: an origin that sends empty frames (DATA, PING, SETTINGS) as fast
// as they are read holds the loop, and every item in it, for ever. No limit of libcurl's applies.
//
// A thread looks at every loop a few times a second. One that has spent kMostCpu in a single call into libcurl, without
// libcurl's handing anything on, is freed by shutting down the connection that it is reading from.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/steady_cond_var.h"

namespace imgfleet::fetch {

// Thread-safe.
class Watchdog {
 public:
  // CPU time, so that a thread that is merely not given any is left alone. Libcurl takes no tenth of it between two things
  // that it hands on; what is done with them, as inflating a bomb up to its limit, does not count.
  static constexpr absl::Duration kMostCpu = absl::Milliseconds(150);

  // What one loop does; the loop's thread calls, the watchdog looks on.
  class Beat {
   public:
    // To be called by the loop's thread first of all.
    void Begin();
    // Around each call into libcurl.
    void Enter() { calls_.fetch_add(1, std::memory_order_relaxed); }
    void Leave() { calls_.fetch_add(1, std::memory_order_relaxed); }
    // Around what libcurl calls back, within such a call.
    class Callback {
     public:
      explicit Callback(Beat* beat) : beat_(beat) {
        beat_->callbacks_.fetch_add(1, std::memory_order_relaxed);
      }
      ~Callback() { beat_->callbacks_.fetch_add(1, std::memory_order_relaxed); }
      Callback(const Callback&) = delete;
      Callback& operator=(const Callback&) = delete;

     private:
      Beat* const beat_;
    };
    // The loop's sockets.
    void Opened(int fd);
    void Closed(int fd);
    // The local port of a connection that has been shut down since the last call, else 0.
    int TakeFreed() {
      return freed_.load(std::memory_order_relaxed) == 0 ? 0 : freed_.exchange(0, std::memory_order_relaxed);
    }

   private:
    friend class Watchdog;
    absl::Duration Cpu() const;
    // Shuts down the connection that is being read from.
    void Free();

    std::atomic<uint64_t> calls_{0};      // Odd: within a call.
    std::atomic<uint64_t> callbacks_{0};  // Odd: within a callback.
    std::atomic<bool> begun_{false};
    std::atomic<int> freed_{0};
    clockid_t cpu_clock_ = 0;  // Set before begun_.
    absl::Mutex mutex_;
    absl::flat_hash_set<int> sockets_ ABSL_GUARDED_BY(mutex_);

    // The watchdog's own.
    uint64_t seen_calls_ = 0, seen_callbacks_ = 0;
    absl::Duration seen_cpu_;
  };

  // Watches `loops` beats.
  explicit Watchdog(size_t loops);
  ~Watchdog();

  Beat* beat(size_t loop) { return beats_[loop].get(); }

 private:
  void Run();
  static void Look(Beat& beat);

  std::vector<std::unique_ptr<Beat>> beats_;
  absl::Mutex mutex_;
  SteadyCondVar stopped_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace imgfleet::fetch
