// The embedded store: one SQLite file, one coordinator.
//
// WAL with synchronous=FULL: what was answered survives a kill and a power cut. Beside PATH lie PATH-wal and
// PATH-shm, SQLite's own, and PATH.lock, which the coordinator holds locked while it runs.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// Opens the store in `path`, making it where there is none and bringing an older schema up to date. Times of
// shards are compared with clock.Boot().
//   FAILED_PRECONDITION  another coordinator uses it; it is some other program's; a newer release wrote it
//   NOT_FOUND            its folder does not exist       PERMISSION_DENIED  it cannot be written
//   DATA_LOSS            it is damaged, or no database
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, const Clock& clock);

}  // namespace imgfleet::store
