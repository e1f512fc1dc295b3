#include "coordinator/store/postgres_schema.h"

#include <iterator>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet::store::pg {
namespace {

// pg_xact_status and xid8 came with 13.
constexpr int kOldestServer = 130000;

// kMigrations[v] leads from schema v to v + 1. Once released, none is ever changed.
//
// jobs.state, shards.state: core::JobState and core::ShardState by number. Times, offsets and reasons: see
// columns.h. committed, absent: core::Bitmap's bytes. payload: blobs as common/blob.h packs them, stored as
// they are: they are compressed already. leased_items, ready_shards and turn repeat what the shards say, so
// that leasing need not count. What users and workers name as they like is bytea: text takes no NUL.
//
// Ids compare by byte, as in every store. A job's row and a shard's are written again and again: their pages
// leave room for the next version beside the last, and are cleaned soon.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE jobs (
  id text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, spec bytea NOT NULL, source bytea NOT NULL,
  state smallint NOT NULL, failure bytea NOT NULL, items bigint NOT NULL, shards bigint NOT NULL,
  succeeded bigint NOT NULL, failed bigint NOT NULL, fetched_bytes bigint NOT NULL, reasons text NOT NULL,
  last_commit_seq bigint NOT NULL, create_time bigint NOT NULL, end_time bigint, leased_items bigint NOT NULL,
  ready_shards bigint NOT NULL, priority smallint NOT NULL, paused boolean NOT NULL, parent text NOT NULL,
  absent bigint NOT NULL, idempotency_key bytea NOT NULL, request_hash bytea NOT NULL, schedule text NOT NULL,
  reader bytea NOT NULL, reader_due bigint NOT NULL, expired boolean NOT NULL, turn bigint NOT NULL)
  WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_ready ON jobs (turn, id) WHERE state <= 2 AND ready_shards > 0 AND NOT paused;
CREATE INDEX jobs_reading ON jobs (reader_due, id) WHERE state = 1;
CREATE INDEX jobs_by_state ON jobs (state) WHERE NOT expired;
CREATE INDEX jobs_by_owner ON jobs (owner, id) WHERE NOT expired;
CREATE INDEX jobs_open ON jobs (owner) WHERE state <= 2;
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key <> '' AND NOT expired;
CREATE INDEX jobs_by_end ON jobs (end_time) WHERE state >= 3 AND NOT expired;
CREATE INDEX jobs_expired ON jobs (id) WHERE expired;

CREATE TABLE shards (
  job_id text COLLATE "C" NOT NULL, shard bigint NOT NULL, first_index bigint NOT NULL, items bigint NOT NULL,
  payload_bytes bigint NOT NULL, state smallint NOT NULL, epoch bigint NOT NULL, holder bytea NOT NULL,
  due bigint NOT NULL, lease_end bigint NOT NULL, suspects_end bigint NOT NULL, losses bigint NOT NULL,
  excused boolean NOT NULL, committed bytea NOT NULL, put_offs bigint NOT NULL, absent bytea NOT NULL,
  PRIMARY KEY (job_id, shard))
  WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX shards_by_index ON shards (job_id, first_index);
CREATE INDEX shards_ready ON shards (job_id, shard) WHERE state = 1;
CREATE INDEX shards_leased ON shards (holder) WHERE state = 2;
CREATE INDEX shards_due ON shards (due) WHERE state IN (2, 3);

CREATE TABLE items (
  job_id text COLLATE "C" NOT NULL, shard bigint NOT NULL, payload bytea NOT NULL,
  PRIMARY KEY (job_id, shard));
ALTER TABLE items ALTER payload SET STORAGE EXTERNAL;

CREATE TABLE chunks (
  job_id text COLLATE "C" NOT NULL, commit_seq bigint NOT NULL, shard bigint NOT NULL, offsets bytea NOT NULL,
  payload bytea NOT NULL, PRIMARY KEY (job_id, commit_seq));
ALTER TABLE chunks ALTER payload SET STORAGE EXTERNAL;
CREATE INDEX chunks_by_shard ON chunks (job_id, shard, commit_seq);

CREATE TABLE schedules (
  id text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, display_name bytea NOT NULL,
  spec bytea NOT NULL, source bytea NOT NULL, priority smallint NOT NULL, every_us bigint NOT NULL,
  cron text NOT NULL, next_time bigint NOT NULL, last_job text NOT NULL, paused boolean NOT NULL,
  create_time bigint NOT NULL);
CREATE INDEX schedules_due ON schedules (next_time, id) WHERE NOT paused;
CREATE INDEX schedules_by_owner ON schedules (owner, id);

CREATE TABLE imgfleet_schema (version int NOT NULL);
INSERT INTO imgfleet_schema VALUES (0);
)sql",
    // Who uses which origin: core::OriginRow, and the row that counts exchanges.
    R"sql(
CREATE TABLE origin_board (
  origin text COLLATE "C" NOT NULL, coordinator text COLLATE "C" NOT NULL, value text NOT NULL,
  learned bytea NOT NULL, until bigint NOT NULL, number bigint NOT NULL, PRIMARY KEY (origin, coordinator))
  WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX origin_board_by_number ON origin_board (number);
