#include "coordinator/store/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/store/batch.h"
#include "coordinator/store/ledger_loop.h"

namespace imgfleet::store {
namespace {

// What an item takes of a lease, generously.
constexpr uint64_t kLikelyItemBytes = 256;

// One that carries a job's list on.
Command OfList(std::string job_id, Command command) {
  command.list_of = std::move(job_id);
  return command;
}

// A verb whose answer is a value or the store's failure. `apply` may be called again after a failure.
template <typename T, typename Apply>
Command Ask(Callback<absl::StatusOr<T>> done, size_t bytes, Apply apply, Declared declared = {}) {
  auto answer = std::make_shared<absl::StatusOr<T>>(T());
  return {[answer, apply = std::move(apply)](Batch& batch) { return apply(batch, *answer); },
          [answer, done = std::move(done)](const absl::Status& stored) {
            done(stored.ok() ? std::move(*answer) : stored);
          },
          bytes, std::move(declared)};
}

template <typename Apply>
Command Report(Callback<core::CommitAnswer> done, size_t bytes, Apply apply, Declared declared) {
  auto answer = std::make_shared<core::CommitAnswer>();
  return {[answer, apply = std::move(apply)](Batch& batch) { return apply(batch, *answer); },
          [answer, done = std::move(done)](const absl::Status& stored) {
            if (!stored.ok()) *answer = {core::CommitCode::kRetry, std::string(stored.message())};
            done(std::move(*answer));
          },
          bytes, std::move(declared)};
}

}  // namespace

Ledger::Ledger(std::unique_ptr<Store> store, const Clock& clock, Options options, Turned turned)
    : clock_(clock),
      loop_(std::make_unique<Loop>(std::move(store), clock, options, turned == Turned::kByWhoAsks)) {
  if (turned != Turned::kByHand) thread_ = std::make_unique<LoopThread>(*loop_);
}

Ledger::~Ledger() = default;

Declared Ledger::OfJob(const std::string& id) const {
  Declared declared;
  if (loop_->shared()) declared.jobs.push_back(id);
  return declared;
}

Declared Ledger::OfName(absl::string_view kind, absl::string_view name) const {
  Declared declared;
  if (loop_->shared()) declared.names.push_back(NameOf(kind, name));
  return declared;
}

Declared Ledger::OfKey(const core::NewJob& job) const {
  if (job.idempotency_key.empty()) return {};
  return OfName("key", absl::StrCat(job.owner, " ", job.idempotency_key));
}

Declared Ledger::OfShards(const std::vector<core::LeaseRef>& leases) const {
  Declared declared;
  if (!loop_->shared()) return declared;
  for (const core::LeaseRef& lease : leases) {
    declared.jobs.push_back(lease.shard.job_id);
    declared.shards.push_back(lease.shard);
  }
  return declared;
}

bool Ledger::Turn() {
  IMGFLEET_CHECK(thread_ == nullptr);
  if (!loop_->asked() && loop_->next_due() > clock_.Boot()) return false;
  loop_->Turn();
  return true;
}

bool Ledger::Asked() const {
  IMGFLEET_CHECK(thread_ == nullptr);
  return loop_->asked();
}

absl::Time Ledger::NextDue() const {
  IMGFLEET_CHECK(thread_ == nullptr);
  return loop_->next_due();
}

void Ledger::CreateJob(core::NewJob job, Callback<absl::StatusOr<core::Job>> done) {
  const size_t bytes = job.spec.size() + job.source.size();
  Declared declared = OfKey(job);
  std::string id = job.id;
  loop_->Enqueue(OfList(std::move(id), Ask<core::Job>(
                                           std::move(done), bytes,
                                           [job = std::move(job)](Batch& batch, auto& answer) {
                                             return batch.CreateJob(job, answer);
                                           },
                                           std::move(declared))));
}

void Ledger::FindSubmitted(core::NewJob again, Callback<absl::StatusOr<std::optional<core::Job>>> done) {
  loop_->Enqueue(Ask<std::optional<core::Job>>(
      std::move(done), 0,
      [again = std::move(again)](Batch& batch, auto& answer) { return batch.FindSubmitted(again, answer); }));
}

void Ledger::SubmitJob(core::NewJob job, std::vector<core::NewShard> shards,
                       Callback<absl::StatusOr<core::Job>> done) {
  size_t bytes = job.spec.size();
  for (const core::NewShard& shard : shards) bytes += shard.payload.size() + shard.known.payload.size();
  Declared declared = OfKey(job);
  loop_->Enqueue(Ask<core::Job>(
      std::move(done), bytes,
      [job = std::move(job), shards = std::move(shards)](Batch& batch, auto& answer) {
        return batch.SubmitJob(job, shards, answer);
      },
      std::move(declared)));
}

void Ledger::AppendShard(std::string job_id, core::NewShard shard, Callback<absl::Status> done) {
  const size_t bytes = shard.payload.size() + shard.known.payload.size();
  auto answer = std::make_shared<absl::Status>();
  Declared declared = OfJob(job_id);
  std::string list_of = job_id;
  loop_->Enqueue(
      {[answer, job_id = std::move(job_id), shard = std::move(shard)](Batch& batch) {
         return batch.AppendShard(job_id, shard, *answer);
       },
       [answer, done = std::move(done)](const absl::Status& stored) { done(stored.ok() ? *answer : stored); },
       bytes, std::move(declared), std::move(list_of)});
}

void Ledger::SetSource(std::string job_id, std::string source, Callback<absl::Status> done) {
  const size_t bytes = source.size();
  auto answer = std::make_shared<absl::Status>();
  Declared declared = OfJob(job_id);
  std::string list_of = job_id;
  loop_->Enqueue(
      {[answer, job_id = std::move(job_id), source = std::move(source)](Batch& batch) {
         return batch.SetSource(job_id, source, *answer);
       },
       [answer, done = std::move(done)](const absl::Status& stored) { done(stored.ok() ? *answer : stored); },
       bytes, std::move(declared), std::move(list_of)});
}

void Ledger::FinishReading(std::string job_id, absl::Status how, Callback<absl::StatusOr<core::Job>> done) {
  Declared declared = OfJob(job_id);
  std::string list_of = job_id;
  loop_->Enqueue(OfList(std::move(list_of),
                        Ask<core::Job>(
                            std::move(done), 0,
                            [job_id = std::move(job_id), how = std::move(how)](Batch& batch, auto& answer) {
                              return batch.FinishReading(job_id, how, answer);
                            },
                            std::move(declared))));
}

void Ledger::CancelJob(std::string job_id, Callback<absl::StatusOr<core::Job>> done) {
  Declared declared = OfJob(job_id);
  loop_->Enqueue(Ask<core::Job>(
      std::move(done), 0,
      [job_id = std::move(job_id)](Batch& batch, auto& answer) { return batch.CancelJob(job_id, answer); },
      std::move(declared)));
}

void Ledger::KeepReadings(Callback<absl::StatusOr<std::vector<core::Job>>> taken_up) {
  loop_->Enqueue(Ask<std::vector<core::Job>>(std::move(taken_up), 0, [](Batch& batch, auto& answer) {
    return batch.KeepReadings(nullptr, *answer);
  }));
}

void Ledger::KeepReadings(std::set<std::string> read_here,
                          Callback<absl::StatusOr<std::vector<core::Job>>> taken_up) {
  loop_->Enqueue(Ask<std::vector<core::Job>>(std::move(taken_up), 0,
                                             [read_here = std::move(read_here)](Batch& batch, auto& answer) {
                                               return batch.KeepReadings(&read_here, *answer);
                                             }));
}

void Ledger::PauseJob(std::string job_id, bool paused, Callback<absl::StatusOr<core::Job>> done) {
  Declared declared = OfJob(job_id);
  loop_->Enqueue(Ask<core::Job>(
      std::move(done), 0,
      [job_id = std::move(job_id), paused](Batch& batch, auto& answer) {
        return batch.PauseJob(job_id, paused, answer);
      },
      std::move(declared)));
}

void Ledger::PrioritizeJob(std::string job_id, int32_t priority, Callback<absl::StatusOr<core::Job>> done) {
  Declared declared = OfJob(job_id);
  loop_->Enqueue(Ask<core::Job>(
      std::move(done), 0,
      [job_id = std::move(job_id), priority](Batch& batch, auto& answer) {
        return batch.PrioritizeJob(job_id, priority, answer);
      },
      std::move(declared)));
}

void Ledger::CreateSchedule(core::Schedule schedule, Callback<absl::StatusOr<core::Schedule>> done) {
  loop_->Enqueue(Ask<core::Schedule>(std::move(done), schedule.spec.size() + schedule.source.size(),
                                     [schedule = std::move(schedule)](Batch& batch, auto& answer) {
                                       return batch.CreateSchedule(schedule, answer);
                                     }));
}

void Ledger::PauseSchedule(std::string id, bool paused, Callback<absl::StatusOr<core::Schedule>> done) {
  Declared declared = OfName("schedule", id);
  loop_->Enqueue(Ask<core::Schedule>(
      std::move(done), 0,
      [id = std::move(id), paused](Batch& batch, auto& answer) {
        return batch.PauseSchedule(id, paused, answer);
      },
      std::move(declared)));
}

void Ledger::DeleteSchedule(std::string id, Callback<absl::Status> done) {
  auto answer = std::make_shared<absl::Status>();
  Declared declared = OfName("schedule", id);
  loop_->Enqueue(
      {[answer, id = std::move(id)](Batch& batch) { return batch.DeleteSchedule(id, *answer); },
       [answer, done = std::move(done)](const absl::Status& stored) { done(stored.ok() ? *answer : stored); },
       0, std::move(declared)});
}

void Ledger::CreateWhole(core::NewJob job, std::vector<core::NewShard> shards,
                         Callback<absl::StatusOr<core::Job>> done) {
  size_t bytes = job.spec.size();
  for (const core::NewShard& shard : shards) bytes += shard.payload.size() + shard.known.payload.size();
  Declared declared = OfKey(job);
  loop_->Enqueue(Ask<core::Job>(
      std::move(done), bytes,
      [job = std::move(job), shards = std::move(shards)](Batch& batch, auto& answer) {
        return batch.CreateWhole(job, shards, answer);
      },
      std::move(declared)));
}

// Where the store fails here, retention deletes the job in time.
void Ledger::Forget(std::string job_id) {
  Declared declared = OfJob(job_id);
  loop_->Enqueue({[job_id = std::move(job_id)](Batch& batch) { return batch.Forget(job_id); },
                  [](const absl::Status&) {}, 0, std::move(declared)});
}

void Ledger::Acquire(std::string holder, uint64_t max_items, uint64_t max_bytes,
                     Callback<absl::StatusOr<core::Leases>> done) {
  core::Credit credit;
  credit.idle = true;
  credit.items = max_items;
  credit.bytes = max_bytes;
  Acquire(std::move(holder), std::move(credit), std::move(done));
}

void Ledger::Acquire(std::string holder, core::Credit credit, Callback<absl::StatusOr<core::Leases>> done) {
  // The answer is what is large here, though seldom as large as it may be: the batch sees to that.
  const size_t bytes = std::min<uint64_t>(credit.bytes + credit.spare_bytes,
                                          (credit.items + credit.spare_items) * kLikelyItemBytes);
  loop_->Enqueue(
      Ask<core::Leases>(std::move(done), bytes,
                        [holder = std::move(holder), credit = std::move(credit)](Batch& batch, auto& answer) {
                          return batch.Acquire(holder, credit, *answer);
                        }));
}

void Ledger::Renew(std::string holder, std::vector<core::LeaseRef> held,
                   Callback<absl::StatusOr<core::VoidLeases>> void_leases) {
  Declared declared = OfShards(held);
  loop_->Enqueue(Ask<core::VoidLeases>(
      std::move(void_leases), 0,
      [holder = std::move(holder), held = std::move(held)](Batch& batch, auto& answer) {
        return batch.Renew(holder, held, *answer);
      },
      std::move(declared)));
}

void Ledger::CommitChunk(core::Chunk chunk, Callback<core::CommitAnswer> done) {
  const size_t bytes = chunk.payload.size();
  Declared declared = OfShards({chunk.lease});
  loop_->Enqueue(Report(
      std::move(done), bytes,
      [chunk = std::move(chunk)](Batch& batch, auto& answer) { return batch.CommitChunk(chunk, answer); },
      std::move(declared)));
}

void Ledger::HandBack(core::LeaseRef lease, absl::Duration not_before, Callback<core::CommitAnswer> done) {
  Declared declared = OfShards({lease});
  loop_->Enqueue(Report(
      std::move(done), 0,
      [lease = std::move(lease), not_before](Batch& batch, auto& answer) {
        return batch.HandBack(lease, not_before, answer);
      },
      std::move(declared)));
}

void Ledger::Returned(std::string holder, std::vector<core::LeaseRef> held) {
  Declared declared = OfShards(held);
  loop_->Enqueue({[holder, held = std::move(held)](Batch& batch) { return batch.Returned(holder, held); },
                  [loop = loop_.get(), holder](const absl::Status&) { loop->Came(holder); }, 0,
                  std::move(declared)});
}

// Where the store fails here, the lease runs to its end.
void Ledger::Disconnected(std::string holder, bool in_peace) {
  auto given_here = std::make_shared<std::optional<absl::Time>>();
  loop_->Enqueue(
      {[holder, given_here](Batch& batch) { return batch.Disconnected(holder, *given_here); },
       [loop = loop_.get(), holder, in_peace](const absl::Status&) { loop->Left(holder, in_peace); }});
}

void Ledger::Tick(Callback<absl::Status> done) {
  Command command{[](Batch&) { return absl::OkStatus(); }, std::move(done)};
  command.after_all = true;
  loop_->Enqueue(std::move(command));
}

absl::StatusOr<core::Job> Ledger::GetJob(absl::string_view job_id) {
  ASSIGN_OR_RETURN(std::optional<core::Job> job, loop_->store().GetJob(job_id));
  if (!job) return absl::NotFoundError(absl::StrCat("there is no job ", job_id));
  return *std::move(job);
}

absl::StatusOr<std::vector<core::Job>> Ledger::ListJobs(absl::string_view owner, absl::string_view before,
                                                        uint32_t limit) {
  return loop_->store().ListJobs(owner, before, limit);
}

absl::StatusOr<std::vector<core::Job>> Ledger::JobsBeingRead() { return loop_->store().JobsBeingRead(); }

absl::StatusOr<std::vector<core::StoredChunk>> Ledger::ReadByCommit(absl::string_view job_id,
                                                                    uint64_t after_commit_seq,
                                                                    uint64_t max_bytes) {
  auto chunks = loop_->store().ReadByCommit(job_id, after_commit_seq, max_bytes);
  // Afterwards: of a job that is there now nothing was missing before.
  RETURN_IF_ERROR(GetJob(job_id).status());
  return chunks;
}

absl::StatusOr<core::Census> Ledger::TakeCensus() { return loop_->store().TakeCensus(); }

absl::StatusOr<std::optional<core::ShardResults>> Ledger::ReadShardAt(absl::string_view job_id,
                                                                      uint64_t index) {
  auto shard = loop_->store().ReadShardAt(job_id, index);
  RETURN_IF_ERROR(GetJob(job_id).status());
  return shard;
}

absl::StatusOr<core::Schedule> Ledger::GetSchedule(absl::string_view id) {
  ASSIGN_OR_RETURN(std::optional<core::Schedule> schedule, loop_->store().GetSchedule(id));
  if (!schedule) return absl::NotFoundError(absl::StrCat("there is no schedule ", id));
  return *std::move(schedule);
}

absl::StatusOr<std::vector<core::Schedule>> Ledger::ListSchedules(absl::string_view owner,
                                                                  absl::string_view before, uint32_t limit) {
  return loop_->store().ListSchedules(owner, before, limit);
}

absl::Status Ledger::Health() const { return loop_->Health(); }

std::shared_ptr<void> Ledger::Listen(Listener listener) { return loop_->Listen(std::move(listener)); }

}  // namespace imgfleet::store
