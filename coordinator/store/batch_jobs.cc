// The ledger's verbs about jobs and their lists.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/store/batch.h"

namespace imgfleet::store {
namespace {

using core::ShardState;

// Readings that one KeepReadings takes up.
constexpr size_t kTakeUpAtOnce = 16;
// What one transaction does for retention: about 2 MB of rows, some milliseconds.
constexpr size_t kExpireAtOnce = 64;
constexpr size_t kDeleteAtOnce = 16;
constexpr size_t kDeleteRows = 64;

absl::Status NoJob(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("there is no job ", id));
}

bool BeingReadBy(const core::Job& job, const std::string& reader) {
  return job.state == core::JobState::kReading && job.reader == reader;
}

}  // namespace

absl::StatusOr<std::optional<core::Job>> Batch::FindByKey(const core::NewJob& again, absl::Status& answer) {
  if (again.idempotency_key.empty()) return std::nullopt;
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(const std::optional<core::JobRecord> known,
                   transaction_.FindByKey(again.owner, again.idempotency_key));
  if (!known) return std::nullopt;
  answer = core::CheckRepeated(known->job, again);
  return known->job;
}

absl::Status Batch::FindSubmitted(const core::NewJob& again,
                                  absl::StatusOr<std::optional<core::Job>>& answer) {
  absl::Status same;
  ASSIGN_OR_RETURN(const std::optional<core::Job> known, FindByKey(again, same));
  answer = known;
  if (!same.ok()) answer = same;
  return absl::OkStatus();
}

absl::StatusOr<core::OwnerUse*> Batch::UseOf(const std::string& owner) {
  if (const auto at = uses_.find(owner); at != uses_.end()) return &at->second;
  std::string name = NameOf("owner", owner);
  // Asked once: what follows for this owner in this batch waits behind what is to be called again.
  bool mine = refused_names_.count(name) == 0;
  if (mine) {
    ASSIGN_OR_RETURN(mine, transaction_.TryLockName(name));
  }
  if (!mine) {
    refused_names_.insert(name);
    again_.names = {std::move(name)};
    return nullptr;
  }
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(const core::OwnerUse use, transaction_.UseOf(owner));
  return &uses_.emplace(owner, use).first->second;
}

// Ids are drawn for one submission, so this is the same again: its transaction was durable though it seemed to fail.
absl::StatusOr<Batch::JobRow*> Batch::Again(const core::NewJob& job, absl::StatusOr<core::Job>& answer) {
  ASSIGN_OR_RETURN(JobRow * row, FindJob(job.id));
  if (row == nullptr) return nullptr;
  const core::Job& known = row->row.job;
  const bool same = known.owner == job.owner && known.spec == job.spec && known.source == job.source &&
                    known.create_time == job.create_time;
  if (same) answer = known;
  return nullptr;
}

// Another coordinator may submit under the same key meanwhile: then inserting says so, and the key is looked up again.
absl::StatusOr<Batch::JobRow*> Batch::Begin(const core::NewJob& job, uint64_t items,
                                            absl::StatusOr<core::Job>& answer, bool& fresh) {
  absl::Status same;
  ASSIGN_OR_RETURN(std::optional<core::Job> known, FindByKey(job, same));
  if (!known) {
    const core::Quota& quota = options_.quotas.Of(job.owner);
    core::OwnerUse* use = nullptr;
    if (quota != core::Quota()) {
      ASSIGN_OR_RETURN(use, UseOf(job.owner));
      if (use == nullptr) return nullptr;
      absl::Status room = core::CheckNewJob(quota, *use, job.owner);
      if (room.ok()) room = core::CheckMoreItems(quota, *use, items, job.owner);
      if (!room.ok()) {
        answer = room;
        return nullptr;
      }
    }
    core::JobRecord record{core::MakeJob(job)};
    core::TakeUp(record.job, options_.coordinator, transaction_.Now() + options_.reading_period);
    const absl::Status inserted = transaction_.InsertJob(record);
    if (inserted.ok()) {
      fresh = true;
      if (use != nullptr) *use = {use->jobs + 1, use->items + items};
      touched_.insert(job.id);
      return jobs_.insert_or_assign(job.id, std::make_unique<JobRow>(JobRow{std::move(record)}))
          .first->second.get();
    }
    if (!absl::IsAlreadyExists(inserted)) return inserted;
    answer = inserted;
    ASSIGN_OR_RETURN(known, FindByKey(job, same));
    if (!known) return Again(job, answer);
  }
  answer = *known;
  if (!same.ok()) answer = same;
  return nullptr;
}

