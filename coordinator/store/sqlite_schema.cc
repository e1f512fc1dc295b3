#include "coordinator/store/sqlite_schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet::store {
namespace {

constexpr int64_t kApplicationId = 0x494D4746;  // "IMGF"

// kMigrations[v] leads from schema v to v + 1. Once released, none is ever changed.
//
// jobs.state, shards.state: core::JobState and core::ShardState by number. Times, offsets and reasons: see
// columns.h. committed: core::Bitmap's bytes. payload: blobs as common/blob.h packs them. leased_items and
// ready_shards repeat what the shards say, so that leasing need not count.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE jobs (
  id TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, spec BLOB NOT NULL, source BLOB NOT NULL,
  state INTEGER NOT NULL, failure TEXT NOT NULL, items INTEGER NOT NULL, shards INTEGER NOT NULL,
  succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, fetched_bytes INTEGER NOT NULL, reasons TEXT NOT NULL,
  last_commit_seq INTEGER NOT NULL, create_time INTEGER NOT NULL, end_time INTEGER,
  leased_items INTEGER NOT NULL, ready_shards INTEGER NOT NULL) STRICT;
CREATE INDEX jobs_ready ON jobs (leased_items, id) WHERE state <= 2 AND ready_shards > 0;
CREATE INDEX jobs_reading ON jobs (id) WHERE state = 1;

CREATE TABLE shards (
  job_id TEXT NOT NULL, shard INTEGER NOT NULL, first_index INTEGER NOT NULL, items INTEGER NOT NULL,
  payload_bytes INTEGER NOT NULL, state INTEGER NOT NULL, epoch INTEGER NOT NULL, holder TEXT NOT NULL,
  due INTEGER NOT NULL, lease_end INTEGER NOT NULL, suspects_end INTEGER NOT NULL, losses INTEGER NOT NULL,
  excused INTEGER NOT NULL, committed BLOB NOT NULL,
  PRIMARY KEY (job_id, shard)) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX shards_by_index ON shards (job_id, first_index);
CREATE INDEX shards_ready ON shards (job_id, shard) WHERE state = 1;
CREATE INDEX shards_leased ON shards (holder) WHERE state = 2;
CREATE INDEX shards_due ON shards (due) WHERE state IN (2, 3);

CREATE TABLE items (
  job_id TEXT NOT NULL, shard INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (job_id, shard)) STRICT;

CREATE TABLE chunks (
  job_id TEXT NOT NULL, commit_seq INTEGER NOT NULL, shard INTEGER NOT NULL, offsets BLOB NOT NULL,
  payload BLOB NOT NULL, PRIMARY KEY (job_id, commit_seq)) STRICT;
CREATE INDEX chunks_by_shard ON chunks (job_id, shard, commit_seq);
)sql",
    // For counting jobs by state.
    R"sql(
CREATE INDEX jobs_by_state ON jobs (state);
)sql",
    // For items that an origin asks to delay.
    R"sql(
ALTER TABLE shards ADD COLUMN put_offs INTEGER NOT NULL DEFAULT 0;
)sql",
    // For job control. turn is core::TurnOf; what was leased before has priority 0.
    R"sql(
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN absent INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN request_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN schedule TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN reader TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN reader_due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET turn = leased_items << 4;
DROP INDEX jobs_ready;
CREATE INDEX jobs_ready ON jobs (turn, id) WHERE state <= 2 AND ready_shards > 0 AND paused = 0;
DROP INDEX jobs_reading;
CREATE INDEX jobs_reading ON jobs (reader_due, id) WHERE state = 1;
DROP INDEX jobs_by_state;
CREATE INDEX jobs_by_state ON jobs (state) WHERE expired = 0;
CREATE INDEX jobs_by_owner ON jobs (owner, id) WHERE expired = 0;
CREATE INDEX jobs_open ON jobs (owner) WHERE state <= 2;
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key <> '' AND expired = 0;
CREATE INDEX jobs_by_end ON jobs (end_time) WHERE state >= 3 AND expired = 0;
CREATE INDEX jobs_expired ON jobs (id) WHERE expired = 1;
ALTER TABLE shards ADD COLUMN absent BLOB NOT NULL DEFAULT x'';
CREATE TABLE schedules (
  id TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, display_name TEXT NOT NULL, spec BLOB NOT NULL,
  source BLOB NOT NULL, priority INTEGER NOT NULL, every_us INTEGER NOT NULL, cron TEXT NOT NULL,
  next_time INTEGER NOT NULL, last_job TEXT NOT NULL, paused INTEGER NOT NULL, create_time INTEGER NOT NULL)
  STRICT;
CREATE INDEX schedules_due ON schedules (next_time, id) WHERE paused = 0;
CREATE INDEX schedules_by_owner ON schedules (owner, id);
)sql",
};
static_assert(std::size(kMigrations) == kSqliteSchema);

absl::Status Foreign(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      path,
      " is a SQLite database of some other program; name a file of imgfleet's own, or one that does not "
      "exist yet"));
}

}  // namespace

absl::Status PrepareSchema(Connection& connection, const std::string& path) {
  absl::StatusOr<int64_t> application = connection.QueryInt("PRAGMA application_id");
  if (absl::IsDataLoss(application.status())) {
    return absl::DataLossError(absl::StrCat(path,
                                            " is damaged or no SQLite database; restore it from a backup, "
                                            "or name another file"));
  }
  RETURN_IF_ERROR(application.status());
  ASSIGN_OR_RETURN(int64_t version, connection.QueryInt("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const int64_t tables, connection.QueryInt("SELECT count(*) FROM sqlite_schema"));
  const bool fresh = *application == 0 && version == 0 && tables == 0;
  if (!fresh && *application != kApplicationId) return Foreign(path);
  if (version > kSqliteSchema) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was written by a newer release of imgfleet (schema ", version,
                     ", this one knows up to ", kSqliteSchema, "); run that release, or name another file"));
  }
  for (; version < kSqliteSchema; ++version) {
    const absl::Status migrated = connection.Exec(
        absl::StrCat("BEGIN IMMEDIATE;", kMigrations[version], "PRAGMA application_id = ", kApplicationId,
                     "; PRAGMA user_version = ", version + 1, "; COMMIT"));
    if (migrated.ok()) continue;
    if (connection.InTransaction()) (void)connection.Exec("ROLLBACK");
    return Annotate(migrated, absl::StrCat("migrating ", path, " to schema ", version + 1));
  }
  return absl::OkStatus();
}

}  // namespace imgfleet::store
