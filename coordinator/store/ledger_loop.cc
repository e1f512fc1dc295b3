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
// How often a transaction that the store gave up is tried as it is.
constexpr int kTries = 4;
// How soon a lease is noticed that another coordinator gave, and that ran out because it died.
constexpr absl::Duration kLookEvery = absl::Seconds(1);

// Whom it concerns, not how much of it.
void Join(const Ledger::Changes& more, Ledger::Changes* to) {
  to->jobs.insert(to->jobs.end(), more.jobs.begin(), more.jobs.end());
  to->stopped.insert(to->stopped.end(), more.stopped.begin(), more.stopped.end());
  to->work_available |= more.work_available;
  to->lists_waiting |= more.lists_waiting;
}

}  // namespace

Ledger::Loop::Loop(std::unique_ptr<Store> store, const Clock& clock, Options options, bool turned_by_who_asks)
    : store_(std::move(store)),
      shared_(!store_->Exclusive()),
      turned_by_who_asks_(turned_by_who_asks),
      clock_(clock),
      options_(options) {
  // Before anybody can read what the last coordinator left. A failure is met again, and told, by the first
  // batch.
  (void)Commit(nullptr, 0);
  store_->Hear([this](News news) {
    absl::MutexLock lock(&mutex_);
    news_.jobs.insert(news_.jobs.end(), news.jobs.begin(), news.jobs.end());
    news_.stopped.insert(news_.stopped.end(), news.stopped.begin(), news.stopped.end());
    news_.work |= news.work;
    heard_ = true;
    wake_.Signal();
  });
}

Ledger::Loop::~Loop() { store_->Deafen(); }

void Ledger::Loop::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  wake_.Signal();
}

void Ledger::Loop::Enqueue(Command command) {
  {
    absl::MutexLock lock(&mutex_);
    queue_.Push(std::move(command));
    if (!turned_by_who_asks_) return wake_.Signal();
    // Who turns it takes this along, perhaps a caller of this one.
    if (std::exchange(turning_, true)) return;
  }
  for (bool more = true; more;) {
    Turn();
    absl::MutexLock lock(&mutex_);
    more = !queue_.empty();
    if (!more) LeaveTurning();
  }
}

void Ledger::Loop::LeaveTurning() {
  turning_ = false;
  if (stopping_ || next_due() < waits_until_) wake_.Signal();
}

absl::Status Ledger::Loop::Health() const {
  const absl::Status reached = store_->Reached();
  absl::MutexLock lock(&health_mutex_);
  return health_.Judge(reached, clock_.Boot());
}

bool Ledger::Loop::asked() const {
  absl::MutexLock lock(&mutex_);
  return !queue_.empty() || heard_;
}

bool Ledger::Loop::WaitForWork() {
  absl::MutexLock lock(&mutex_);
  // Woken for nothing, it finds nothing due: a batch of no commands.
  if (!stopping_ && queue_.empty() && !heard_) WaitUntilDue();
  while (turning_) WaitUntilDue();
  turning_ = !queue_.empty() || !stopping_;
  return turning_;
}

void Ledger::Loop::WaitUntilDue() {
  // What falls due is known to the one that turns it, who says so in the end.
  waits_until_ = turning_ ? absl::InfiniteFuture() : next_due();
  wake_.WaitFor(mutex_, std::max(waits_until_ - clock_.Boot(), absl::ZeroDuration()));
  waits_until_ = absl::InfinitePast();
}

void Ledger::Loop::Rest() {
  absl::MutexLock lock(&mutex_);
  turning_ = false;
}

void Ledger::Loop::Turn() {
  if (shared_) TellNews();
  std::vector<Command> batch = Gather();
  Process(batch);
}

void Ledger::Loop::TellNews() {
  News news;
  {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(heard_, false)) return;
    news = std::exchange(news_, News());
  }
  Ledger::Changes changes;
  changes.jobs = std::move(news.jobs);
  changes.work_available = news.work;
  // It may be old: a job that goes on meanwhile keeps the leases it has now.
  for (std::string& id : news.stopped) {
    const absl::StatusOr<std::optional<core::Job>> job = store_->GetJob(id);
    if (job.ok() && *job && !core::Ended((*job)->state) && !(*job)->paused) continue;
    changes.stopped.push_back(std::move(id));
  }
  listeners_.Tell(changes);
}

