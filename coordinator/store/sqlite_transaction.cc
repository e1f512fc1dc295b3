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

int64_t State(const auto& row) { return static_cast<int64_t>(row.state); }

absl::StatusOr<std::vector<Shard>> AllShards(Rows rows) {
  std::vector<Shard> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    found.push_back(ShardFrom(rows));
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
                        record.ready_shards);
}

absl::Status SqliteTransaction::UpdateJob(const JobRecord& record) {
  const core::Job& job = record.job;
  RETURN_IF_ERROR(update_job_.Do(State(job), job.failure, job.items, job.shards, job.counts.succeeded,
                                 job.counts.failed, job.counts.fetched_bytes,
                                 EncodeReasons(job.counts.reasons), job.last_commit_seq,
                                 ToColumn(job.end_time), record.leased_items, record.ready_shards, job.id));
  return connection_.Changed() == 1 ? absl::OkStatus() : absl::NotFoundError(absl::StrCat("no job ", job.id));
}

absl::StatusOr<std::vector<JobRecord>> SqliteTransaction::JobsBeingRead() {
  std::vector<JobRecord> found;
  Rows rows = being_read_.Run();
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    ASSIGN_OR_RETURN(JobRecord record, JobFrom(rows));
    found.push_back(std::move(record));
  }
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
  RETURN_IF_ERROR(insert_shard_.Do(
      shard.key.job_id, shard.key.shard, shard.first_index, shard.items, shard.payload_bytes, State(shard),
      shard.epoch, shard.holder, absl::ToUnixMicros(shard.due), shard.lease_end, shard.suspects_end,
      shard.losses, shard.excused, Blob{shard.committed.bytes()}, shard.put_offs));
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

absl::StatusOr<std::vector<Shard>> SqliteTransaction::DueShards(absl::Time by, size_t limit) {
  return AllShards(due_shards_.Run(absl::ToUnixMicros(by), limit));
}

absl::StatusOr<absl::Time> SqliteTransaction::NextDue() {
  Rows rows = next_due_.Run();
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return absl::InfiniteFuture();
  return absl::FromUnixMicros(rows.Int(0));
}

}  // namespace imgfleet::store
