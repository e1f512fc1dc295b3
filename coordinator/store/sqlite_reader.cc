#include "coordinator/store/sqlite_reader.h"

#include <utility>

#include "common/status.h"

namespace imgfleet::store {
namespace {

constexpr size_t kIdleReaders = 8;
// Above every id that can be told from it by a byte of text.
constexpr absl::string_view kAboveAllIds = "\x7f";

absl::StatusOr<std::vector<core::Job>> AllJobs(Rows rows) {
  std::vector<core::Job> found;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    ASSIGN_OR_RETURN(core::JobRecord record, JobFrom(rows));
    found.push_back(std::move(record.job));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteReader>> SqliteReader::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(path, /*create=*/false));
  RETURN_IF_ERROR(connection->Exec("PRAGMA query_only = 1"));
  return std::unique_ptr<SqliteReader>(new SqliteReader(std::move(connection)));
}

absl::StatusOr<std::optional<core::Job>> SqliteReader::GetJob(absl::string_view id) {
  Rows rows = get_job_.Run(id);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  ASSIGN_OR_RETURN(core::JobRecord record, JobFrom(rows));
  return std::move(record.job);
}

absl::StatusOr<std::vector<core::Job>> SqliteReader::ListJobs(absl::string_view owner,
                                                              absl::string_view before, size_t limit) {
  const absl::string_view below = before.empty() ? kAboveAllIds : before;
  return AllJobs(owner.empty() ? list_jobs_.Run(below, limit) : list_owned_.Run(owner, below, limit));
}

absl::StatusOr<std::vector<core::Job>> SqliteReader::JobsBeingRead() { return AllJobs(being_read_.Run()); }

absl::StatusOr<std::vector<core::StoredChunk>> SqliteReader::ReadByCommit(absl::string_view job_id,
                                                                          uint64_t after,
                                                                          uint64_t max_bytes) {
  std::vector<core::StoredChunk> found;
  uint64_t bytes = 0;
  Rows rows = by_commit_.Run(job_id, after);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return found;
    bytes += rows.Bytes(3).size();
    if (!found.empty() && bytes > max_bytes) return found;
    ASSIGN_OR_RETURN(core::StoredChunk chunk, ChunkFrom(rows));
    found.push_back(std::move(chunk));
  }
}

absl::StatusOr<core::Census> SqliteReader::TakeCensus() {
  core::Census census;
  {
    Rows rows = jobs_by_state_.Run();
    for (;;) {
      ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      census.jobs[static_cast<core::JobState>(rows.Int(0))] = static_cast<uint64_t>(rows.Int(1));
    }
  }
  for (const auto& [statement, number] :
       {std::pair{&leases_, &census.leases}, std::pair{&pending_, &census.items_pending}}) {
    Rows rows = statement->Run();
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (more) *number = static_cast<uint64_t>(rows.Int(0));
  }
  return census;
}

// One snapshot, so that `complete` and the chunks agree.
absl::StatusOr<std::optional<core::ShardResults>> SqliteReader::ReadShardAt(absl::string_view job_id,
                                                                            uint64_t index) {
  RETURN_IF_ERROR(connection_->Exec("BEGIN"));
  auto results = ReadShard(job_id, index);
  const absl::Status ended = connection_->Exec("COMMIT");
  if (results.ok() && !ended.ok()) return ended;
  return results;
}

absl::StatusOr<bool> SqliteReader::FindShard(Statement& find, absl::string_view job_id, uint64_t index,
                                             core::ShardResults& results) {
  Rows rows = find.Run(job_id, index);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return false;
  results.shard = static_cast<uint32_t>(rows.Int(0));
  results.first_index = rows.Int(1);
  results.items = static_cast<uint32_t>(rows.Int(2));
  results.complete = rows.Int(3) == static_cast<int64_t>(core::ShardState::kDone);
  results.absent = core::Bitmap::FromBytes(rows.Text(4));
  return true;
}

absl::StatusOr<std::optional<core::ShardResults>> SqliteReader::ReadShard(absl::string_view job_id,
                                                                          uint64_t index) {
  core::ShardResults results;
  ASSIGN_OR_RETURN(bool found, FindShard(shard_at_, job_id, index, results));
  if (!found || index >= results.first_index + results.items) {
    ASSIGN_OR_RETURN(found, FindShard(shard_after_, job_id, index, results));
  }
  if (!found) return std::nullopt;
  {
    Rows rows = items_of_.Run(job_id, results.shard);
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return absl::DataLossError("a shard without items in the store");
    results.payload = rows.Text(0);
  }
  Rows rows = chunks_of_.Run(job_id, results.shard);
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return results;
    ASSIGN_OR_RETURN(core::StoredChunk chunk, ChunkFrom(rows));
    results.chunks.push_back(std::move(chunk));
  }
}

absl::StatusOr<std::optional<core::Schedule>> SqliteReader::GetSchedule(absl::string_view id) {
  Rows rows = get_schedule_.Run(id);
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return std::nullopt;
  return ScheduleFrom(rows);
}

absl::StatusOr<std::vector<core::Schedule>> SqliteReader::ListSchedules(absl::string_view owner,
                                                                        absl::string_view before,
                                                                        size_t limit) {
  const absl::string_view below = before.empty() ? kAboveAllIds : before;
  return AllSchedules(owner.empty() ? list_schedules_.Run(below, limit)
                                    : list_owned_schedules_.Run(owner, below, limit));
}

absl::StatusOr<std::unique_ptr<SqliteReader>> SqliteReaders::Take() {
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<SqliteReader> reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
  }
  return SqliteReader::Open(path_);
}

void SqliteReaders::GiveBack(std::unique_ptr<SqliteReader> reader) {
  absl::MutexLock lock(&mutex_);
  if (idle_.size() < kIdleReaders) idle_.push_back(std::move(reader));
}

}  // namespace imgfleet::store
