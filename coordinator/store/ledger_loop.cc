#include "coordinator/store/ledger_loop.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/log.h"
#include "common/status.h"

namespace imgfleet::store {
namespace {

// How soon work that fell due is tried again where the store fails.
constexpr absl::Duration kStoreRetry = absl::Seconds(1);
// The wall clock may be set, and other coordinators make schedules: how soon that is noticed.
constexpr absl::Duration kLongestRest = absl::Seconds(10);
// Between two looks for jobs that retention takes, and between two slices of them: time that is the workers'.
constexpr absl::Duration kSweepInterval = absl::Minutes(1);
constexpr absl::Duration kSlicePause = absl::Milliseconds(20);

}  // namespace

Ledger::Loop::Loop(std::unique_ptr<Store> store, const Clock& clock, Options options)
    : store_(std::move(store)), clock_(clock), options_(options) {
  // Before anybody can read what the last coordinator left. A failure is met again, and told, by the first
  // batch.
  (void)Commit(nullptr, 0);
}

void Ledger::Loop::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  wake_.Signal();
}

void Ledger::Loop::Enqueue(Command command) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(command));
  wake_.Signal();
}

bool Ledger::Loop::asked() const {
  absl::MutexLock lock(&mutex_);
  return !queue_.empty();
}

bool Ledger::Loop::WaitForWork() {
  const absl::Duration rest = std::max(next_due_ - clock_.Boot(), absl::ZeroDuration());
  absl::MutexLock lock(&mutex_);
  // Woken for nothing, it finds nothing due: a batch of no commands.
  if (!stopping_ && queue_.empty()) wake_.WaitFor(mutex_, rest);
  return !queue_.empty() || !stopping_;
}

void Ledger::Loop::Turn() {
  std::vector<Command> batch = Gather();
  Process(batch);
}

std::vector<Command> Ledger::Loop::Gather() {
  std::vector<Command> batch;
  size_t bytes = 0;
  absl::MutexLock lock(&mutex_);
  while (!queue_.empty() && batch.size() < kMaxBatchCommands && bytes < kMaxBatchBytes) {
    bytes += queue_.front().bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void Ledger::Loop::Process(std::vector<Command>& batch) {
  const absl::Status together = Commit(batch.data(), batch.size());
  if (together.ok() || batch.size() == 1) {
    for (Command& command : batch) command.answer(together);
    return;
  }
  // One by one, so that one which cannot be stored does not take its neighbours with it.
  for (Command& command : batch) command.answer(Commit(&command, 1));
}

absl::Status Ledger::Loop::Commit(Command* commands, size_t count) {
  Ledger::Changes changes;
  const bool recovering = !recovered_ && store_->Exclusive();
  const absl::Time wall = clock_.Wall();
  const absl::Time boot = clock_.Boot();
  const bool sweeping = options_.retention < absl::InfiniteDuration() && boot >= next_sweep_;
  const bool scheduling = wall >= next_schedule_ || (!store_->Exclusive() && boot >= next_look_);
  bool more_to_delete = false;
  absl::Time next_due, next_schedule = next_schedule_;
  absl::Status status = store_->Transact([&](Transaction& transaction) {
    Batch batch(transaction, wall, options_);
    if (recovering) {
      RETURN_IF_ERROR(batch.Recover());
      RETURN_IF_ERROR(batch.Flush());
    }
    if (sweeping) {
      ASSIGN_OR_RETURN(more_to_delete, batch.Sweep(wall - options_.retention));
    }
    RETURN_IF_ERROR(batch.ComeDue());
    if (scheduling) RETURN_IF_ERROR(batch.FireSchedules());
    for (size_t i = 0; i < count; ++i) RETURN_IF_ERROR(commands[i].apply(batch));
    RETURN_IF_ERROR(batch.Flush());
    ASSIGN_OR_RETURN(next_due, transaction.NextDue());
    if (batch.schedules_changed()) {
      ASSIGN_OR_RETURN(next_schedule, transaction.NextSchedule());
    }
    changes = batch.TakeChanges();
    return absl::OkStatus();
  });
  if (!status.ok()) {
    status = Annotate(status, "store");
    if (!failing_) log::Error("the store fails, nothing is lost: %s", std::string(status.message()));
    failing_ = true;
    next_due_ = clock_.Boot() + kStoreRetry;
    return status;
  }
  if (failing_) log::Info("the store works again");
  failing_ = false;
  recovered_ = true;
  if (sweeping) {
    next_sweep_ = boot + (more_to_delete ? kSlicePause : std::min(kSweepInterval, options_.retention / 8));
  }
  next_schedule_ = next_schedule;
  if (scheduling) next_look_ = boot + kLongestRest;
  next_due_ = std::min(next_due, NextOfItself(wall, boot));
  if (!changes.jobs.empty() || changes.work_available) listeners_.Tell(changes);
  return absl::OkStatus();
}

absl::Time Ledger::Loop::NextOfItself(absl::Time wall, absl::Time boot) const {
  absl::Time next = absl::InfiniteFuture();
  if (options_.retention < absl::InfiniteDuration()) next = next_sweep_;
  if (!store_->Exclusive()) next = std::min(next, next_look_);
  if (next_schedule_ == absl::InfiniteFuture()) return next;
  return std::min(next, boot + std::min(next_schedule_ - wall, kLongestRest));
}

Ledger::LoopThread::LoopThread(Loop& loop) : loop_(loop) {
  thread_ = std::thread([this] {
    while (loop_.WaitForWork()) loop_.Turn();
  });
}

Ledger::LoopThread::~LoopThread() {
  loop_.Stop();
  thread_.join();
}

}  // namespace imgfleet::store
