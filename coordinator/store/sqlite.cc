#include "coordinator/store/sqlite.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet::store {
namespace {

// Waiting for another process that looks into the file, such as the sqlite3 shell or a backup.
constexpr int kBusyMilliseconds = 5000;

absl::StatusCode CodeOf(int result) {
  if (result == SQLITE_CONSTRAINT_PRIMARYKEY || result == SQLITE_CONSTRAINT_UNIQUE) {
    return absl::StatusCode::kAlreadyExists;
  }
  switch (result & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, bool create) {
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
  const int result = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  if (db == nullptr) return absl::ResourceExhaustedError("sqlite: out of memory");
  std::unique_ptr<Connection> connection(new Connection(db, path));
  if (result != SQLITE_OK) return connection->Error();
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  return connection;
}

Connection::~Connection() { sqlite3_close_v2(db_); }

absl::Status Connection::Exec(const std::string& sql) {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK ? absl::OkStatus() : Error();
}

absl::StatusOr<int64_t> Connection::QueryInt(const std::string& sql) {
  Statement statement(*this, sql.c_str());
  Rows rows = statement.Run();
  ASSIGN_OR_RETURN(const bool more, rows.Next());
  if (!more) return absl::InternalError(absl::StrCat("sqlite ", path_, ": no row for ", sql));
  return rows.Int(0);
}

absl::Status Connection::Error() const {
  const int result = sqlite3_extended_errcode(db_);
  std::string message = absl::StrCat("sqlite ", path_, ": ", sqlite3_errmsg(db_));
  const int system_error = sqlite3_system_errno(db_);
  const int kind = result & 0xff;
  if (system_error != 0 && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_FULL)) {
    absl::StrAppend(&message, " (", std::strerror(system_error), ")");
  }
  return absl::Status(CodeOf(result), message);
}

absl::StatusOr<bool> Rows::Next() {
  if (!status_.ok()) return status_;
  const int result = sqlite3_step(stmt_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  status_ = connection_->Error();
  return status_;
}

absl::string_view Rows::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(stmt_, column);
  return {static_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}

absl::Status Statement::Prepare() {
  if (stmt_ != nullptr) return absl::OkStatus();
  const int result =
      sqlite3_prepare_v3(connection_.db_, sql_, -1, SQLITE_PREPARE_PERSISTENT, &stmt_, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : connection_.Error();
}

}  // namespace imgfleet::store
