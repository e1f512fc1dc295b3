// Ctrl-C: the first asks for a clean end, the second ends the process at once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::cli {

// Exit code of a command that was interrupted: 128 + SIGINT, as shells have it.
inline constexpr int kInterrupted = 130;

// Takes SIGINT and SIGTERM over from the moment it is made: make it first in main, before any other thread,
// since threads inherit which signals they leave alone. Thread-safe.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();

  bool requested() const;

  // Calls `stop` once when a clean end is asked for, on a thread of its own; at once where it has been. It
  // must be quick and is never called after the handle is gone.
  [[nodiscard]] std::shared_ptr<void> OnRequest(std::function<void()> stop);

 private:
  void Watch();

  int signals_ = -1;  // signalfd
  int end_ = -1;      // eventfd: the watcher is to end.

  mutable absl::Mutex mutex_;
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
  int next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int, std::function<void()>> stops_ ABSL_GUARDED_BY(mutex_);

  std::thread watcher_;  // Last: it uses all of the above.
};

}  // namespace imgfleet::cli
