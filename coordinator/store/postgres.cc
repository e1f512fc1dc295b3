#include "coordinator/store/postgres.h"

#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace imgfleet::store::pg {
namespace {

// From PostgreSQL's pg_type.dat, where they are fixed for ever.
constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kText = 25, kInt8Array = 1016, kTextArray = 1009;

void Append16(std::string& to, uint16_t value) {
  to.push_back(static_cast<char>(value >> 8));
  to.push_back(static_cast<char>(value));
}
void Append32(std::string& to, uint32_t value) {
  Append16(to, static_cast<uint16_t>(value >> 16));
  Append16(to, static_cast<uint16_t>(value));
}
void Append64(std::string& to, uint64_t value) {
  Append32(to, static_cast<uint32_t>(value >> 32));
  Append32(to, static_cast<uint32_t>(value));
}

// One dimension from index 1, no nulls; each element follows as its size and its bytes.
std::string ArrayHead(Oid element, size_t count) {
  std::string head;
  Append32(head, count == 0 ? 0 : 1);
  Append32(head, 0);
  Append32(head, element);
  if (count == 0) return head;
  Append32(head, static_cast<uint32_t>(count));
  Append32(head, 1);
  return head;
}

// By SQLSTATE: https://www.postgresql.org/docs/15/errcodes-appendix.html
absl::StatusCode CodeOf(absl::string_view state) {
  static const auto& kExact = *new std::map<std::string, absl::StatusCode>{
      {"23505", absl::StatusCode::kAlreadyExists}, {"42501", absl::StatusCode::kPermissionDenied},
      {"3D000", absl::StatusCode::kNotFound},      {"25006", absl::StatusCode::kUnavailable},
      {"55P03", absl::StatusCode::kAborted},       {"57014", absl::StatusCode::kAborted},
      {"XX001", absl::StatusCode::kDataLoss},      {"XX002", absl::StatusCode::kDataLoss},
      {"25P03", absl::StatusCode::kUnavailable},
  };
  static const auto& kClass = *new std::map<std::string, absl::StatusCode>{
      {"08", absl::StatusCode::kUnavailable},       {"57", absl::StatusCode::kUnavailable},
      {"58", absl::StatusCode::kUnavailable},       {"40", absl::StatusCode::kAborted},
      {"53", absl::StatusCode::kResourceExhausted}, {"28", absl::StatusCode::kPermissionDenied},
  };
  if (const auto at = kExact.find(std::string(state)); at != kExact.end()) return at->second;
  if (const auto at = kClass.find(std::string(state.substr(0, 2))); at != kClass.end()) return at->second;
  return absl::StatusCode::kInternal;
}

// libpq's messages have a line for each address it tried, and advice.
std::string OneLine(const char* message) {
  return absl::StrJoin(absl::StrSplit(message, absl::ByAnyChar("\n\t"), absl::SkipWhitespace()), " ");
}

using Options = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

Options Parse(const std::string& conninfo) {
  return Options(PQconninfoParse(conninfo.c_str(), nullptr), &PQconninfoFree);
}

std::string ValueOf(const Options& options, absl::string_view keyword) {
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (keyword == option->keyword) return option->val == nullptr ? "" : option->val;
  }
  return "";
}

}  // namespace

// --- Parameters -----------------------------------------------------------------------------------------------

void Parameters::AddOwn(Oid type, absl::string_view bytes) {
  types_.push_back(type);
  values_.push_back({nullptr, own_.size(), bytes.size(), false});
  own_.append(bytes.data(), bytes.size());
}

void Parameters::AddInt(int64_t value) {
  std::string bytes;
  Append64(bytes, static_cast<uint64_t>(value));
  AddOwn(kInt8, bytes);
}

void Parameters::AddBool(bool value) { AddOwn(kBool, absl::string_view(value ? "\1" : "\0", 1)); }

void Parameters::Add(std::optional<int64_t> value) {
  if (value) return AddInt(*value);
  types_.push_back(kInt8);
  values_.push_back({nullptr, 0, 0, true});
}

void Parameters::Add(absl::string_view text) {
  types_.push_back(kText);
  values_.push_back({text.empty() ? "" : text.data(), 0, text.size(), false});
}

void Parameters::Add(Bytes bytes) {
  types_.push_back(kBytea);
  values_.push_back({bytes.bytes.empty() ? "" : bytes.bytes.data(), 0, bytes.bytes.size(), false});
}

