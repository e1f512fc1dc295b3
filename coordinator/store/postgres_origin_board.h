// The OriginBoard of a PostgreSQL store: table origin_board, on a connection of its own.
//
// The row without origin and coordinator counts exchanges, and is their lock: whoever has counted sees all that those before
// have written. Nobody holds it for long: a coordinator that stands still in the middle is put out by the server after a
// second. An exchange is two round trips: count and read; write, tell and commit. Others are told by NOTIFY.
#pragma once

#include <memory>
#include <string>

#include "common/clock.h"
#include "coordinator/store/origin_board.h"

namespace imgfleet::store {

// Connects with the first exchange; `conninfo` and errors as OpenPostgresStore has them, which is to be called before: it
// makes the table.
std::unique_ptr<OriginBoard> OpenPostgresOriginBoard(const std::string& conninfo, const Clock& clock);

}  // namespace imgfleet::store
