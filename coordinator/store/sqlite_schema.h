// The tables of a SQLite store, and how an older file is brought up to them.
//
// The file's header says what it is: application_id "IMGF", user_version the schema's number. Each migration
// is one transaction, so a coordinator that dies in one finds the version before or the version after.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "coordinator/store/sqlite.h"

namespace imgfleet::store {

inline constexpr int kSqliteSchema = 4;

// Makes the tables in an empty file, brings an older schema up to date, and refuses any other file:
//   FAILED_PRECONDITION  a database of some other program, or written by a newer release
//   DATA_LOSS            no SQLite database at all
absl::Status PrepareSchema(Connection& connection, const std::string& path);

}  // namespace imgfleet::store
