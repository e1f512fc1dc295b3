#include "coordinator/store/postgres_connector.h"

#include "common/status.h"

namespace imgfleet::store::pg {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(500);

// What was answered is on disk, whatever the database's own settings say. A coordinator that stands still in the
// middle of a transaction (stopped, swapped out, cut off) holds locks that others wait for, so the server ends it;
// whoever waits in vain for a lock tries again. Plans are the same whether the tables are empty or large, and whatever
// the server knows of them: the statements are few, and each has an index made for it, to be walked in its order.
constexpr char kSettings[] =
    "SET client_min_messages = error; SET default_transaction_isolation = 'read committed';"
    "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '5s'; SET statement_timeout = 0;"
    "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = "
    "force_generic_plan;"
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = "
    "'off'";

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connector::Connect() {
  {
    absl::MutexLock lock(&mutex_);
    if (clock_.Boot() < again_) return failure_;
  }
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(conninfo_);
  if (connection.ok()) {
    const absl::Status set = (*connection)->Exec(kSettings);
    if (!set.ok()) connection = set;
  }
  absl::MutexLock lock(&mutex_);
  failure_ = connection.status();
  again_ = connection.ok() ? absl::InfinitePast() : clock_.Boot() + kPause;
  return connection;
}

}  // namespace imgfleet::store::pg
