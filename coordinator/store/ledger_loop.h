// The ledger's thread: gathers what is asked while the last transaction was being written, puts it into the
// next one, and answers when that is durable. So a lone verb waits for nobody, and under load one sync of the
// disk serves hundreds.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/listeners.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// What one transaction may carry: bounds the memory and the time that a batch takes.
inline constexpr size_t kMaxBatchCommands = 1024;
inline constexpr size_t kMaxBatchBytes = 16 << 20;

struct Command {
  // Fails only where the store does; may be called again after that.
  std::function<absl::Status(Batch&)> apply;
  // Called once, with the store's failure or OK once `apply` is durable.
  std::function<void(const absl::Status&)> answer;
  size_t bytes = 0;
};

class Ledger::Loop {
 public:
  Loop(std::unique_ptr<Store> store, const Clock& clock, Options options);
  ~Loop();

  void Enqueue(Command command);
  std::shared_ptr<void> Listen(Listener listener) { return listeners_.Add(std::move(listener)); }
  Store& store() { return *store_; }

 private:
  void Run();
  // False when all is done and the ledger ends. May be empty: then something fell due.
  bool Gather(std::vector<Command>& batch);
  void Process(std::vector<Command>& batch);
  // One transaction of these commands; OK when durable.
  absl::Status Commit(Command* commands, size_t count);

  const std::unique_ptr<Store> store_;
  const Clock& clock_;
  const Options options_;

  Listeners listeners_;

  // The thread's own.
  bool recovered_ = false;
  bool failing_ = false;
  absl::Time next_due_ = absl::InfiniteFuture();

  absl::Mutex mutex_;
  absl::CondVar wake_;
  std::deque<Command> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace imgfleet::store
