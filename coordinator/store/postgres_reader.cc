#include "coordinator/store/postgres_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/status.h"

namespace imgfleet::store::pg {
namespace {

constexpr size_t kIdleReaders = 8;
// Above every id that can be told from it by a byte of text.
constexpr absl::string_view kAboveAllIds = "\x7f";
// Chunks looked at to give the next max_bytes.
constexpr int kChunksAhead = 256;

absl::StatusOr<std::vector<core::Job>> JobsOf(absl::StatusOr<Rows> rows) {
  RETURN_IF_ERROR(rows.status());
  ASSIGN_OR_RETURN(std::vector<core::JobRecord> records, AllJobs(*std::move(rows)));
  std::vector<core::Job> jobs;
  jobs.reserve(records.size());
  for (core::JobRecord& record : records) jobs.push_back(std::move(record.job));
  return jobs;
}

// Beyond what a bigint holds there is nothing.
int64_t Index(uint64_t index) {
  return static_cast<int64_t>(std::min<uint64_t>(index, std::numeric_limits<int64_t>::max()));
}

}  // namespace

absl::StatusOr<std::optional<core::Job>> PostgresReader::GetJob(absl::string_view id) {
  if (!Possible(id)) return std::nullopt;
  ASSIGN_OR_RETURN(std::vector<core::Job> jobs, JobsOf(get_job_.Run(id)));
  if (jobs.empty()) return std::nullopt;
  return std::move(jobs.front());
}

absl::StatusOr<std::vector<core::Job>> PostgresReader::ListJobs(absl::string_view owner,
                                                                absl::string_view before, size_t limit) {
  const absl::string_view below = before.empty() ? kAboveAllIds : before;
  return JobsOf(owner.empty() ? list_jobs_.Run(below, limit) : list_owned_.Run(below, limit, owner));
}

absl::StatusOr<std::vector<core::Job>> PostgresReader::JobsBeingRead() { return JobsOf(being_read_.Run()); }

absl::StatusOr<std::vector<core::StoredChunk>> PostgresReader::ReadByCommit(absl::string_view job_id,
                                                                            uint64_t after,
                                                                            uint64_t max_bytes) {
  if (!Possible(job_id)) return std::vector<core::StoredChunk>();
  ASSIGN_OR_RETURN(Rows rows, by_commit_.Run(job_id, Index(after), Index(max_bytes), kChunksAhead));
  return AllChunks(std::move(rows));
}

absl::StatusOr<core::Census> PostgresReader::TakeCensus() {
  core::Census census;
  ASSIGN_OR_RETURN(Rows states, jobs_by_state_.Run());
  while (states.Next()) {
    census.jobs[static_cast<core::JobState>(states.Int(0))] = static_cast<uint64_t>(states.Int(1));
  }
  ASSIGN_OR_RETURN(Rows leases, leases_.Run());
  if (leases.Next()) census.leases = static_cast<uint64_t>(leases.Int(0));
  ASSIGN_OR_RETURN(Rows pending, pending_.Run());
  if (pending.Next()) census.items_pending = static_cast<uint64_t>(pending.Int(0));
  return census;
}

// One snapshot, so that `complete` and the chunks agree, and one round trip.
absl::StatusOr<std::optional<core::ShardResults>> PostgresReader::ReadShardAt(absl::string_view job_id,
                                                                              uint64_t index) {
  if (!Possible(job_id)) return std::nullopt;
  RETURN_IF_ERROR(begin_.Queue());
  RETURN_IF_ERROR(shard_at_.Want(job_id, Index(index)));
  RETURN_IF_ERROR(chunks_of_.Want(job_id, Index(index)));
  RETURN_IF_ERROR(commit_.Queue());
  absl::StatusOr<std::vector<Rows>> found = connection_->Collect();
  if (!found.ok()) {
    if (!lost()) (void)commit_.Run();
    return found.status();
  }
  Rows& shard = found->at(0);
  if (!shard.Next()) return std::nullopt;
  core::ShardResults results;
  results.shard = static_cast<uint32_t>(shard.Int(0));
  results.first_index = shard.Int(1);
  results.items = static_cast<uint32_t>(shard.Int(2));
  results.complete = shard.Int(3) == static_cast<int64_t>(core::ShardState::kDone);
  results.absent = core::Bitmap::FromBytes(shard.Text(4));
  results.payload = shard.Text(5);
  ASSIGN_OR_RETURN(results.chunks, AllChunks(std::move(found->at(1))));
  return results;
}

absl::StatusOr<std::optional<core::Schedule>> PostgresReader::GetSchedule(absl::string_view id) {
  if (!Possible(id)) return std::nullopt;
  ASSIGN_OR_RETURN(Rows rows, get_schedule_.Run(id));
  if (!rows.Next()) return std::nullopt;
  return ScheduleFrom(rows);
}

absl::StatusOr<std::vector<core::Schedule>> PostgresReader::ListSchedules(absl::string_view owner,
                                                                          absl::string_view before,
                                                                          size_t limit) {
  const absl::string_view below = before.empty() ? kAboveAllIds : before;
  ASSIGN_OR_RETURN(Rows rows, owner.empty() ? list_schedules_.Run(below, limit)
                                            : list_owned_schedules_.Run(below, limit, owner));
  return AllSchedules(std::move(rows));
}

absl::StatusOr<std::unique_ptr<PostgresReader>> PostgresReaders::Take(bool& kept) {
  {
    absl::MutexLock lock(&mutex_);
    kept = !idle_.empty();
    if (kept) {
      std::unique_ptr<PostgresReader> reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, connector_.Connect());
  return std::make_unique<PostgresReader>(std::move(connection));
}

void PostgresReaders::GiveBack(std::unique_ptr<PostgresReader> reader) {
  absl::MutexLock lock(&mutex_);
  if (idle_.size() < kIdleReaders) idle_.push_back(std::move(reader));
}

}  // namespace imgfleet::store::pg
