// The store for many machines: one PostgreSQL, any number of coordinators on it, all equal.
//
// The row of a job is the lock of all that belongs to it. A batch locks the jobs that it is known to touch, in
// ascending order of their ids, and waits for them; to others it helps itself with SKIP LOCKED. Nobody waits for a
// lock who holds one that comes after it, so there is no deadlock; a transaction that the server gives up for any
// other reason is ABORTED and may be tried again.
//
// A commit whose answer was lost with the connection is settled: a new connection asks the server what became of
// that transaction (pg_xact_status), ending its process first where it is still at work. Transact returns OK if it
// was committed and ABORTED if it was not. Only where the server stays away for longer than half a minute does it
// return UNAVAILABLE without knowing. That is no harm either, since every verb may be asked again:
//   CreateJob      the same id is ALREADY_EXISTS; the same idempotency key is answered with the job that was made
//   AppendShard    an index that is known is INVALID_ARGUMENT, and whoever reads the list on begins where the job's
//                  shards end
//   FinishReading, CancelJob, pause and the like   say what is to be, and change nothing the second time
//   Acquire        leases that nobody knows of lapse
//   Renew          says what is to be
//   CommitChunk    is recognised by its offsets: COMMITTED, without being written twice
//   HandBack       under an epoch that is given back already is COMMITTED and changes nothing
//   a schedule     fires with moving next_time, in one transaction: at most once for a time
// A server that fails over to one that lacks acknowledged commits breaks the promise that acknowledged is durable;
// whoever has standbys sets synchronous_standby_names.
//
// Connections are made with the settings in postgres_connector.cc. What they need of a pooler in between: sessions
// (LISTEN, prepared statements), not transactions.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// Opens the store, making its tables where there are none and bringing older ones up to date. `conninfo` is
// libpq's, a URI or key=value. Times of shards are compared with the server's clock_timestamp(); tests give a
// `lease_clock` instead.
//   INVALID_ARGUMENT     no connection string             UNAVAILABLE  nobody answers
//   PERMISSION_DENIED    wrong password, no rights         NOT_FOUND    no such database
//   FAILED_PRECONDITION  some other program's tables, a newer release's, a server older than 13
absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const std::string& conninfo, const Clock& clock,
                                                         const Clock* lease_clock = nullptr);

}  // namespace imgfleet::store
