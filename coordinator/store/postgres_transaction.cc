#include "coordinator/store/postgres_transaction.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/store/columns.h"

namespace imgfleet::store::pg {
namespace {

using core::JobRecord;
using core::Shard;
using core::ShardKey;

// For LIMIT, which takes no more.
int64_t Limit(size_t limit) {
  return static_cast<int64_t>(std::min<size_t>(limit, std::numeric_limits<int64_t>::max()));
}

int64_t State(const auto& row) { return static_cast<int64_t>(row.state); }

// Infinite times as the largest and smallest that a column takes.
int64_t Micros(absl::Time time) { return absl::ToUnixMicros(time); }

std::vector<std::string> AllPossible(const std::vector<std::string>& ids) {
  std::vector<std::string> possible;
  for (const std::string& id : ids) {
    if (Possible(id)) possible.push_back(id);
  }
  return possible;
}

struct KeyArrays {
  std::vector<std::string> jobs;
  std::vector<int64_t> shards;

  explicit KeyArrays(const std::vector<ShardKey>& keys) {
    for (const ShardKey& key : keys) {
      if (!Possible(key.job_id)) continue;
      jobs.push_back(key.job_id);
      shards.push_back(key.shard);
    }
  }
};

absl::StatusOr<absl::Time> TimeOf(absl::StatusOr<Rows> rows) {
  RETURN_IF_ERROR(rows.status());
  if (!rows->Next()) return absl::InfiniteFuture();
  return absl::FromUnixMicros(rows->Int(0));
}

}  // namespace

absl::Status PostgresTransaction::Begin(const Declared& declared) {
  prefetched_ = {};
  if (clock_ != nullptr) now_ = clock_->Boot();
  const std::vector<std::string> jobs = AllPossible(declared.jobs);
  const KeyArrays shards(declared.shards);
  RETURN_IF_ERROR(begin_.Queue());
  if (!declared.names.empty()) RETURN_IF_ERROR(lock_names_.Queue(declared.names));
  if (!jobs.empty()) RETURN_IF_ERROR(lock_jobs_.Want(jobs));
  if (clock_ == nullptr) RETURN_IF_ERROR(clock_now_.Want());
  if (!shards.jobs.empty()) RETURN_IF_ERROR(get_shards_.Want(shards.jobs, shards.shards));
  ASSIGN_OR_RETURN(std::vector<Rows> found, connection_.Collect());
  size_t next = 0;
  if (!jobs.empty()) {
    ASSIGN_OR_RETURN(prefetched_.jobs, AllJobs(std::move(found[next++])));
  }
  if (clock_ == nullptr) {
    ASSIGN_OR_RETURN(now_, TimeOf(std::move(found[next++])));
  }
  if (!shards.jobs.empty()) prefetched_.shards = AllShards(std::move(found[next++]));
  return absl::OkStatus();
}

absl::Status PostgresTransaction::Prepare(std::string& xid) {
  ASSIGN_OR_RETURN(Rows rows, xid_.Run());
  if (rows.Next()) xid = rows.Text(0);
  return absl::OkStatus();
}

// --- Jobs -----------------------------------------------------------------------------------------------------

absl::StatusOr<std::optional<JobRecord>> PostgresTransaction::OneJob(Statement& statement,
                                                                     absl::string_view id) {
  if (!Possible(id)) return std::nullopt;
  ASSIGN_OR_RETURN(Rows rows, statement.Run(id));
  if (!rows.Next()) return std::nullopt;
  return JobFrom(rows);
}

absl::StatusOr<std::optional<JobRecord>> PostgresTransaction::GetJob(absl::string_view id) {
  return OneJob(get_job_, id);
}

absl::StatusOr<std::optional<JobRecord>> PostgresTransaction::TryLockJob(absl::string_view id) {
  return OneJob(try_lock_job_, id);
}

absl::StatusOr<bool> PostgresTransaction::TryLockName(absl::string_view name) {
  ASSIGN_OR_RETURN(Rows rows, try_lock_name_.Run(name));
  return rows.Next() && rows.Int(0) != 0;
}

absl::StatusOr<std::optional<JobRecord>> PostgresTransaction::PeekJob(absl::string_view id) {
  return OneJob(peek_job_, id);
}

absl::Status PostgresTransaction::InsertJob(const JobRecord& record) {
  const core::Job& job = record.job;
  if (!Possible(job.id)) return absl::InternalError("a job's id must be printable");
  ASSIGN_OR_RETURN(
      const Rows rows,
      insert_job_.Run(job.id, job.owner, Bytes{job.spec}, Bytes{job.source}, State(job), Bytes{job.failure},
                      job.items, job.shards, job.counts.succeeded, job.counts.failed,
                      job.counts.fetched_bytes, EncodeReasons(job.counts.reasons), job.last_commit_seq,
                      Micros(job.create_time), ToColumn(job.end_time), record.leased_items,
                      record.ready_shards, job.priority, job.paused, job.parent, job.absent,
                      Bytes{job.idempotency_key}, Bytes{job.request_hash}, job.schedule, Bytes{job.reader},
                      Micros(job.reader_due), job.expired, core::TurnOf(record)));
  return rows.Changed() == 1 ? absl::OkStatus()
                             : absl::AlreadyExistsError(absl::StrCat("job ", job.id, " exists already"));
}

absl::Status PostgresTransaction::UpdateJob(const JobRecord& record) {
  const core::Job& job = record.job;
  return update_job_.Queue(job.id, State(job), Bytes{job.failure}, job.items, job.shards,
                           job.counts.succeeded, job.counts.failed, job.counts.fetched_bytes,
                           EncodeReasons(job.counts.reasons), job.last_commit_seq, ToColumn(job.end_time),
                           record.leased_items, record.ready_shards, job.priority, job.paused, job.absent,
                           Bytes{job.reader}, Micros(job.reader_due), job.expired, core::TurnOf(record));
}

absl::Status PostgresTransaction::UpdateSource(absl::string_view job_id, absl::string_view source) {
  return update_source_.Queue(job_id, Bytes{source});
}

absl::StatusOr<std::optional<JobRecord>> PostgresTransaction::FindByKey(absl::string_view owner,
                                                                        absl::string_view key) {
  ASSIGN_OR_RETURN(Rows rows, find_by_key_.Run(owner, Bytes{key}));
  if (!rows.Next()) return std::nullopt;
  return JobFrom(rows);
}

absl::StatusOr<std::vector<JobRecord>> PostgresTransaction::JobsBeingRead() {
  ASSIGN_OR_RETURN(Rows rows, being_read_.Run());
  return AllJobs(std::move(rows));
}

absl::StatusOr<std::vector<JobRecord>> PostgresTransaction::LapsedReadings(absl::Time by, size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, lapsed_readings_.Run(Micros(by), Limit(limit)));
  return AllJobs(std::move(rows));
}