INSERT INTO origin_board VALUES ('', '', '0', '', 0, 0);
)sql",
};
static_assert(std::size(kMigrations) == kSchema);

struct Place {
  std::string database, user, schema;
};

absl::Status Refused(const Place& place) {
  return absl::PermissionDeniedError(absl::StrCat(
      "role \"", place.user, "\" may not do in schema \"", place.schema, "\" of database \"", place.database,
      "\" what a coordinator must; let its owner run: GRANT USAGE, CREATE ON SCHEMA \"", place.schema,
      "\" TO \"", place.user,
      "\"; and, where another role has made the tables: GRANT SELECT, INSERT, UPDATE, "
      "DELETE ON ALL TABLES IN SCHEMA \"",
      place.schema, "\" TO \"", place.user, "\""));
}

// 0 where there are no tables of ours.
absl::StatusOr<int> VersionOf(Connection& connection, const Place& place) {
  ASSIGN_OR_RETURN(
      const std::string known,
      connection.QueryText("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND "
                           "tablename = 'imgfleet_schema'"));
  if (known == "0") return 0;
  const absl::StatusOr<std::string> text = connection.QueryText("SELECT version FROM imgfleet_schema");
  if (absl::IsPermissionDenied(text.status())) return Refused(place);
  RETURN_IF_ERROR(text.status());
  int version = 0;
  if (!absl::SimpleAtoi(*text, &version)) return absl::DataLossError("imgfleet_schema holds no version");
  return version;
}

absl::Status Migrate(Connection& connection, int version) {
  std::string script;
  for (; version < kSchema; ++version) absl::StrAppend(&script, kMigrations[version]);
  return connection.Exec(absl::StrCat(script, "UPDATE imgfleet_schema SET version = ", kSchema));
}

absl::Status Newer(const Place& place, int version) {
  return absl::FailedPreconditionError(absl::StrCat(
      "database \"", place.database, "\" was written by a newer release of imgfleet (schema ", version,
      ", this one knows up to ", kSchema, "); run that release, or name another database"));
}

// Under the lock, within a transaction.
absl::Status BringUp(Connection& connection, const Place& place) {
  RETURN_IF_ERROR(
      connection.Exec("SELECT pg_advisory_xact_lock(hashtext('imgfleet'), hashtext(current_schema()))"));
  ASSIGN_OR_RETURN(const int version, VersionOf(connection, place));
  if (version > kSchema) return Newer(place, version);
  if (version == kSchema) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      const std::string foreign,
      connection.QueryText("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND "
                           "tablename IN ('jobs', 'shards', 'items', 'chunks', 'schedules')"));
  if (version == 0 && foreign != "0") {
    return absl::FailedPreconditionError(absl::StrCat(
        "schema \"", place.schema, "\" of database \"", place.database,
        "\" holds tables of some other program; give imgfleet a database of its own, or a schema: "
        "?options=-csearch_path%3DNAME"));
  }
  const absl::Status migrated = Migrate(connection, version);
  if (absl::IsPermissionDenied(migrated)) return Refused(place);
  return Annotate(migrated, absl::StrCat("migrating database \"", place.database, "\" to schema ", kSchema));
}

}  // namespace

absl::Status PrepareSchema(Connection& connection) {
  if (connection.server_version() < kOldestServer) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the server is PostgreSQL ", connection.server_version() / 10000, "; imgfleet needs 13 or newer"));
  }
  Place place;
  ASSIGN_OR_RETURN(place.database, connection.QueryText("SELECT current_database()"));
  ASSIGN_OR_RETURN(place.user, connection.QueryText("SELECT current_user"));
  ASSIGN_OR_RETURN(place.schema, connection.QueryText("SELECT coalesce(current_schema(), '')"));
  if (place.schema.empty()) {
    ASSIGN_OR_RETURN(const std::string path, connection.QueryText("SHOW search_path"));
    return absl::FailedPreconditionError(absl::StrCat(
        "database \"", place.database, "\" has no schema for role \"", place.user, "\" (search_path is ",
        path, "); let its owner run: CREATE SCHEMA AUTHORIZATION \"", place.user, "\""));
  }
  ASSIGN_OR_RETURN(const int version, VersionOf(connection, place));
  if (version > kSchema) return Newer(place, version);
  if (version < kSchema) {
    RETURN_IF_ERROR(connection.Exec("BEGIN"));
    absl::Status status = BringUp(connection, place);
    if (status.ok()) status = connection.Exec("COMMIT");
    if (!status.ok()) {
      (void)connection.Exec("ROLLBACK");
      return status;
    }
  }
  ASSIGN_OR_RETURN(
      const std::string allowed,
      connection.QueryText("SELECT bool_and(has_table_privilege(t, 'SELECT') AND "
                           "has_table_privilege(t, 'INSERT') AND has_table_privilege(t, 'UPDATE') AND "
                           "has_table_privilege(t, 'DELETE')) FROM unnest(ARRAY['jobs', 'shards', "
                           "'items', 'chunks', 'schedules', 'origin_board']) AS t"));
  return allowed == "t" ? absl::OkStatus() : Refused(place);
}

}  // namespace imgfleet::store::pg