absl::Status Batch::CreateJob(const core::NewJob& job, absl::StatusOr<core::Job>& answer) {
  bool fresh = false;
  ASSIGN_OR_RETURN(JobRow * row, Begin(job, /*items=*/0, answer, fresh));
  if (row != nullptr) answer = row->row.job;
  return absl::OkStatus();
}

absl::Status Batch::SubmitJob(const core::NewJob& job, const std::vector<core::NewShard>& shards,
                              absl::StatusOr<core::Job>& answer) {
  uint64_t items = 0;
  for (const core::NewShard& shard : shards) items += shard.items;
  bool fresh = false;
  ASSIGN_OR_RETURN(JobRow * row, Begin(job, items, answer, fresh));
  if (!fresh) return absl::OkStatus();
  for (const core::NewShard& shard : shards) {
    if (const absl::Status fits = core::CheckAppend(row->row.job, shard); !fits.ok()) {
      core::FinishReading(Touch(*row), fits, wall_);
      answer = fits;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Append(*row, shard));
  }
  core::FinishReading(Touch(*row), absl::OkStatus(), wall_);
  answer = row->row.job;
  return absl::OkStatus();
}

absl::Status Batch::Append(JobRow& job, const core::NewShard& shard) {
  const core::Shard row = core::MakeShard({job.row.job.id, job.row.job.shards}, shard);
  core::Account(job.row, nullptr, row);
  Touch(job);
  RETURN_IF_ERROR(transaction_.InsertShard(row, shard.payload));
  if (row.state == ShardState::kReady) work_available_ = true;
  if (shard.known.offsets.empty()) return absl::OkStatus();
  return InsertOutcomes(job, row.key.shard, shard.known.offsets, shard.known.payload, shard.known.counts);
}

absl::Status Batch::SetSource(const std::string& job_id, const std::string& source, absl::Status& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  answer = job == nullptr ? NoJob(job_id) : core::CheckReader(job->row.job, options_.coordinator);
  if (!answer.ok()) return absl::OkStatus();
  if (job->row.job.state != core::JobState::kReading || job->row.job.items > 0) {
    answer = absl::FailedPreconditionError(
        absl::StrCat("job ", job_id, " has ended, or has items of its list already"));
    return absl::OkStatus();
  }
  job->row.job.source = source;
  return transaction_.UpdateSource(job_id, source);
}

absl::Status Batch::AppendShard(const std::string& job_id, const core::NewShard& shard,
                                absl::Status& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  answer = job == nullptr ? NoJob(job_id) : core::CheckReader(job->row.job, options_.coordinator);
  if (answer.ok()) answer = core::CheckAppend(job->row.job, shard);
  if (!answer.ok()) return absl::OkStatus();
  const std::string& owner = job->row.job.owner;
  if (const core::Quota& quota = options_.quotas.Of(owner); quota.items > 0) {
    ASSIGN_OR_RETURN(core::OwnerUse * use, UseOf(owner));
    if (use == nullptr) return absl::OkStatus();
    answer = core::CheckMoreItems(quota, *use, shard.items, owner);
    if (!answer.ok()) return absl::OkStatus();
    use->items += shard.items;
  }
  if (!job->row.job.reader.empty()) {
    core::TakeUp(job->row.job, options_.coordinator, transaction_.Now() + options_.reading_period);
  }
  return Append(*job, shard);
}

absl::Status Batch::FinishReading(const std::string& job_id, const absl::Status& how,
                                  absl::StatusOr<core::Job>& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  if (job == nullptr) {
    answer = NoJob(job_id);
    return absl::OkStatus();
  }
  if (const absl::Status mine = core::CheckReader(job->row.job, options_.coordinator); !mine.ok()) {
    answer = mine;
    return absl::OkStatus();
  }
  core::FinishReading(Touch(*job), how, wall_);
  NoteStopped(*job);
  answer = job->row.job;
  return absl::OkStatus();
}

absl::Status Batch::CancelJob(const std::string& job_id, absl::StatusOr<core::Job>& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  if (job == nullptr) {
    answer = NoJob(job_id);
    return absl::OkStatus();
  }
  core::Cancel(Touch(*job), wall_);
  NoteStopped(*job);
  answer = job->row.job;
  return absl::OkStatus();
}

