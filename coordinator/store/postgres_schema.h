// The tables of a PostgreSQL store, and how older ones are brought up to them.
//
// They lie in the schema that comes first in the connection's search_path, beside a table imgfleet_schema
// whose one row is their version. All migrations are one transaction, made under an advisory lock, so that of
// several coordinators that start at once one migrates and the others find it done.
#pragma once

#include "absl/status/status.h"
#include "coordinator/store/postgres.h"

namespace imgfleet::store::pg {

inline constexpr int kSchema = 2;

// Makes the tables in an empty schema, brings older ones up to date, and refuses anything else:
//   FAILED_PRECONDITION  tables of some other program, written by a newer release, or a server too old
//   PERMISSION_DENIED    what is to be granted, and to whom
absl::Status PrepareSchema(Connection& connection);

}  // namespace imgfleet::store::pg