std::vector<Command> Ledger::Loop::Gather() {
  absl::MutexLock lock(&mutex_);
  return queue_.Take();
}

void Ledger::Loop::Process(std::vector<Command>& batch) {
  const absl::Status together = Commit(batch.data(), batch.size());
  if (together.ok() || batch.size() == 1) return Answer(batch.data(), batch.size(), together);
  // One by one, so that one which cannot be stored does not take its neighbours with it.
  for (Command& command : batch) Answer(&command, 1, Commit(&command, 1));
}

void Ledger::Loop::Answer(Command* commands, size_t count, const absl::Status& status) {
  for (size_t i = 0; i < count; ++i) {
    if (!status.ok() || again_.count(i) == 0) commands[i].answer(status);
  }
  if (!status.ok() || again_.empty()) return;
  // The last one first, so that they keep their order.
  absl::MutexLock lock(&mutex_);
  for (auto i = again_.rbegin(); i != again_.rend(); ++i) queue_.PushFront(std::move(commands[*i]));
}

absl::Status Ledger::Loop::Commit(Command* commands, size_t count) {
  absl::Status status;
  for (int tries = 0; tries < kTries; ++tries) {
    status = TryToCommit(commands, count);
    if (!absl::IsAborted(status)) break;
  }
  if (!status.ok()) {
    status = Annotate(status, "store");
    if (!failing_) log::Error("the store fails, nothing is lost: %s", std::string(status.message()));
    failing_ = true;
    next_due_ = clock_.Boot() + kStoreRetry;
    next_look_ = next_due_;
    return status;
  }
  if (failing_) log::Info("the store works again");
  failing_ = false;
  recovered_ = true;
  return absl::OkStatus();
}

absl::Status Ledger::Loop::TryToCommit(Command* commands, size_t count) {
  const bool recovering = !recovered_ && !shared_;
  const absl::Time wall = clock_.Wall(), begun = clock_.Boot();
  const bool look = !shared_ || begun >= std::min(next_due_, next_look_);
  const bool sweeping = options_.retention < absl::InfiniteDuration() && begun >= next_sweep_;
  const bool scheduling = wall >= next_schedule_ || (shared_ && begun >= next_schedule_look_);
  const Declared declared = Declare(commands, count);
  const std::set<std::string> jobs(declared.jobs.begin(), declared.jobs.end());
  Ledger::Changes changes;
  absl::Time now, next_due = absl::InfiniteFuture(), next_schedule = next_schedule_;
  bool more_to_delete = false;
  std::set<std::string> passed_over, names_passed_over;
  std::map<std::string, absl::Time> given;
  core::Trials trials;
  bool left_to_others = false;
  again_.clear();
  {
    absl::MutexLock lock(&health_mutex_);
    health_.Began(begun);
  }
  const absl::Status stored = store_->Transact(declared, [&](Transaction& transaction) {
    Batch batch(transaction, wall, options_, {!shared_, &jobs, &given_}, {&muster_, &trials_});
    if (recovering) RETURN_IF_ERROR(batch.Recover());
    if (sweeping) {
      ASSIGN_OR_RETURN(more_to_delete, batch.Sweep(wall - options_.retention));
    }
    if (look && shared_) RETURN_IF_ERROR(batch.BringNearer());
    if (look) RETURN_IF_ERROR(batch.ComeDue());
    if (scheduling) RETURN_IF_ERROR(batch.FireSchedules());
    RETURN_IF_ERROR(Apply(batch, commands, count));
    RETURN_IF_ERROR(batch.Finish());
    now = transaction.Now();
    next_due = batch.earliest_due();
    if (look) {
      ASSIGN_OR_RETURN(next_due, transaction.NextDue());
    }
    if (batch.schedules_changed()) {
      ASSIGN_OR_RETURN(next_schedule, transaction.NextSchedule());
    }
    changes = batch.TakeChanges();
    passed_over = batch.passed_over();
    names_passed_over = batch.names_passed_over();
    given = batch.given();
    trials = batch.trials();
    left_to_others = batch.left_to_others();
    return absl::OkStatus();
  });
  {
    absl::MutexLock lock(&health_mutex_);
    health_.Ended(stored, clock_.Boot());
  }
  if (!stored.ok()) {
    // ABORTED says that nothing happened.
    if (!absl::IsAborted(stored)) Join(changes, &in_doubt_);
    return stored;
  }
  if (sweeping) {
    next_sweep_ = begun + (more_to_delete ? kSlicePause : std::min(kSweepInterval, options_.retention / 8));
  }
  next_schedule_ = next_schedule;
  trials_ = std::move(trials);
  ahead_ = now - begun;
  // What seemed to fail may have been durable: then nothing changes a second time, and nobody else would tell.
  Join(std::exchange(in_doubt_, Changes()), &changes);
  if (scheduling) next_schedule_look_ = begun + kLongestRest;
  if (!shared_) {
    next_due_ = next_due;
  } else {
    // The store's clock is not ours.
    const absl::Time due = begun + (next_due - now);
    next_due_ = look ? due : std::min(next_due_, due);
    if (look) next_look_ = begun + kLookEvery;
    if (left_to_others) next_due_ = next_look_;
    if (!passed_over.empty()) next_due_ = begun;
    declare_next_.insert(passed_over.begin(), passed_over.end());
    names_next_.insert(names_passed_over.begin(), names_passed_over.end());
    for (const auto& [holder, until] : given) {
      until == absl::InfinitePast() ? void(given_.erase(holder)) : void(given_[holder] = until);
    }
    store_->Announce({changes.jobs, changes.stopped, changes.work_available});
  }
  if (!changes.jobs.empty() || changes.work_available || !changes.suspected.empty()) listeners_.Tell(changes);
  return absl::OkStatus();
}