absl::Status Batch::PauseJob(const std::string& job_id, bool paused, absl::StatusOr<core::Job>& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  const absl::Status set = job == nullptr ? NoJob(job_id) : core::SetPaused(job->row.job, paused);
  if (!set.ok()) {
    answer = set;
    return absl::OkStatus();
  }
  Touch(*job);
  NoteStopped(*job);
  if (!paused) work_available_ |= core::Leasable(job->row);
  if (paused) {
    RETURN_IF_ERROR(Flush());
    ASSIGN_OR_RETURN(const std::vector<core::Shard> timed, transaction_.TimedShardsOf(job_id));
    const absl::Time now = transaction_.Now();
    for (const core::Shard& shard : timed) {
      Change(*job, *Adopt(shard), [&](core::Shard& row) { core::HandBack(row, row.epoch, now, now); });
    }
  }
  answer = job->row.job;
  return absl::OkStatus();
}

absl::Status Batch::PrioritizeJob(const std::string& job_id, int32_t priority,
                                  absl::StatusOr<core::Job>& answer) {
  ASSIGN_OR_RETURN(JobRow * job, FindJobAsked(job_id));
  const absl::Status set = job == nullptr ? NoJob(job_id) : core::CheckPriority(priority);
  if (!set.ok()) {
    answer = set;
    return absl::OkStatus();
  }
  Touch(*job).priority = priority;
  answer = job->row.job;
  return absl::OkStatus();
}

// Another coordinator may have a job just now, or have changed it between its being found and being locked.
absl::Status Batch::KeepReadings(const std::set<std::string>* read_here, std::vector<core::Job>& taken_up) {
  taken_up.clear();
  RETURN_IF_ERROR(Flush());
  const absl::Time now = transaction_.Now(), due = now + options_.reading_period;
  std::vector<std::string> beyond;
  ASSIGN_OR_RETURN(const std::vector<core::JobRecord> reading, transaction_.JobsBeingRead());
  RETURN_IF_ERROR(BringNearer(reading, due));
  for (const core::JobRecord& record : reading) {
    if (record.job.reader != options_.coordinator) continue;
    if (read_here != nullptr && read_here->count(record.job.id) == 0) continue;
    ASSIGN_OR_RETURN(JobRow * job, Reach(record.job.id));
    if (job == nullptr) beyond.push_back(record.job.id);
    if (job == nullptr || !BeingReadBy(job->row.job, options_.coordinator)) continue;
    core::TakeUp(job->row.job, options_.coordinator, due);
    job->dirty = true;
  }
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(const std::vector<core::JobRecord> lapsed,
                   transaction_.LapsedReadings(now, kTakeUpAtOnce));
  for (const core::JobRecord& record : lapsed) {
    ASSIGN_OR_RETURN(JobRow * job, Reach(record.job.id));
    if (job == nullptr || !BeingReadBy(job->row.job, record.job.reader) || job->row.job.reader_due > now)
      continue;
    if (!record.job.source.empty()) {
      core::TakeUp(Touch(*job), options_.coordinator, due);
      taken_up.push_back(job->row.job);
      continue;
    }
    core::FinishReading(
        Touch(*job),
        absl::AbortedError(absl::StrCat("the coordinator that the list was being uploaded to is gone, after ",
                                        record.job.items, " items; submit the list again")),
        wall_);
    NoteStopped(*job);
  }
  // What was taken up must be told now; what could not be reached is tried at the next call.
  if (taken_up.empty()) again_.jobs = std::move(beyond);
  return absl::OkStatus();
}

// --- Retention ------------------------------------------------------------------------------------------------

absl::StatusOr<bool> Batch::Sweep(absl::Time ended_before) {
  ASSIGN_OR_RETURN(const std::vector<core::JobRecord> reading, transaction_.JobsBeingRead());
  std::set<std::string> needed;  // By jobs that are still finding out which of their items failed.
  for (const core::JobRecord& record : reading) needed.insert(record.job.parent);
  ASSIGN_OR_RETURN(std::vector<core::JobRecord> ended, transaction_.EndedBy(ended_before, kExpireAtOnce));
  for (const core::JobRecord& record : ended) {
    if (needed.count(record.job.id) > 0) continue;
    ASSIGN_OR_RETURN(JobRow * job, Reach(record.job.id));
    if (job != nullptr) Touch(*job).expired = true;
  }
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(const std::vector<std::string> expired, transaction_.ExpiredJobs(kDeleteAtOnce));
  for (const std::string& id : expired) {
    ASSIGN_OR_RETURN(const JobRow* const job, Reach(id));
    if (job == nullptr) continue;
    jobs_.erase(id);
    ASSIGN_OR_RETURN(const bool gone, transaction_.DeletePart(id, kDeleteRows));
    if (!gone) return true;
  }
  return ended.size() == kExpireAtOnce || expired.size() == kDeleteAtOnce;
}

}  // namespace imgfleet::store
