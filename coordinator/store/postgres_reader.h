// Reading connections of the PostgreSQL store: each sees the last commit and waits for no writer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/core/types.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_connector.h"
#include "coordinator/store/postgres_rows.h"

namespace imgfleet::store::pg {

// One connection; one thread at a time. The methods are those of Store.
class PostgresReader {
 public:
  explicit PostgresReader(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

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

  bool lost() const { return connection_->lost(); }

 private:
  const std::unique_ptr<Connection> connection_;

  // The last shard that begins at $2 or before, unless it ends before; then the one after it. Not by max(): as long as
  // the table's statistics are those of an empty one, the server would look at all of the job's shards for it.
#define IMGFLEET_PG_SHARD_AT                                                                    \
  " FROM shards WHERE job_id = $1 AND first_index >= coalesce((SELECT first_index FROM shards " \
  "WHERE job_id = $1 AND first_index <= $2 ORDER BY first_index DESC LIMIT 1), 0) "             \
  "AND first_index + items > $2 ORDER BY first_index LIMIT 1"

  Statement get_job_{*connection_,
                     "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE id = $1 AND NOT expired"};
  Statement list_jobs_{*connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                     " FROM jobs WHERE id < $1 AND NOT expired ORDER BY id DESC LIMIT $2"};
  Statement list_owned_{*connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                      " FROM jobs WHERE owner = $3 AND id < $1 AND NOT expired "
                                      "ORDER BY id DESC LIMIT $2"};
  Statement being_read_{*connection_,
                        "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE state = 1 ORDER BY id"};
  // Adds up the sizes of the next chunks, for which no payload is read, before it takes those that fit.
  Statement by_commit_{*connection_,
                       "SELECT " IMGFLEET_PG_CHUNK_COLUMNS
                       " FROM (SELECT *, sum(octet_length(payload)) OVER (ORDER BY commit_seq) AS total, "
                       "row_number() OVER (ORDER BY commit_seq) AS place "
                       "FROM (SELECT " IMGFLEET_PG_CHUNK_COLUMNS
                       " FROM chunks WHERE job_id = $1 AND commit_seq > $2 "
                       "ORDER BY commit_seq LIMIT $4) AS next) AS summed "
                       "WHERE total <= $3 OR place = 1 ORDER BY commit_seq"};
  Statement jobs_by_state_{*connection_, "SELECT state, count(*) FROM jobs WHERE NOT expired GROUP BY state"};
  Statement leases_{*connection_, "SELECT count(*) FROM shards WHERE state = 2"};
  Statement pending_{*connection_,
                     "SELECT coalesce(sum(items - absent - succeeded - failed), 0)::bigint FROM jobs "
                     "WHERE state <= 2 AND NOT paused"};
  Statement begin_{*connection_, "BEGIN ISOLATION LEVEL REPEATABLE READ"};
  Statement commit_{*connection_, "COMMIT"};
  Statement shard_at_{
      *connection_,
      "SELECT s.shard, first_index, items, state, absent, payload FROM (SELECT *" IMGFLEET_PG_SHARD_AT
      ") AS s JOIN items AS i ON i.job_id = s.job_id AND i.shard = s.shard"};
  Statement chunks_of_{*connection_,
                       "SELECT " IMGFLEET_PG_CHUNK_COLUMNS
                       " FROM chunks WHERE job_id = $1 AND shard = (SELECT shard" IMGFLEET_PG_SHARD_AT
                       ") ORDER BY commit_seq"};
  Statement get_schedule_{*connection_,
                          "SELECT " IMGFLEET_PG_SCHEDULE_COLUMNS " FROM schedules WHERE id = $1"};
  Statement list_schedules_{*connection_, "SELECT " IMGFLEET_PG_SCHEDULE_COLUMNS
                                          " FROM schedules WHERE id < $1 ORDER BY id DESC LIMIT $2"};
  Statement list_owned_schedules_{*connection_, "SELECT " IMGFLEET_PG_SCHEDULE_COLUMNS
                                                " FROM schedules WHERE owner = $3 AND id < $1 "
                                                "ORDER BY id DESC LIMIT $2"};
};

// Thread-safe: lends a reader to each call and keeps a few for the next ones.
class PostgresReaders {
 public:
  explicit PostgresReaders(Connector& connector) : connector_(connector) {}

  // read(PostgresReader&) -> StatusOr<T>. A reader whose server went away while it lay idle is replaced.
  template <typename T, typename Read>
  absl::StatusOr<T> With(Read read) {
    for (;;) {
      bool kept = false;
      absl::StatusOr<std::unique_ptr<PostgresReader>> reader = Take(kept);
      if (!reader.ok()) return reader.status();
      absl::StatusOr<T> answer = read(**reader);
      if ((*reader)->lost() && kept) continue;
      if (answer.ok()) GiveBack(*std::move(reader));
      return answer;
    }
  }

 private:
  absl::StatusOr<std::unique_ptr<PostgresReader>> Take(bool& kept);
  void GiveBack(std::unique_ptr<PostgresReader> reader);

  Connector& connector_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<PostgresReader>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::store::pg