void Ledger::Loop::Came(const std::string& worker) { muster_.Came(worker, StoreNow()); }

void Ledger::Loop::Left(const std::string& worker, bool in_peace) {
  using Way = core::Muster::Way;
  const Way how = in_peace ? Way::kInPeace : trials_.OnTrial(worker) ? Way::kOnTrial : Way::kSilently;
  muster_.Left(worker, StoreNow(), how);
  trials_.Left(worker, muster_.workers(), StoreNow());
}

absl::Status Ledger::Loop::Apply(Batch& batch, Command* commands, size_t count) {
  std::set<std::string> halted;  // Lists of which something is to be called again: the rest waits behind it.
  for (size_t i = 0; i < count; ++i) {
    const std::string& list = commands[i].list_of;
    if (!list.empty() && halted.count(list) > 0) {
      again_.insert(i);
      continue;
    }
    RETURN_IF_ERROR(commands[i].apply(batch));
    if (!shared_) continue;
    const Declared missing = batch.TakeAgain();
    if (missing.empty()) continue;
    again_.insert(i);
    if (!list.empty()) halted.insert(list);
    Declared& declared = commands[i].declared;
    declared.jobs.insert(declared.jobs.end(), missing.jobs.begin(), missing.jobs.end());
    declared.names.insert(declared.names.end(), missing.names.begin(), missing.names.end());
  }
  return absl::OkStatus();
}

Declared Ledger::Loop::Declare(const Command* commands, size_t count) {
  if (!shared_) return {};
  std::set<std::string> jobs = std::exchange(declare_next_, {}), names = std::exchange(names_next_, {});
  std::set<core::ShardKey> shards;
  for (size_t i = 0; i < count; ++i) {
    const Declared& declared = commands[i].declared;
    jobs.insert(declared.jobs.begin(), declared.jobs.end());
    shards.insert(declared.shards.begin(), declared.shards.end());
    names.insert(declared.names.begin(), declared.names.end());
  }
  return {{jobs.begin(), jobs.end()}, {shards.begin(), shards.end()}, {names.begin(), names.end()}};
}

absl::Time Ledger::Loop::next_due() const {
  if (failing_) return next_due_;
  absl::Time next = next_due_;
  if (shared_) next = std::min({next, next_look_, next_schedule_look_});
  if (options_.retention < absl::InfiniteDuration()) next = std::min(next, next_sweep_);
  if (next_schedule_ == absl::InfiniteFuture()) return next;
  return std::min(next, clock_.Boot() + std::min(next_schedule_ - clock_.Wall(), kLongestRest));
}

Ledger::LoopThread::LoopThread(Loop& loop) : loop_(loop) {
  thread_ = std::thread([this] {
    while (loop_.WaitForWork()) {
      loop_.Turn();
      loop_.Rest();
    }
  });
}

Ledger::LoopThread::~LoopThread() {
  loop_.Stop();
  thread_.join();
}

}  // namespace imgfleet::store
