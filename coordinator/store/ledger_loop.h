// How the ledger works: what is asked while the last transaction was being written is gathered, put into the
// next one, and answered when that is durable. So a lone verb waits for nobody, and under load one sync of the
// disk serves hundreds. Loop does that a batch at a time, whenever somebody turns it; LoopThread is who does, where it is
// not done by whoever asks: then LoopThread is left with what falls due.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/steady_cond_var.h"
#include "coordinator/core/trials.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/command_queue.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/listeners.h"
#include "coordinator/store/store.h"
#include "coordinator/store/store_health.h"

namespace imgfleet::store {

class Ledger::Loop {
 public:
  Loop(std::unique_ptr<Store> store, const Clock& clock, Options options, bool turned_by_who_asks);
  ~Loop();

  // Thread-safe.
  void Enqueue(Command command);
  std::shared_ptr<void> Listen(Listener listener) { return listeners_.Add(std::move(listener)); }
  Store& store() { return *store_; }
  // Other coordinators work on the store too: commands must declare what they touch.
  bool shared() const { return shared_; }
  absl::Status Health() const;
  // Everything asked so far is still to be done; WaitForWork then says that it is time to end.
  void Stop();
  // Until somebody has asked for something or something falls due; then this thread alone turns it, until Rest. False when
  // all is done and the ledger ends.
  bool WaitForWork();
  void Rest();

  // --- Of the one that turns it -------------------------------------------------------------------------------

  // Makes one batch of what was asked so far and of what fell due, and answers it. Where there is neither, it
  // commits nothing but what the clock says.
  void Turn();
  // Whether anything was asked, or heard of others, that no Turn has seen to.
  bool asked() const;
  // When Turn has something to do although nobody asks, as far as is known.
  absl::Time next_due() const;
  // A worker is there, or has gone. To be called by what a command answers.
  void Came(const std::string& worker);
  void Left(const std::string& worker, bool in_peace);

 private:
  std::vector<Command> Gather();
  void Process(std::vector<Command>& batch);
  // Answers those, but puts what is to be called again back into the queue.
  void Answer(Command* commands, size_t count, const absl::Status& status);
  // One transaction of these commands, tried again while that may help; OK when durable.
  absl::Status Commit(Command* commands, size_t count);
  absl::Status TryToCommit(Command* commands, size_t count);
  absl::Status Apply(Batch& batch, Command* commands, size_t count);
  Declared Declare(const Command* commands, size_t count);
  void WaitUntilDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Wakes who waits for what falls due, if that is earlier than was known.
  void LeaveTurning() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Passes on what other coordinators did.
  void TellNews();
  // The store's time, as far as is known without asking it.
  absl::Time StoreNow() const { return clock_.Boot() + ahead_; }

  const std::unique_ptr<Store> store_;
  const bool shared_;
  const bool turned_by_who_asks_;
  const Clock& clock_;
  const Options options_;

  Listeners listeners_;

  // Of the one that turns it.
  bool recovered_ = false;
  bool failing_ = false;
  Changes in_doubt_;  // Of transactions that seemed to fail since the last one that did not.
  absl::Time next_due_ = absl::InfiniteFuture();     // Of shards; where the store fails, when to try again.
  absl::Time next_schedule_ = absl::InfinitePast();  // Wall.
  absl::Time next_schedule_look_ = absl::InfinitePast();  // For schedules of other coordinators.
  absl::Time next_sweep_ = absl::InfinitePast();          // Of what retention takes.
  // Only where the store is shared. When next to look what leases of others ran out; jobs and names for the next batch to
  // declare; see Sharing; commands of the last batch that are to be called again.
  absl::Time next_look_ = absl::InfinitePast();
  std::set<std::string> declare_next_, names_next_;
  std::map<std::string, absl::Time> given_;
  std::set<size_t> again_;
  core::Muster muster_;
  core::Trials trials_;
  absl::Duration ahead_;  // The store's clock of ours.

  mutable absl::Mutex health_mutex_;
  StoreHealth health_ ABSL_GUARDED_BY(health_mutex_);

  mutable absl::Mutex mutex_;
  SteadyCondVar wake_;
  CommandQueue queue_ ABSL_GUARDED_BY(mutex_);
  News news_ ABSL_GUARDED_BY(mutex_);
  bool heard_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool turning_ ABSL_GUARDED_BY(mutex_) = false;                           // Somebody does.
  absl::Time waits_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // Who waits for work.
};

// Turns a loop as long as it lives. At its end it finishes what is queued.
class Ledger::LoopThread {
 public:
  explicit LoopThread(Loop& loop);
  ~LoopThread();

 private:
  Loop& loop_;
  std::thread thread_;
};

}  // namespace imgfleet::store
