// Reading connections of the SQLite store: in WAL mode each sees the last commit and waits for no writer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/core/types.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_rows.h"

namespace imgfleet::store {

// One connection; one thread at a time. The methods are those of Store.
class SqliteReader {
 public:
  static absl::StatusOr<std::unique_ptr<SqliteReader>> Open(const std::string& path);

  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id);
  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  size_t limit);
  absl::StatusOr<std::vector<core::Job>> JobsBeingRead();
  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes);
  absl::StatusOr<core::Census> TakeCensus();
  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id, uint64_t index);
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id);
  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            size_t limit);

 private:
  // False where there is none.
  absl::StatusOr<bool> FindShard(Statement& find, absl::string_view job_id, uint64_t index,
                                 core::ShardResults& results);
  explicit SqliteReader(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
  absl::StatusOr<std::optional<core::ShardResults>> ReadShard(absl::string_view job_id, uint64_t index);

  const std::unique_ptr<Connection> connection_;

  Statement get_job_{*connection_, "SELECT " IMGFLEET_JOB_COLUMNS " FROM jobs WHERE id = ? AND expired = 0"};
  Statement list_jobs_{*connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                     " FROM jobs WHERE id < ? AND expired = 0 ORDER BY id DESC LIMIT ?"};
  Statement list_owned_{*connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                      " FROM jobs INDEXED BY jobs_by_owner "
                                      "WHERE owner = ? AND id < ? AND expired = 0 ORDER BY id DESC LIMIT ?"};
  Statement being_read_{*connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                      " FROM jobs INDEXED BY jobs_reading WHERE state = 1 ORDER BY id"};
  Statement by_commit_{*connection_, "SELECT " IMGFLEET_CHUNK_COLUMNS
                                     " FROM chunks WHERE job_id = ? AND commit_seq > ? ORDER BY commit_seq"};
  Statement jobs_by_state_{*connection_,
                           "SELECT state, count(*) FROM jobs INDEXED BY jobs_by_state "
                           "WHERE expired = 0 GROUP BY state"};
  Statement leases_{*connection_, "SELECT count(*) FROM shards INDEXED BY shards_leased WHERE state = 2"};
  Statement pending_{*connection_,
                     "SELECT coalesce(sum(items - absent - succeeded - failed), 0) FROM jobs "
                     "INDEXED BY jobs_open WHERE state <= 2 AND paused = 0"};
  Statement shard_at_{
      *connection_,
      "SELECT shard, first_index, items, state, absent FROM shards INDEXED BY shards_by_index "
      "WHERE job_id = ? AND first_index <= ? ORDER BY first_index DESC LIMIT 1"};
  Statement shard_after_{
      *connection_,
      "SELECT shard, first_index, items, state, absent FROM shards INDEXED BY shards_by_index "
      "WHERE job_id = ? AND first_index > ? ORDER BY first_index LIMIT 1"};
  Statement items_of_{*connection_, "SELECT payload FROM items WHERE job_id = ? AND shard = ?"};
  Statement chunks_of_{*connection_, "SELECT " IMGFLEET_CHUNK_COLUMNS
                                     " FROM chunks INDEXED BY chunks_by_shard "
                                     "WHERE job_id = ? AND shard = ? ORDER BY commit_seq"};
  Statement get_schedule_{*connection_, "SELECT " IMGFLEET_SCHEDULE_COLUMNS " FROM schedules WHERE id = ?"};
  Statement list_schedules_{*connection_, "SELECT " IMGFLEET_SCHEDULE_COLUMNS
                                          " FROM schedules WHERE id < ? ORDER BY id DESC LIMIT ?"};
  Statement list_owned_schedules_{*connection_, "SELECT " IMGFLEET_SCHEDULE_COLUMNS
                                                " FROM schedules INDEXED BY schedules_by_owner "
                                                "WHERE owner = ? AND id < ? ORDER BY id DESC LIMIT ?"};
};

// Thread-safe: lends a reader to each call and keeps a few for the next ones.
class SqliteReaders {
 public:
  explicit SqliteReaders(std::string path) : path_(std::move(path)) {}

  // read(SqliteReader&) -> StatusOr<T>
  template <typename T, typename Read>
  absl::StatusOr<T> With(Read read) {
    absl::StatusOr<std::unique_ptr<SqliteReader>> reader = Take();
    if (!reader.ok()) return reader.status();
    absl::StatusOr<T> answer = read(**reader);
    if (answer.ok()) GiveBack(*std::move(reader));
    return answer;
  }

 private:
  absl::StatusOr<std::unique_ptr<SqliteReader>> Take();
  void GiveBack(std::unique_ptr<SqliteReader> reader);

  const std::string path_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<SqliteReader>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::store
