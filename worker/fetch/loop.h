// One event-loop thread: takes fetches in, turns its dispatcher, waits on its poller.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/fetch/dispatcher.h"
#include "worker/fetch/options.h"
#include "worker/fetch/poller.h"

namespace imgfleet::fetch {

// Thread-safe.
class Loop {
 public:
  // `options` and `beat` must outlive the loop. `ca_file` is the file to trust, empty for the system's.
  Loop(const Options& options, Dispatcher::Share share, const std::string& ca_file, Watchdog::Beat* beat);
  // Ends everything that is left with kAbandoned.
  ~Loop();

  void Add(std::vector<std::unique_ptr<Fetch>> fetches);
  void DropAbandoned();
  // Fetches not ended yet.
  uint32_t held() const { return held_.load(std::memory_order_relaxed); }
  // The thread has had next to no time to spare for a while: what more it is given waits.
  bool saturated() const { return saturated_.load(std::memory_order_relaxed); }

 private:
  void Run();
  void TakeOrders();
  void Wait();
  void OnEvent(int fd, Poller::Kind kind, uint32_t events);
  void LookForUrgent();
  void Wake();
  void MeasureLoad(absl::Duration waited);

  const Options& options_;
  const Dispatcher::Share share_;
  const std::string ca_file_;
  Watchdog::Beat* const beat_;
  const int wakeup_;

  std::atomic<uint32_t> held_{0};
  std::atomic<bool> saturated_{false};
  std::atomic<bool> ordered_{false};  // Something stands below.

  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Fetch>> inbox_ ABSL_GUARDED_BY(mutex_);
  bool drop_abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  // The thread's own.
  absl::Time now_, next_tick_ = absl::InfinitePast();
  bool stopping_ = false;
  double busy_ = 0;  // 1 where the thread never has to wait, moving average.
  absl::Time measured_since_;
  absl::Duration waited_;  // Since then.
  Poller poller_;
  Connections connections_;
  std::unique_ptr<Dispatcher> dispatcher_;

  std::thread thread_;  // The last: it uses all above.
};

}  // namespace imgfleet::fetch
