#include "coordinator/store/sqlite_transaction.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/store/columns.h"
#include "coordinator/store/sqlite_rows.h"

namespace imgfleet::store {
namespace {

using core::JobRecord;
using core::Shard;
using core::ShardKey;

absl::Status NoShard(const ShardKey& key) {
  return absl::NotFoundError(absl::StrCat("no shard ", key.shard, " of job ", key.job_id));
}

absl::Status NoSchedule(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("no schedule ", id));
}

int64_t State(const auto& row) { return static_cast<int64_t>(row.state); }

absl::StatusOr<std::vector<Shard>> AllShards(Rows rows) {
  std::vector<Shard> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    found.push_back(ShardFrom(rows));
  }
}

absl::StatusOr<std::vector<JobRecord>> AllJobs(Rows rows) {
  std::vector<JobRecord> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    ASSIGN_OR_RETURN(JobRecord record, JobFrom(rows));
    found.push_back(std::move(record));
  }
}

}  // namespace

absl::StatusOr<std::optional<JobRecord>> SqliteTransaction::GetJob(absl::string_view id) {
  Rows rows = get_job_.Run(id);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  return JobFrom(rows);
}

absl::Status SqliteTransaction::InsertJob(const JobRecord& record) {
  const core::Job& job = record.job;
  return insert_job_.Do(job.id, job.owner, Blob{job.spec}, Blob{job.source}, State(job), job.failure,
                        job.items, job.shards, job.counts.succeeded, job.counts.failed,
                        job.counts.fetched_bytes, EncodeReasons(job.counts.reasons), job.last_commit_seq,
                        absl::ToUnixMicros(job.create_time), ToColumn(job.end_time), record.leased_items,
                        record.ready_shards, job.priority, job.paused, job.parent, job.absent,
                        job.idempotency_key, job.request_hash, job.schedule, job.reader,
                        absl::ToUnixMicros(job.reader_due), job.expired, core::TurnOf(record));
}

absl::Status SqliteTransaction::UpdateSource(absl::string_view job_id, absl::string_view source) {
  RETURN_IF_ERROR(update_source_.Do(Blob{source}, job_id));
  return connection_.Changed() == 1 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no job ", job_id));
}

absl::Status SqliteTransaction::UpdateJob(const JobRecord& record) {
  const core::Job& job = record.job;
  RETURN_IF_ERROR(update_job_.Do(
      State(job), job.failure, job.items, job.shards, job.counts.succeeded, job.counts.failed,
      job.counts.fetched_bytes, EncodeReasons(job.counts.reasons), job.last_commit_seq,
      ToColumn(job.end_time), record.leased_items, record.ready_shards, job.priority, job.paused, job.absent,
      job.reader, absl::ToUnixMicros(job.reader_due), job.expired, core::TurnOf(record), job.id));
  return connection_.Changed() == 1 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no job ", job.id));
}

absl::StatusOr<std::optional<JobRecord>> SqliteTransaction::FindByKey(absl::string_view owner,
                                                                      absl::string_view key) {
  Rows rows = find_by_key_.Run(owner, key);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  return JobFrom(rows);
}

absl::StatusOr<std::vector<JobRecord>> SqliteTransaction::JobsBeingRead() {
  return AllJobs(being_read_.Run());
}

absl::StatusOr<std::vector<JobRecord>> SqliteTransaction::LapsedReadings(absl::Time by, size_t limit) {
  return AllJobs(lapsed_readings_.Run(absl::ToUnixMicros(by), limit));
}

absl::StatusOr<core::OwnerUse> SqliteTransaction::UseOf(absl::string_view owner) {
  Rows rows = use_of_.Run(owner);
  RETURN_IF_ERROR(rows.Next().status());
  return core::OwnerUse{static_cast<uint64_t>(rows.Int(0)), static_cast<uint64_t>(rows.Int(1))};
}

absl::StatusOr<std::vector<JobRecord>> SqliteTransaction::EndedBy(absl::Time by, size_t limit) {
  return AllJobs(ended_by_.Run(absl::ToUnixMicros(by), limit));
}

absl::StatusOr<std::vector<std::string>> SqliteTransaction::ExpiredJobs(size_t limit) {
  std::vector<std::string> found;
  Rows rows = expired_jobs_.Run(limit);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    found.push_back(rows.Text(0));
  }
}

absl::StatusOr<bool> SqliteTransaction::DeletePart(absl::string_view job_id, size_t rows) {
  const auto limit = static_cast<int64_t>(rows);
  RETURN_IF_ERROR(delete_chunks_.Do(job_id, limit));
  bool more = connection_.Changed() == limit;
  RETURN_IF_ERROR(delete_items_.Do(job_id, limit));
  more |= connection_.Changed() == limit;
  RETURN_IF_ERROR(delete_shards_.Do(job_id, job_id, limit));
  more |= connection_.Changed() == limit;
  if (more) return false;
  RETURN_IF_ERROR(delete_job_.Do(job_id));
  return true;
}

