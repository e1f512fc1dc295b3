// A transaction of the SQLite store: each method is one prepared statement.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_rows.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// Serves every transaction of one connection, one after the other, so that its statements are prepared once.
class SqliteTransaction final : public Transaction {
 public:
  explicit SqliteTransaction(Connection& connection) : connection_(connection) {}

  void Begin(absl::Time now) { now_ = now; }

  absl::Time Now() const override { return now_; }
  absl::StatusOr<std::optional<core::JobRecord>> GetJob(absl::string_view id) override;
  absl::Status InsertJob(const core::JobRecord& record) override;
  absl::Status UpdateJob(const core::JobRecord& record) override;
  absl::Status UpdateSource(absl::string_view job_id, absl::string_view source) override;
  absl::StatusOr<std::optional<core::JobRecord>> FindByKey(absl::string_view owner,
                                                           absl::string_view key) override;
  absl::StatusOr<std::vector<core::JobRecord>> JobsBeingRead() override;
  absl::StatusOr<std::vector<core::JobRecord>> LapsedReadings(absl::Time by, size_t limit) override;
  absl::StatusOr<core::OwnerUse> UseOf(absl::string_view owner) override;
  absl::StatusOr<std::vector<core::JobRecord>> EndedBy(absl::Time by, size_t limit) override;
  absl::StatusOr<std::vector<std::string>> ExpiredJobs(size_t limit) override;
  absl::StatusOr<bool> DeletePart(absl::string_view job_id, size_t rows) override;
  absl::StatusOr<std::optional<core::Shard>> GetShard(const core::ShardKey& key) override;
  absl::StatusOr<std::string> GetPayload(const core::ShardKey& key) override;
  absl::Status InsertShard(const core::Shard& shard, absl::string_view payload) override;
  absl::Status UpdateShard(const core::Shard& shard) override;
  absl::Status InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) override;
  absl::StatusOr<std::vector<core::Share>> ReadyJobs(size_t limit) override;
  absl::StatusOr<std::vector<core::Shard>> ReadyShards(absl::string_view job_id, size_t limit) override;
  absl::StatusOr<std::vector<core::Shard>> LeasesOf(absl::string_view holder) override;
  absl::StatusOr<std::vector<core::Shard>> TimedShardsOf(absl::string_view job_id) override;
  absl::StatusOr<std::vector<core::Shard>> DueShards(absl::Time by, size_t limit) override;
  absl::StatusOr<absl::Time> NextDue() override;
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override;
  absl::Status InsertSchedule(const core::Schedule& schedule) override;
  absl::Status UpdateSchedule(const core::Schedule& schedule) override;
  absl::Status DeleteSchedule(absl::string_view id) override;
  absl::StatusOr<std::vector<core::Schedule>> DueSchedules(absl::Time by, size_t limit) override;
  absl::StatusOr<absl::Time> NextSchedule() override;

 private:
  Connection& connection_;
  absl::Time now_;

  Statement get_job_{connection_, "SELECT " IMGFLEET_JOB_COLUMNS " FROM jobs WHERE id = ?"};
  Statement insert_job_{connection_,
                        "INSERT INTO jobs (" IMGFLEET_JOB_COLUMNS
                        ", turn) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"};
  Statement update_job_{connection_,
                        "UPDATE jobs SET state = ?, failure = ?, items = ?, shards = ?, succeeded = ?, "
                        "failed = ?, fetched_bytes = ?, reasons = ?, last_commit_seq = ?, end_time = ?, "
                        "leased_items = ?, ready_shards = ?, priority = ?, paused = ?, absent = ?, "
                        "reader = ?, reader_due = ?, expired = ?, turn = ? WHERE id = ?"};
  Statement update_source_{connection_, "UPDATE jobs SET source = ? WHERE id = ?"};
  Statement find_by_key_{connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                      " FROM jobs INDEXED BY jobs_by_key WHERE owner = ? AND "
                                      "idempotency_key = ? AND idempotency_key <> '' AND expired = 0"};
  Statement being_read_{connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                     " FROM jobs INDEXED BY jobs_reading WHERE state = 1 ORDER BY id"};
  Statement lapsed_readings_{connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                          " FROM jobs INDEXED BY jobs_reading WHERE state = 1 AND "
                                          "reader_due <= ? ORDER BY reader_due, id LIMIT ?"};
  Statement use_of_{connection_,
                    "SELECT count(*), ifnull(sum(items - absent - succeeded - failed), 0) "
                    "FROM jobs INDEXED BY jobs_open WHERE owner = ? AND state <= 2"};
  Statement ended_by_{connection_, "SELECT " IMGFLEET_JOB_COLUMNS
                                   " FROM jobs INDEXED BY jobs_by_end WHERE state >= 3 AND expired = 0 AND "
                                   "end_time <= ? ORDER BY end_time LIMIT ?"};
  Statement expired_jobs_{
      connection_, "SELECT id FROM jobs INDEXED BY jobs_expired WHERE expired = 1 ORDER BY id LIMIT ?"};
  Statement delete_chunks_{connection_,
                           "DELETE FROM chunks WHERE rowid IN "
                           "(SELECT rowid FROM chunks WHERE job_id = ? LIMIT ?)"};
  Statement delete_items_{connection_,
                          "DELETE FROM items WHERE rowid IN "
                          "(SELECT rowid FROM items WHERE job_id = ? LIMIT ?)"};
  Statement delete_shards_{connection_,
                           "DELETE FROM shards WHERE job_id = ? AND shard IN "
                           "(SELECT shard FROM shards WHERE job_id = ? LIMIT ?)"};
  Statement delete_job_{connection_, "DELETE FROM jobs WHERE id = ?"};
  Statement get_shard_{connection_,
                       "SELECT " IMGFLEET_SHARD_COLUMNS " FROM shards WHERE job_id = ? AND shard = ?"};
  Statement get_payload_{connection_, "SELECT payload FROM items WHERE job_id = ? AND shard = ?"};
  Statement insert_shard_{connection_, "INSERT INTO shards (" IMGFLEET_SHARD_COLUMNS
                                       ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"};
  Statement insert_items_{connection_, "INSERT INTO items (job_id, shard, payload) VALUES (?,?,?)"};
  Statement update_shard_{connection_,
                          "UPDATE shards SET state = ?, epoch = ?, holder = ?, due = ?, lease_end = ?, "
                          "suspects_end = ?, losses = ?, excused = ?, committed = ?, put_offs = ? "
                          "WHERE job_id = ? AND shard = ?"};
  Statement insert_chunk_{connection_,
                          "INSERT INTO chunks (job_id, " IMGFLEET_CHUNK_COLUMNS ") VALUES (?,?,?,?,?)"};
  // INDEXED BY: a plan that had to scan all shards must fail the tests, not slow down with the years.
  Statement ready_jobs_{
      connection_,
      "SELECT id, turn FROM jobs INDEXED BY jobs_ready WHERE state <= 2 AND ready_shards > 0 "
      "AND paused = 0 ORDER BY turn, id LIMIT ?"};
  Statement ready_shards_{connection_, "SELECT " IMGFLEET_SHARD_COLUMNS
                                       " FROM shards INDEXED BY shards_ready "
                                       "WHERE state = 1 AND job_id = ? ORDER BY shard LIMIT ?"};
  Statement leases_of_{connection_, "SELECT " IMGFLEET_SHARD_COLUMNS
                                    " FROM shards INDEXED BY shards_leased WHERE state = 2 AND holder = ?"};
  Statement timed_of_{connection_, "SELECT " IMGFLEET_SHARD_COLUMNS
                                   " FROM shards INDEXED BY shards_due WHERE state IN (2, 3) AND job_id = ?"};
  Statement due_shards_{connection_, "SELECT " IMGFLEET_SHARD_COLUMNS
                                     " FROM shards INDEXED BY shards_due "
                                     "WHERE state IN (2, 3) AND due <= ? ORDER BY due LIMIT ?"};
  Statement next_due_{connection_,
                      "SELECT due FROM shards INDEXED BY shards_due WHERE state IN (2, 3) "
                      "ORDER BY due LIMIT 1"};
  Statement get_schedule_{connection_, "SELECT " IMGFLEET_SCHEDULE_COLUMNS " FROM schedules WHERE id = ?"};
  Statement insert_schedule_{
      connection_, "INSERT INTO schedules (" IMGFLEET_SCHEDULE_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"};
  Statement update_schedule_{connection_,
                             "UPDATE schedules SET next_time = ?, last_job = ?, paused = ? WHERE id = ?"};
  Statement delete_schedule_{connection_, "DELETE FROM schedules WHERE id = ?"};
  Statement due_schedules_{connection_, "SELECT " IMGFLEET_SCHEDULE_COLUMNS
                                        " FROM schedules INDEXED BY schedules_due WHERE paused = 0 AND "
                                        "next_time <= ? ORDER BY next_time, id LIMIT ?"};
  Statement next_schedule_{connection_,
                           "SELECT next_time FROM schedules INDEXED BY schedules_due WHERE paused = 0 "
                           "ORDER BY next_time LIMIT 1"};
};

}  // namespace imgfleet::store
