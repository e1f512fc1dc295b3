#include "coordinator/store/sqlite_rows.h"

#include <utility>

#include "common/status.h"
#include "coordinator/store/columns.h"

namespace imgfleet::store {

std::optional<int64_t> ToColumn(absl::Time time) {
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return std::nullopt;
  return absl::ToUnixMicros(time);
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

}  // namespace imgfleet::store