absl::StatusOr<std::optional<Shard>> SqliteTransaction::GetShard(const ShardKey& key) {
  Rows rows = get_shard_.Run(key.job_id, key.shard);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  return ShardFrom(rows);
}

absl::StatusOr<std::string> SqliteTransaction::GetPayload(const ShardKey& key) {
  Rows rows = get_payload_.Run(key.job_id, key.shard);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return NoShard(key);
  return rows.Text(0);
}

absl::Status SqliteTransaction::InsertShard(const Shard& shard, absl::string_view payload) {
  RETURN_IF_ERROR(insert_shard_.Do(shard.key.job_id, shard.key.shard, shard.first_index, shard.items,
                                   shard.payload_bytes, State(shard), shard.epoch, shard.holder,
                                   absl::ToUnixMicros(shard.due), shard.lease_end, shard.suspects_end,
                                   shard.losses, shard.excused, Blob{shard.committed.bytes()}, shard.put_offs,
                                   Blob{shard.absent.bytes()}));
  return insert_items_.Do(shard.key.job_id, shard.key.shard, Blob{payload});
}

absl::Status SqliteTransaction::UpdateShard(const Shard& shard) {
  RETURN_IF_ERROR(update_shard_.Do(State(shard), shard.epoch, shard.holder, absl::ToUnixMicros(shard.due),
                                   shard.lease_end, shard.suspects_end, shard.losses, shard.excused,
                                   Blob{shard.committed.bytes()}, shard.put_offs, shard.key.job_id,
                                   shard.key.shard));
  return connection_.Changed() == 1 ? absl::OkStatus() : NoShard(shard.key);
}

absl::Status SqliteTransaction::InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) {
  return insert_chunk_.Do(job_id, chunk.commit_seq, chunk.shard, Blob{EncodeOffsets(chunk.offsets)},
                          Blob{chunk.payload});
}

absl::StatusOr<std::vector<core::Share>> SqliteTransaction::ReadyJobs(size_t limit) {
  std::vector<core::Share> found;
  Rows rows = ready_jobs_.Run(limit);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    found.push_back({rows.Text(0), static_cast<uint64_t>(rows.Int(1))});
  }
}

absl::StatusOr<std::vector<Shard>> SqliteTransaction::ReadyShards(absl::string_view job_id, size_t limit) {
  return AllShards(ready_shards_.Run(job_id, limit));
}

absl::StatusOr<std::vector<Shard>> SqliteTransaction::LeasesOf(absl::string_view holder) {
  return AllShards(leases_of_.Run(holder));
}

absl::StatusOr<std::vector<Shard>> SqliteTransaction::TimedShardsOf(absl::string_view job_id) {
  return AllShards(timed_of_.Run(job_id));
}

absl::StatusOr<std::vector<Shard>> SqliteTransaction::DueShards(absl::Time by, size_t limit) {
  return AllShards(due_shards_.Run(absl::ToUnixMicros(by), limit));
}

absl::StatusOr<absl::Time> SqliteTransaction::NextDue() {
  Rows rows = next_due_.Run();
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return absl::InfiniteFuture();
  return absl::FromUnixMicros(rows.Int(0));
}

absl::StatusOr<std::optional<core::Schedule>> SqliteTransaction::GetSchedule(absl::string_view id) {
  Rows rows = get_schedule_.Run(id);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  return ScheduleFrom(rows);
}

absl::Status SqliteTransaction::InsertSchedule(const core::Schedule& schedule) {
  return insert_schedule_.Do(schedule.id, schedule.owner, schedule.display_name, Blob{schedule.spec},
                             Blob{schedule.source}, schedule.priority,
                             absl::ToInt64Microseconds(schedule.every), schedule.cron,
                             absl::ToUnixMicros(schedule.next_time), schedule.last_job, schedule.paused,
                             absl::ToUnixMicros(schedule.create_time));
}

absl::Status SqliteTransaction::UpdateSchedule(const core::Schedule& schedule) {
  RETURN_IF_ERROR(update_schedule_.Do(absl::ToUnixMicros(schedule.next_time), schedule.last_job,
                                      schedule.paused, schedule.id));
  return connection_.Changed() == 1 ? absl::OkStatus() : NoSchedule(schedule.id);
}

absl::Status SqliteTransaction::DeleteSchedule(absl::string_view id) {
  RETURN_IF_ERROR(delete_schedule_.Do(id));
  return connection_.Changed() == 1 ? absl::OkStatus() : NoSchedule(id);
}

absl::StatusOr<std::vector<core::Schedule>> SqliteTransaction::DueSchedules(absl::Time by, size_t limit) {
  return AllSchedules(due_schedules_.Run(absl::ToUnixMicros(by), limit));
}

absl::StatusOr<absl::Time> SqliteTransaction::NextSchedule() {
  Rows rows = next_schedule_.Run();
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return absl::InfiniteFuture();
  return absl::FromUnixMicros(rows.Int(0));
}

}  // namespace imgfleet::store
