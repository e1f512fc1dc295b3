// SQLite in C++: connections, prepared statements, rows. No transaction logic, no schema.
//
//   Statement find(connection, "SELECT name, size FROM files WHERE size > ?");
//   Rows rows = find.Run(100);
//   for (;;) {
//     ASSIGN_OR_RETURN(bool more, rows.Next());
//     if (!more) break;
//     use(rows.Text(0), rows.Int(1));
//   }
//
// One thread at a time for a connection and all that belongs to it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet::store {

// A parameter bound as BLOB; strings are bound as TEXT. What it views must outlive the Rows.
struct Blob {
  absl::string_view bytes;
};

class Connection {
 public:
  // Opens, or makes where `create`. The file is not looked into yet.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, bool create);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Statements without parameters, separated by semicolons; rows are dropped.
  absl::Status Exec(const std::string& sql);
  // The one integer that `sql` yields.
  absl::StatusOr<int64_t> QueryInt(const std::string& sql);

  // The connection's last error as a status:
  //   RESOURCE_EXHAUSTED disk full   UNAVAILABLE busy, I/O error   DATA_LOSS damaged, or no database
  //   ALREADY_EXISTS key known       PERMISSION_DENIED read-only   INTERNAL anything else
  absl::Status Error() const;
  bool InTransaction() const { return sqlite3_get_autocommit(db_) == 0; }
  // Rows changed by the last statement.
  int64_t Changed() const { return sqlite3_changes64(db_); }
  bool ReadOnly() const { return sqlite3_db_readonly(db_, "main") == 1; }

 private:
  friend class Statement;
  Connection(sqlite3* db, std::string path) : db_(db), path_(std::move(path)) {}

  sqlite3* const db_;
  const std::string path_;
};

class Statement;

// The rows of one run. Ends the run when destroyed.
class Rows {
 public:
  Rows(Rows&& other) noexcept : connection_(other.connection_), stmt_(other.stmt_), status_(other.status_) {
    other.stmt_ = nullptr;
  }
  ~Rows() {
    if (stmt_ != nullptr) sqlite3_reset(stmt_);
  }

  // Steps to the first or next row; false after the last.
  absl::StatusOr<bool> Next();

  int64_t Int(int column) const { return sqlite3_column_int64(stmt_, column); }
  bool Null(int column) const { return sqlite3_column_type(stmt_, column) == SQLITE_NULL; }
  // Valid until the next step. TEXT and BLOB alike.
  absl::string_view Bytes(int column) const;
  std::string Text(int column) const { return std::string(Bytes(column)); }

 private:
  friend class Statement;
  Rows(const Connection& connection, sqlite3_stmt* stmt, absl::Status status)
      : connection_(&connection), stmt_(stmt), status_(std::move(status)) {}

  const Connection* connection_;
  sqlite3_stmt* stmt_;
  absl::Status status_;
};

// Prepared at its first run, and then kept. Its connection must outlive it.
class Statement {
 public:
  Statement(Connection& connection, const char* sql) : connection_(connection), sql_(sql) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(stmt_); }

  // Binds the parameters in order. One run at a time: the Rows of the last one must be gone.
  template <typename... Args>
  Rows Run(const Args&... args) {
    absl::Status status = Prepare();
    int at = 0;
    if (status.ok()) (Bind(++at, args), ...);
    return Rows(connection_, stmt_, std::move(status));
  }
  // Runs to the end.
  template <typename... Args>
  absl::Status Do(const Args&... args) {
    Rows rows = Run(args...);
    for (;;) {
      absl::StatusOr<bool> more = rows.Next();
      if (!more.ok() || !*more) return more.status();
    }
  }

 private:
  absl::Status Prepare();

  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  void Bind(int at, Integer value) {
    sqlite3_bind_int64(stmt_, at, static_cast<int64_t>(value));
  }
  void Bind(int at, std::optional<int64_t> value) {
    value ? sqlite3_bind_int64(stmt_, at, *value) : sqlite3_bind_null(stmt_, at);
  }
  // An empty view may have no address, which SQLite would take for NULL.
  void Bind(int at, absl::string_view text) {
    sqlite3_bind_text64(stmt_, at, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void Bind(int at, Blob blob) {
    sqlite3_bind_blob64(stmt_, at, blob.bytes.empty() ? "" : blob.bytes.data(), blob.bytes.size(),
                        SQLITE_STATIC);
  }

  Connection& connection_;
  const char* const sql_;
  sqlite3_stmt* stmt_ = nullptr;
};

}  // namespace imgfleet::store