absl::StatusOr<core::OwnerUse> PostgresTransaction::UseOf(absl::string_view owner) {
  ASSIGN_OR_RETURN(Rows rows, use_of_.Run(owner));
  rows.Next();
  return core::OwnerUse{static_cast<uint64_t>(rows.Int(0)), static_cast<uint64_t>(rows.Int(1))};
}

absl::StatusOr<std::vector<JobRecord>> PostgresTransaction::EndedBy(absl::Time by, size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, ended_by_.Run(Micros(by), Limit(limit)));
  return AllJobs(std::move(rows));
}

absl::StatusOr<std::vector<std::string>> PostgresTransaction::ExpiredJobs(size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, expired_jobs_.Run(Limit(limit)));
  std::vector<std::string> found;
  while (rows.Next()) found.push_back(rows.Text(0));
  return found;
}

absl::StatusOr<bool> PostgresTransaction::DeletePart(absl::string_view job_id, size_t rows) {
  bool more = false;
  for (Statement* const part : {&delete_chunks_, &delete_items_, &delete_shards_}) {
    ASSIGN_OR_RETURN(const Rows deleted, part->Run(job_id, Limit(rows)));
    more |= deleted.Changed() == Limit(rows);
  }
  if (more) return false;
  RETURN_IF_ERROR(delete_job_.Run(job_id).status());
  return true;
}

// --- Shards and chunks ----------------------------------------------------------------------------------------

absl::StatusOr<std::optional<Shard>> PostgresTransaction::GetShard(const ShardKey& key) {
  if (!Possible(key.job_id)) return std::nullopt;
  ASSIGN_OR_RETURN(Rows rows, get_shard_.Run(key.job_id, key.shard));
  if (!rows.Next()) return std::nullopt;
  return ShardFrom(rows);
}

absl::StatusOr<std::string> PostgresTransaction::GetPayload(const ShardKey& key) {
  ASSIGN_OR_RETURN(std::vector<std::string> payloads, GetPayloads({key}));
  return std::move(payloads.front());
}

absl::StatusOr<std::vector<std::string>> PostgresTransaction::GetPayloads(const std::vector<ShardKey>& keys) {
  std::vector<std::string> payloads;
  if (keys.empty()) return payloads;
  const KeyArrays arrays(keys);
  ASSIGN_OR_RETURN(Rows rows, get_payloads_.Run(arrays.jobs, arrays.shards));
  payloads.reserve(keys.size());
  while (rows.Next()) payloads.push_back(rows.Text(0));
  if (payloads.size() != keys.size()) {
    return absl::NotFoundError(absl::StrCat("no items of shard ", keys[0].shard, " of job ", keys[0].job_id,
                                            keys.size() > 1 ? ", or another one's" : ""));
  }
  return payloads;
}

