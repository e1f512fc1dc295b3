// A transaction of the PostgreSQL store. What it writes is sent and not waited for; what it reads waits for all
// of that. So a failed write is told by the next read, or at the end.
//
// Isolation is READ COMMITTED: a statement sees what was committed when it began. What a batch decides upon
// holds nevertheless, because the row of its job is locked before anything that belongs to the job is read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_rows.h"
#include "coordinator/store/store.h"

namespace imgfleet::store::pg {

// Serves every transaction of one connection, one after the other, so that its statements are prepared once.
class PostgresTransaction final : public Transaction {
 public:
  // Time is the server's, or that of `clock` where it is not null.
  PostgresTransaction(Connection& connection, const Clock* clock) : connection_(connection), clock_(clock) {}

  // One round trip: begins, locks what is declared, reads the clock, gets the declared shards.
  absl::Status Begin(const Declared& declared);
  // Sends what is queued and waits. `xid` is what the transaction's fate can be asked for by later; it stays empty
  // where nothing was written.
  absl::Status Prepare(std::string& xid);
  absl::Status Commit() { return commit_.Run().status(); }
  absl::Status Rollback() { return rollback_.Run().status(); }

  absl::Time Now() const override { return now_; }
  Prefetched TakePrefetched() override { return std::exchange(prefetched_, {}); }
  absl::StatusOr<std::optional<core::JobRecord>> GetJob(absl::string_view id) override;
  absl::StatusOr<std::optional<core::JobRecord>> TryLockJob(absl::string_view id) override;
  absl::StatusOr<bool> TryLockName(absl::string_view name) override;
  absl::StatusOr<std::optional<core::JobRecord>> PeekJob(absl::string_view id) override;
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
  absl::StatusOr<std::vector<std::string>> GetPayloads(const std::vector<core::ShardKey>& keys) override;
  absl::Status InsertShard(const core::Shard& shard, absl::string_view payload) override;
  absl::Status UpdateShard(const core::Shard& shard) override;
  absl::Status InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) override;
  absl::StatusOr<std::vector<core::Share>> ReadyJobs(size_t limit) override;
  absl::StatusOr<std::vector<core::Shard>> ReadyShards(absl::string_view job_id, size_t limit) override;
  absl::StatusOr<std::vector<core::Shard>> LeasesOf(absl::string_view holder) override;
  absl::StatusOr<std::vector<core::Shard>> TimedShardsOf(absl::string_view job_id) override;
  absl::StatusOr<std::vector<core::Shard>> DueShards(absl::Time by, size_t limit) override;
  absl::StatusOr<std::vector<core::Shard>> ShardsDueAfter(absl::Time leased, absl::Time delayed,
                                                          size_t limit) override;
  absl::StatusOr<absl::Time> NextDue() override;
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override;
  absl::Status InsertSchedule(const core::Schedule& schedule) override;
  absl::Status UpdateSchedule(const core::Schedule& schedule) override;
  absl::Status DeleteSchedule(absl::string_view id) override;
  absl::StatusOr<std::vector<core::Schedule>> DueSchedules(absl::Time by, size_t limit) override;
  absl::StatusOr<absl::Time> NextSchedule() override;

 private:
  absl::StatusOr<std::optional<core::JobRecord>> OneJob(Statement& statement, absl::string_view id);

  Connection& connection_;
  const Clock* const clock_;
  absl::Time now_;
  Prefetched prefetched_;

  Statement begin_{connection_, "BEGIN"};
  Statement commit_{connection_, "COMMIT"};
  Statement rollback_{connection_, "ROLLBACK"};
  // Of names that no row stands for yet. In ascending order, as everybody takes them.
  Statement lock_names_{
      connection_,
      "SELECT pg_advisory_xact_lock(name) FROM (SELECT DISTINCT hashtextextended(n, 20221) AS name "
      "FROM unnest($1::text[]) AS u(n) ORDER BY 1) AS names"};
  Statement try_lock_name_{connection_,
                           "SELECT pg_try_advisory_xact_lock(hashtextextended($1::text, 20221))"};
  // The sort is done before the first row is locked, so the locks are taken in its order.
  Statement lock_jobs_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                    " FROM jobs WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE"};
  Statement clock_now_{connection_, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"};
  Statement get_shards_{
      connection_,
      "SELECT " IMGFLEET_PG_SHARD_COLUMNS
      " FROM unnest($1::text[], $2::bigint[]) AS u(j, n) JOIN shards ON job_id = j AND shard = n"};
  Statement xid_{connection_, "SELECT coalesce(pg_current_xact_id_if_assigned()::text, '')"};

  Statement get_job_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE id = $1 FOR UPDATE"};
  Statement try_lock_job_{
      connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE id = $1 FOR UPDATE SKIP LOCKED"};
  Statement peek_job_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE id = $1"};
  Statement insert_job_{connection_,
                        "INSERT INTO jobs (" IMGFLEET_PG_JOB_COLUMNS
                        ", turn) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,"
                        "$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28) ON CONFLICT DO NOTHING"};
  Statement update_job_{
      connection_,
      "UPDATE jobs SET state = $2, failure = $3, items = $4, shards = $5, succeeded = $6, "
      "failed = $7, fetched_bytes = $8, reasons = $9, last_commit_seq = $10, end_time = $11, "
      "leased_items = $12, ready_shards = $13, priority = $14, paused = $15, absent = $16, "
      "reader = $17, reader_due = $18, expired = $19, turn = $20 WHERE id = $1",
      1};
  Statement update_source_{connection_, "UPDATE jobs SET source = $2 WHERE id = $1", 1};
  Statement find_by_key_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                      " FROM jobs WHERE owner = $1 AND idempotency_key = $2 "
                                      "AND idempotency_key <> '' AND NOT expired"};
  Statement being_read_{connection_,
                        "SELECT " IMGFLEET_PG_JOB_COLUMNS " FROM jobs WHERE state = 1 ORDER BY id"};
  Statement lapsed_readings_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                          " FROM jobs WHERE state = 1 AND reader_due <= $1 "
                                          "ORDER BY reader_due, id LIMIT $2"};
  Statement use_of_{
      connection_,
      "SELECT count(*), coalesce(sum(items - absent - succeeded - failed), 0)::bigint FROM jobs "
      "WHERE owner = $1 AND state <= 2"};
  Statement ended_by_{connection_, "SELECT " IMGFLEET_PG_JOB_COLUMNS
                                   " FROM jobs WHERE state >= 3 AND NOT expired AND end_time <= $1 "
                                   "ORDER BY end_time LIMIT $2"};
  Statement expired_jobs_{connection_, "SELECT id FROM jobs WHERE expired ORDER BY id LIMIT $1"};
  // The first $2 rows, as one range of the index, whatever the server thinks of the table.
