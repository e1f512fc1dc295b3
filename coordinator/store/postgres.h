// libpq in C++: connections, prepared statements, rows; parameters and results in binary. No transaction
// logic, no schema.
//
//   pg::Statement find(connection, "SELECT name, size FROM files WHERE size > $1");
//   ASSIGN_OR_RETURN(pg::Rows rows, find.Run(100));
//   while (rows.Next()) use(rows.Text(0), rows.Int(1));
//
// A connection is always in pipeline mode: Queue() sends a statement and goes on at once, Run() sends one,
// waits for all that is under way and gives its rows. So a batch of writes costs one round trip. After a
// failure what was queued behind it does nothing, and the next Run() or Drain() tells the failure.
//
// One thread at a time for a connection and all that belongs to it.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace imgfleet::store::pg {

// A parameter of type bytea; strings are text. What it views must live until the call returns.
struct Bytes {
  absl::string_view bytes;
};

// The values of one statement in PostgreSQL's binary format. Whole numbers are int8, and where a column is
// narrower the server converts.
class Parameters {
 public:
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  void Add(Integer value) {
    if constexpr (std::is_same_v<Integer, bool>) {
      AddBool(value);
    } else {
      AddInt(static_cast<int64_t>(value));
    }
  }
  void Add(std::optional<int64_t> value);
  void Add(absl::string_view text);
  void Add(const char* text) { Add(absl::string_view(text)); }
  void Add(const std::string& text) { Add(absl::string_view(text)); }
  void Add(Bytes bytes);
  // Arrays of one dimension.
  void Add(absl::Span<const std::string> texts);
  void Add(absl::Span<const int64_t> numbers);

  int size() const { return static_cast<int>(types_.size()); }
  const Oid* types() const { return types_.data(); }

 private:
  friend class Statement;
  struct Value {
    const char* outside = nullptr;  // Bytes of the caller's, else at `at` in own_.
    size_t at = 0;
    size_t size = 0;
    bool null = false;
  };
  void AddInt(int64_t value);
  void AddBool(bool value);
  void AddOwn(Oid type, absl::string_view bytes);

  std::vector<Oid> types_;
  std::vector<Value> values_;
  std::string own_;
};

// A result that was read whole.
class Rows {
 public:
  Rows() = default;
  explicit Rows(PGresult* result) : result_(result) {}

  // Steps to the first or next row; false after the last.
  bool Next() { return ++row_ < PQntuples(result_.get()); }
  int count() const { return PQntuples(result_.get()); }
  bool Null(int column) const { return PQgetisnull(result_.get(), row_, column) == 1; }
  // Of int2, int4, int8 and boolean columns.
  int64_t Int(int column) const;
  // Of text and bytea columns; valid as long as the Rows.
  absl::string_view Bytes(int column) const {
    return {PQgetvalue(result_.get(), row_, column),
            static_cast<size_t>(PQgetlength(result_.get(), row_, column))};
  }
  std::string Text(int column) const { return std::string(Bytes(column)); }
  // Rows that an INSERT, UPDATE or DELETE touched.
  int64_t Changed() const;

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
  int row_ = -1;
};

class Connection {
 public:
  // Connects, with what libpq knows: URI or key=value, TLS, password files, environment. Gives up after five
  // seconds unless connect_timeout says otherwise.
  //   INVALID_ARGUMENT  no connection string, or not its values        UNAVAILABLE  nobody answers there
  //   and what Error() says. No message ever shows a password.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& conninfo);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Statements without parameters, separated by semicolons, as one transaction unless they say otherwise.
  // Nothing may be queued.
  absl::Status Exec(const std::string& sql);
  // Exec with the first column of the first row as text; NOT_FOUND where there is no row.
  absl::StatusOr<std::string> QueryText(const std::string& sql);

  // Waits for all that is queued. The first failure, if any.
  absl::Status Drain() { return Collect().status(); }
  // The same, with the rows of what was sent with Want(), in that order.
  absl::StatusOr<std::vector<Rows>> Collect();

  // The server is gone, or so much is wrong that only a new connection helps.
  bool lost() const { return lost_; }
  int socket() const { return PQsocket(connection_); }
  int server_version() const { return PQserverVersion(connection_); }  // 150018 is 15.18.
  int backend() const { return PQbackendPID(connection_); }

  // What NOTIFY brought since; to be called when socket() is readable. UNAVAILABLE once the connection is
  // lost.
  struct Notice {
    std::string payload;
    int sender = 0;  // Its backend().
  };
  absl::StatusOr<std::vector<Notice>> TakeNotices();

 private:
  friend class Statement;

  // What is owed by the server for statements sent, in their order.
  struct Owed {
    class Statement* statement = nullptr;
    bool preparing = false;
    bool wanted = false;
  };

  explicit Connection(PGconn* connection) : connection_(connection) {}
  absl::Status ErrorOf(const PGresult* result);
  absl::Status Lost();
  absl::Status Check(const PGresult* result, const Owed& owed);

  PGconn* const connection_;
  bool lost_ = false;
  int statements_ = 0;
  std::vector<Owed> owed_;
};

// Prepared with its first run, and then kept. Its connection must outlive it.
class Statement {
 public:
  // `must_change`: each run is to change that many rows, else it fails with NOT_FOUND; -1 for any.
  Statement(Connection& connection, const char* sql, int must_change = -1)
      : connection_(connection), sql_(sql), must_change_(must_change) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Sends, then waits for this and all that was queued before. The first failure of any of them:
  //   ALREADY_EXISTS key known          ABORTED deadlock, serialization, timeout: the transaction may be
  //   PERMISSION_DENIED no right          tried again as a whole
  //   RESOURCE_EXHAUSTED disk, memory   UNAVAILABLE connection lost, server going down, a standby
  //   NOT_FOUND no such database        DATA_LOSS the server found damage       INTERNAL anything else
  template <typename... Args>
  absl::StatusOr<Rows> Run(const Args&... args) {
    Parameters parameters;
    (parameters.Add(args), ...);
    return Run(parameters);
  }
  // Sends and does not wait.
  template <typename... Args>
  absl::Status Queue(const Args&... args) {
    Parameters parameters;
    (parameters.Add(args), ...);
    return Send(parameters, /*wanted=*/false);
  }
  // Queue, with the rows among what Connection::Collect gives.
  template <typename... Args>
  absl::Status Want(const Args&... args) {
    Parameters parameters;
    (parameters.Add(args), ...);
    return Send(parameters, /*wanted=*/true);
  }

 private:
  friend class Connection;
  absl::StatusOr<Rows> Run(const Parameters& parameters);
  absl::Status Send(const Parameters& parameters, bool wanted);

  Connection& connection_;
  const char* const sql_;
  const int must_change_;
  std::string name_;  // On the server; empty until prepared.
};

// `conninfo` without its password, to be shown to people: "postgresql://user@host:port/database".
std::string Shown(const std::string& conninfo);

}  // namespace imgfleet::store::pg
