// Rows of the PostgreSQL store as core's structs. The column lists belong to the functions beside them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/job.h"
#include "coordinator/core/shard.h"
#include "coordinator/core/types.h"
#include "coordinator/store/postgres.h"

namespace imgfleet::store::pg {

#define IMGFLEET_PG_JOB_COLUMNS                                                                \
  "id, owner, spec, source, state, failure, items, shards, succeeded, failed, fetched_bytes, " \
  "reasons, last_commit_seq, create_time, end_time, leased_items, ready_shards, priority, "    \
  "paused, parent, absent, idempotency_key, request_hash, schedule, reader, reader_due, expired"
#define IMGFLEET_PG_SHARD_COLUMNS                                                            \
  "job_id, shard, first_index, items, payload_bytes, state, epoch, holder, due, lease_end, " \
  "suspects_end, losses, excused, committed, put_offs, absent"
#define IMGFLEET_PG_CHUNK_COLUMNS "commit_seq, shard, offsets, payload"
#define IMGFLEET_PG_SCHEDULE_COLUMNS                                                               \
  "id, owner, display_name, spec, source, priority, every_us, cron, next_time, last_job, paused, " \
  "create_time"

absl::StatusOr<core::JobRecord> JobFrom(const Rows& row);
core::Shard ShardFrom(const Rows& row);
absl::StatusOr<core::StoredChunk> ChunkFrom(const Rows& row);
core::Schedule ScheduleFrom(const Rows& row);

absl::StatusOr<std::vector<core::JobRecord>> AllJobs(Rows rows);
std::vector<core::Shard> AllShards(Rows rows);
absl::StatusOr<std::vector<core::StoredChunk>> AllChunks(Rows rows);
std::vector<core::Schedule> AllSchedules(Rows rows);

// NULL for infinite times.
std::optional<int64_t> ToColumn(absl::Time time);
// Whether there can be a job, or anything else with an id, of this name. Text takes no NUL and no broken UTF-8, and
// whoever asks for such an id is to hear that there is none rather than break the transaction.
bool Possible(absl::string_view id);

}  // namespace imgfleet::store::pg