#define IMGFLEET_PG_DELETE_FIRST(table, key)                                                    \
  "DELETE FROM " table " WHERE job_id = $1 AND " key " <= coalesce((SELECT " key " FROM " table \
  " WHERE job_id = $1 ORDER BY " key " OFFSET $2 - 1 LIMIT 1), 9223372036854775807)"
  Statement delete_chunks_{connection_, IMGFLEET_PG_DELETE_FIRST("chunks", "commit_seq")};
  Statement delete_items_{connection_, IMGFLEET_PG_DELETE_FIRST("items", "shard")};
  Statement delete_shards_{connection_, IMGFLEET_PG_DELETE_FIRST("shards", "shard")};
  Statement delete_job_{connection_, "DELETE FROM jobs WHERE id = $1"};

  Statement get_shard_{connection_,
                       "SELECT " IMGFLEET_PG_SHARD_COLUMNS " FROM shards WHERE job_id = $1 AND shard = $2"};
  Statement get_payloads_{
      connection_,
      "SELECT payload FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS u(j, n, place) "
      "JOIN items ON job_id = j AND shard = n ORDER BY place"};
  Statement insert_shard_{connection_, "INSERT INTO shards (" IMGFLEET_PG_SHARD_COLUMNS
                                       ") VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)"};
  Statement insert_items_{connection_, "INSERT INTO items (job_id, shard, payload) VALUES ($1,$2,$3)"};
  Statement update_shard_{connection_,
                          "UPDATE shards SET state = $3, epoch = $4, holder = $5, due = $6, lease_end = $7, "
                          "suspects_end = $8, losses = $9, excused = $10, committed = $11, put_offs = $12 "
                          "WHERE job_id = $1 AND shard = $2",
                          1};
  Statement insert_chunk_{
      connection_, "INSERT INTO chunks (job_id, " IMGFLEET_PG_CHUNK_COLUMNS ") VALUES ($1,$2,$3,$4,$5)"};
  Statement ready_jobs_{connection_,
                        "SELECT id, turn FROM jobs WHERE state <= 2 AND ready_shards > 0 AND NOT paused "
                        "ORDER BY turn, id LIMIT $1"};
  Statement ready_shards_{connection_,
                          "SELECT " IMGFLEET_PG_SHARD_COLUMNS
                          " FROM shards WHERE state = 1 AND job_id = $1 ORDER BY shard LIMIT $2"};
  Statement leases_of_{connection_,
                       "SELECT " IMGFLEET_PG_SHARD_COLUMNS " FROM shards WHERE state = 2 AND holder = $1"};
  Statement timed_of_{
      connection_, "SELECT " IMGFLEET_PG_SHARD_COLUMNS " FROM shards WHERE state IN (2, 3) AND job_id = $1"};
  Statement due_shards_{connection_,
                        "SELECT " IMGFLEET_PG_SHARD_COLUMNS
                        " FROM shards WHERE state IN (2, 3) AND due <= $1 ORDER BY due LIMIT $2"};
  Statement due_after_{connection_,
                       "SELECT " IMGFLEET_PG_SHARD_COLUMNS
                       " FROM shards WHERE state IN (2, 3) AND due > least($1::bigint, $2::bigint)"
                       " AND due > CASE state WHEN 2 THEN $1 ELSE $2 END ORDER BY due DESC LIMIT $3"};
  Statement next_due_{connection_, "SELECT due FROM shards WHERE state IN (2, 3) ORDER BY due LIMIT 1"};

  Statement get_schedule_{connection_,
                          "SELECT " IMGFLEET_PG_SCHEDULE_COLUMNS " FROM schedules WHERE id = $1 FOR UPDATE"};
  Statement insert_schedule_{connection_,
                             "INSERT INTO schedules (" IMGFLEET_PG_SCHEDULE_COLUMNS
                             ") VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) ON CONFLICT DO NOTHING"};
  Statement update_schedule_{connection_,
                             "UPDATE schedules SET next_time = $2, last_job = $3, paused = $4 WHERE id = $1"};
  Statement delete_schedule_{connection_, "DELETE FROM schedules WHERE id = $1"};
  Statement due_schedules_{connection_, "SELECT " IMGFLEET_PG_SCHEDULE_COLUMNS
                                        " FROM schedules WHERE NOT paused AND next_time <= $1 "
                                        "ORDER BY next_time, id LIMIT $2 FOR UPDATE SKIP LOCKED"};
  Statement next_schedule_{connection_,
                           "SELECT next_time FROM schedules WHERE NOT paused ORDER BY next_time LIMIT 1"};
};

}  // namespace imgfleet::store::pg