void Parameters::Add(absl::Span<const std::string> texts) {
  std::string bytes = ArrayHead(kText, texts.size());
  for (const std::string& text : texts) {
    Append32(bytes, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  AddOwn(kTextArray, bytes);
}

void Parameters::Add(absl::Span<const int64_t> numbers) {
  std::string bytes = ArrayHead(kInt8, numbers.size());
  for (const int64_t number : numbers) {
    Append32(bytes, 8);
    Append64(bytes, static_cast<uint64_t>(number));
  }
  AddOwn(kInt8Array, bytes);
}

// --- Rows -----------------------------------------------------------------------------------------------------

int64_t Rows::Int(int column) const {
  const absl::string_view bytes = Bytes(column);
  if (bytes.empty()) return 0;  // NULL
  int64_t value = bytes.size() == 1 ? 0 : static_cast<int8_t>(bytes[0]) < 0 ? -1 : 0;
  for (const char byte : bytes)
    value = static_cast<int64_t>(static_cast<uint64_t>(value) << 8) | static_cast<uint8_t>(byte);
  return value;
}

int64_t Rows::Changed() const {
  int64_t changed = 0;
  return absl::SimpleAtoi(PQcmdTuples(result_.get()), &changed) ? changed : 0;
}

// --- Connection -----------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& conninfo) {
  if (Parse(conninfo) == nullptr) {
    return absl::InvalidArgumentError(
        "postgres: this is no connection string of libpq's (not shown, it may hold a password); write "
        "postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full, and percent-encode what is special");
  }
  // Later keywords win over those in dbname, so what comes before it is a default only.
  const char* const keywords[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                                  "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                                  "dbname",           "client_encoding",  nullptr};
  const char* const values[] = {"5", "10", "5", "3", "20000", "imgfleet", conninfo.c_str(), "UTF8", nullptr};
  PGconn* const raw = PQconnectdbParams(keywords, values, /*expand_dbname=*/1);
  if (raw == nullptr) return absl::ResourceExhaustedError("postgres: out of memory");
  std::unique_ptr<Connection> connection(new Connection(raw));
  if (PQstatus(raw) != CONNECTION_OK) {
    const std::string message = OneLine(PQerrorMessage(raw));
    connection->lost_ = true;
    const bool refused = absl::StrContains(message, "authentication failed") ||
                         absl::StrContains(message, "no password supplied") ||
                         absl::StrContains(message, "pg_hba.conf");
    const bool untrusted =
        absl::StrContains(message, "certificate") || absl::StrContains(message, "does not support SSL");
    // A name that a resolver does not know may be known in a moment; a database or a role that the server does not, not.
    const bool missing = absl::StrContains(message, "\" does not exist");
    // Of what the connection string says, before anything was tried.
    const bool senseless = absl::StartsWith(message, "invalid ");
    const bool full = absl::StrContains(message, "too many clients") ||
                      absl::StrContains(message, "connection slots") ||
                      absl::StrContains(message, "too many connections");
    return absl::Status(
        refused || untrusted ? absl::StatusCode::kPermissionDenied
        : missing            ? absl::StatusCode::kNotFound
        : senseless          ? absl::StatusCode::kInvalidArgument
                             : absl::StatusCode::kUnavailable,
        absl::StrCat("postgres: ", message,
                     full ? "; a coordinator takes two connections and one for each reader at work "
                            "(up to eight are kept): raise max_connections"
                          : ""));
  }
  // Notices, such as those of IF NOT EXISTS, are nobody's business.
  PQsetNoticeReceiver(
      raw, [](void*, const PGresult*) {}, nullptr);
  if (PQenterPipelineMode(raw) != 1) return connection->Lost();
  return connection;
}

Connection::~Connection() { PQfinish(connection_); }

absl::Status Connection::Lost() {
  lost_ = true;
  const std::string message = OneLine(PQerrorMessage(connection_));
  return absl::UnavailableError(
      absl::StrCat("postgres: ", message.empty() ? "the connection is lost" : message));
}

absl::Status Connection::ErrorOf(const PGresult* result) {
  if (PQstatus(connection_) == CONNECTION_BAD) return Lost();
  const char* const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* const primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* const detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  if (state == nullptr) return Lost();
  const absl::StatusCode code = CodeOf(state);
  // 57P0x, 25P03: the server ends this connection. 25006: a standby, and somewhere there is a primary.
  if (code == absl::StatusCode::kUnavailable) lost_ = true;
  std::string message =
      absl::StrCat("postgres: ", primary == nullptr ? "an error" : primary, " (", state, ")");
  if (detail != nullptr && code != absl::StatusCode::kAlreadyExists) absl::StrAppend(&message, ": ", detail);
  return absl::Status(code, message);
}

absl::Status Connection::Exec(const std::string& sql) {
  const absl::Status status = QueryText(sql).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::string> Connection::QueryText(const std::string& sql) {
  if (lost_) return Lost();
  if (PQexitPipelineMode(connection_) != 1) return Lost();
  PGresult* const result = PQexec(connection_, sql.c_str());
  absl::StatusOr<std::string> answer = absl::NotFoundError("postgres: no row");
  const ExecStatusType kind = PQresultStatus(result);
  if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK && kind != PGRES_EMPTY_QUERY) {
    answer = ErrorOf(result);
    // "No row" is the one thing that NOT_FOUND means here.
    if (absl::IsNotFound(answer.status())) answer = absl::InternalError(answer.status().message());
  } else if (PQntuples(result) > 0 && PQnfields(result) > 0) {
    answer = std::string(PQgetvalue(result, 0, 0));
  }
  PQclear(result);
  if (!lost_ && PQenterPipelineMode(connection_) != 1) return Lost();
  return answer;
}

absl::Status Connection::Check(const PGresult* result, const Owed& owed) {
  const ExecStatusType kind = PQresultStatus(result);
  if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK) {
    if (owed.preparing) owed.statement->name_.clear();
    // Behind a failure that was told.
    if (kind == PGRES_PIPELINE_ABORTED) return absl::AbortedError("postgres: left out");
    return ErrorOf(result);
  }
  const int must_change = owed.statement->must_change_;
  if (owed.preparing || must_change < 0 ||
      absl::string_view(PQcmdTuples(const_cast<PGresult*>(result))) == absl::StrCat(must_change)) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(absl::StrCat("postgres: no such row for ", owed.statement->sql_));
}

// Each statement is answered by its result and a null, the whole by PIPELINE_SYNC.
absl::StatusOr<std::vector<Rows>> Connection::Collect() {
  std::vector<Rows> wanted;
  const std::vector<Owed> all = std::exchange(owed_, {});
  if (lost_) return Lost();
  if (all.empty()) return wanted;
  if (PQpipelineSync(connection_) != 1) return Lost();
  absl::Status failure;
  for (const Owed& owed : all) {
    PGresult* const result = PQgetResult(connection_);
    if (result == nullptr) return failure.ok() ? Lost() : failure;
    Rows rows(result);
    if (const absl::Status checked = Check(result, owed); failure.ok()) failure = checked;
    if (lost_) return failure;
    if (owed.wanted) wanted.push_back(std::move(rows));
    PQclear(PQgetResult(connection_));
  }
  PGresult* const sync = PQgetResult(connection_);
  const bool synced = sync != nullptr && PQresultStatus(sync) == PGRES_PIPELINE_SYNC;
  PQclear(sync);
  if (!failure.ok()) return failure;
  if (!synced) return Lost();
  return wanted;
}

absl::StatusOr<std::vector<Connection::Notice>> Connection::TakeNotices() {
  std::vector<Notice> notices;
  if (PQconsumeInput(connection_) != 1) return Lost();
  while (PGnotify* const notice = PQnotifies(connection_)) {
    notices.push_back({notice->extra, notice->be_pid});
    PQfreemem(notice);
  }
  if (PQstatus(connection_) == CONNECTION_BAD) return Lost();
  return notices;
}

// --- Statement ------------------------------------------------------------------------------------------------

absl::Status Statement::Send(const Parameters& parameters, bool wanted) {
  if (connection_.lost_) return connection_.Lost();
  PGconn* const raw = connection_.connection_;
  if (name_.empty()) {
    name_ = absl::StrCat("s", ++connection_.statements_);
    if (PQsendPrepare(raw, name_.c_str(), sql_, parameters.size(), parameters.types()) != 1) {
      return connection_.Lost();
    }
    connection_.owed_.push_back({this, true, false});
  }
  const size_t count = parameters.values_.size();
  std::vector<const char*> values(count);
  std::vector<int> sizes(count), formats(count, 1);
  for (size_t i = 0; i < count; ++i) {
    const Parameters::Value& value = parameters.values_[i];
    values[i] = value.null                 ? nullptr
                : value.outside != nullptr ? value.outside
                                           : parameters.own_.data() + value.at;
    sizes[i] = static_cast<int>(value.size);
  }
  if (PQsendQueryPrepared(raw, name_.c_str(), static_cast<int>(count), values.data(), sizes.data(),
                          formats.data(),
                          /*resultFormat=*/1) != 1) {
    return connection_.Lost();
  }
  connection_.owed_.push_back({this, false, wanted});
  return absl::OkStatus();
}

absl::StatusOr<Rows> Statement::Run(const Parameters& parameters) {
  RETURN_IF_ERROR(Send(parameters, /*wanted=*/true));
  ASSIGN_OR_RETURN(std::vector<Rows> rows, connection_.Collect());
  return std::move(rows.back());
}

std::string Shown(const std::string& conninfo) {
  const Options options = Parse(conninfo);
  if (options == nullptr) return "postgresql://(not readable)";
  const std::string user = ValueOf(options, "user"), host = ValueOf(options, "host"),
                    port = ValueOf(options, "port"), database = ValueOf(options, "dbname");
  return absl::StrCat("postgresql://", user, user.empty() ? "" : "@", host, port.empty() ? "" : ":", port,
                      "/", database);
}

}  // namespace imgfleet::store::pg