absl::Status PostgresTransaction::InsertShard(const Shard& shard, absl::string_view payload) {
  RETURN_IF_ERROR(insert_shard_.Queue(
      shard.key.job_id, shard.key.shard, shard.first_index, shard.items, shard.payload_bytes, State(shard),
      shard.epoch, Bytes{shard.holder}, Micros(shard.due), shard.lease_end, shard.suspects_end, shard.losses,
      shard.excused, Bytes{shard.committed.bytes()}, shard.put_offs, Bytes{shard.absent.bytes()}));
  return insert_items_.Queue(shard.key.job_id, shard.key.shard, Bytes{payload});
}

absl::Status PostgresTransaction::UpdateShard(const Shard& shard) {
  return update_shard_.Queue(shard.key.job_id, shard.key.shard, State(shard), shard.epoch,
                             Bytes{shard.holder}, Micros(shard.due), shard.lease_end, shard.suspects_end,
                             shard.losses, shard.excused, Bytes{shard.committed.bytes()}, shard.put_offs);
}

absl::Status PostgresTransaction::InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) {
  return insert_chunk_.Queue(job_id, chunk.commit_seq, chunk.shard, Bytes{EncodeOffsets(chunk.offsets)},
                             Bytes{chunk.payload});
}

absl::StatusOr<std::vector<core::Share>> PostgresTransaction::ReadyJobs(size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, ready_jobs_.Run(Limit(limit)));
  std::vector<core::Share> found;
  while (rows.Next()) found.push_back({rows.Text(0), static_cast<uint64_t>(rows.Int(1))});
  return found;
}

absl::StatusOr<std::vector<Shard>> PostgresTransaction::ReadyShards(absl::string_view job_id, size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, ready_shards_.Run(job_id, Limit(limit)));
  return AllShards(std::move(rows));
}

absl::StatusOr<std::vector<Shard>> PostgresTransaction::LeasesOf(absl::string_view holder) {
  ASSIGN_OR_RETURN(Rows rows, leases_of_.Run(Bytes{holder}));
  return AllShards(std::move(rows));
}

absl::StatusOr<std::vector<Shard>> PostgresTransaction::TimedShardsOf(absl::string_view job_id) {
  ASSIGN_OR_RETURN(Rows rows, timed_of_.Run(job_id));
  return AllShards(std::move(rows));
}

absl::StatusOr<std::vector<Shard>> PostgresTransaction::DueShards(absl::Time by, size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, due_shards_.Run(Micros(by), Limit(limit)));
  return AllShards(std::move(rows));
}

absl::StatusOr<std::vector<Shard>> PostgresTransaction::ShardsDueAfter(absl::Time leased, absl::Time delayed,
                                                                       size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, due_after_.Run(Micros(leased), Micros(delayed), Limit(limit)));
  return AllShards(std::move(rows));
}

absl::StatusOr<absl::Time> PostgresTransaction::NextDue() { return TimeOf(next_due_.Run()); }

// --- Schedules ------------------------------------------------------------------------------------------------

absl::StatusOr<std::optional<core::Schedule>> PostgresTransaction::GetSchedule(absl::string_view id) {
  if (!Possible(id)) return std::nullopt;
  ASSIGN_OR_RETURN(Rows rows, get_schedule_.Run(id));
  if (!rows.Next()) return std::nullopt;
  return ScheduleFrom(rows);
}

absl::Status PostgresTransaction::InsertSchedule(const core::Schedule& schedule) {
  ASSIGN_OR_RETURN(const Rows rows,
                   insert_schedule_.Run(schedule.id, schedule.owner, Bytes{schedule.display_name},
                                        Bytes{schedule.spec}, Bytes{schedule.source}, schedule.priority,
                                        absl::ToInt64Microseconds(schedule.every), schedule.cron,
                                        Micros(schedule.next_time), schedule.last_job, schedule.paused,
                                        Micros(schedule.create_time)));
  return rows.Changed() == 1
             ? absl::OkStatus()
             : absl::AlreadyExistsError(absl::StrCat("schedule ", schedule.id, " exists already"));
}

absl::Status PostgresTransaction::UpdateSchedule(const core::Schedule& schedule) {
  ASSIGN_OR_RETURN(const Rows rows, update_schedule_.Run(schedule.id, Micros(schedule.next_time),
                                                         schedule.last_job, schedule.paused));
  return rows.Changed() == 1 ? absl::OkStatus()
                             : absl::NotFoundError(absl::StrCat("no schedule ", schedule.id));
}

absl::Status PostgresTransaction::DeleteSchedule(absl::string_view id) {
  if (!Possible(id)) return absl::NotFoundError("no such schedule");
  ASSIGN_OR_RETURN(const Rows rows, delete_schedule_.Run(id));
  return rows.Changed() == 1 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no schedule ", id));
}

absl::StatusOr<std::vector<core::Schedule>> PostgresTransaction::DueSchedules(absl::Time by, size_t limit) {
  ASSIGN_OR_RETURN(Rows rows, due_schedules_.Run(Micros(by), Limit(limit)));
  return AllSchedules(std::move(rows));
}

absl::StatusOr<absl::Time> PostgresTransaction::NextSchedule() { return TimeOf(next_schedule_.Run()); }

}  // namespace imgfleet::store::pg
