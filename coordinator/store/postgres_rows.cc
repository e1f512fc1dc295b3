#include "coordinator/store/postgres_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/status.h"
#include "coordinator/store/columns.h"

namespace imgfleet::store::pg {

std::optional<int64_t> ToColumn(absl::Time time) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return std::nullopt;
  return absl::ToUnixMicros(time);
}

bool Possible(absl::string_view id) {
  return std::all_of(id.begin(), id.end(),
                     [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); });
}

absl::StatusOr<core::JobRecord> JobFrom(const Rows& row) {
  core::JobRecord record;
  core::Job& job = record.job;
  job.id = row.Text(0);
  job.owner = row.Text(1);
  job.spec = row.Text(2);
  job.source = row.Text(3);
  job.state = static_cast<core::JobState>(row.Int(4));
  job.failure = row.Text(5);
  job.items = row.Int(6);
  job.shards = static_cast<uint32_t>(row.Int(7));
  job.counts.succeeded = row.Int(8);
  job.counts.failed = row.Int(9);
  job.counts.fetched_bytes = row.Int(10);
  ASSIGN_OR_RETURN(job.counts.reasons, DecodeReasons(row.Bytes(11)));
  job.last_commit_seq = row.Int(12);
  job.create_time = absl::FromUnixMicros(row.Int(13));
  if (!row.Null(14)) job.end_time = absl::FromUnixMicros(row.Int(14));
  record.leased_items = row.Int(15);
  record.ready_shards = static_cast<uint32_t>(row.Int(16));
  job.priority = static_cast<int32_t>(row.Int(17));
  job.paused = row.Int(18) != 0;
  job.parent = row.Text(19);
  job.absent = row.Int(20);
  job.idempotency_key = row.Text(21);
  job.request_hash = row.Text(22);
  job.schedule = row.Text(23);
  job.reader = row.Text(24);
  job.reader_due = absl::FromUnixMicros(row.Int(25));
  job.expired = row.Int(26) != 0;
  return record;
}

core::Shard ShardFrom(const Rows& row) {
  core::Shard shard;
  shard.key = {row.Text(0), static_cast<uint32_t>(row.Int(1))};
  shard.first_index = row.Int(2);
  shard.items = static_cast<uint32_t>(row.Int(3));
  shard.payload_bytes = row.Int(4);
  shard.state = static_cast<core::ShardState>(row.Int(5));
  shard.epoch = row.Int(6);
  shard.holder = row.Text(7);
  shard.due = absl::FromUnixMicros(row.Int(8));
  shard.lease_end = static_cast<uint32_t>(row.Int(9));
  shard.suspects_end = static_cast<uint32_t>(row.Int(10));
  shard.losses = static_cast<uint32_t>(row.Int(11));
  shard.excused = row.Int(12) != 0;
  shard.committed = core::Bitmap::FromBytes(row.Text(13));
  shard.put_offs = static_cast<uint32_t>(row.Int(14));
  shard.absent = core::Bitmap::FromBytes(row.Text(15));
  return shard;
}

absl::StatusOr<core::StoredChunk> ChunkFrom(const Rows& row) {
  core::StoredChunk chunk;
  chunk.commit_seq = row.Int(0);
  chunk.shard = static_cast<uint32_t>(row.Int(1));
  ASSIGN_OR_RETURN(chunk.offsets, DecodeOffsets(row.Bytes(2)));
  chunk.payload = row.Text(3);
  return chunk;
}

core::Schedule ScheduleFrom(const Rows& row) {
  core::Schedule schedule;
  schedule.id = row.Text(0);
  schedule.owner = row.Text(1);
  schedule.display_name = row.Text(2);
  schedule.spec = row.Text(3);
  schedule.source = row.Text(4);
  schedule.priority = static_cast<int32_t>(row.Int(5));
  schedule.every = absl::Microseconds(row.Int(6));
  schedule.cron = row.Text(7);
  schedule.next_time = absl::FromUnixMicros(row.Int(8));
  schedule.last_job = row.Text(9);
  schedule.paused = row.Int(10) != 0;
  schedule.create_time = absl::FromUnixMicros(row.Int(11));
  return schedule;
}

absl::StatusOr<std::vector<core::JobRecord>> AllJobs(Rows rows) {
  std::vector<core::JobRecord> found;
  while (rows.Next()) {
    ASSIGN_OR_RETURN(core::JobRecord record, JobFrom(rows));
    found.push_back(std::move(record));
  }
  return found;
}

std::vector<core::Shard> AllShards(Rows rows) {
  std::vector<core::Shard> found;
  while (rows.Next()) found.push_back(ShardFrom(rows));
  return found;
}

absl::StatusOr<std::vector<core::StoredChunk>> AllChunks(Rows rows) {
  std::vector<core::StoredChunk> found;
  while (rows.Next()) {
    ASSIGN_OR_RETURN(core::StoredChunk chunk, ChunkFrom(rows));
    found.push_back(std::move(chunk));
  }
  return found;
}

std::vector<core::Schedule> AllSchedules(Rows rows) {
  std::vector<core::Schedule> found;
  while (rows.Next()) found.push_back(ScheduleFrom(rows));
  return found;
}

}  // namespace imgfleet::store::pg
