#include "coordinator/store/open_store.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/store/memory_store.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_origin_board.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/sqlite_store.h"

namespace imgfleet::store {

namespace {

bool IsPostgres(absl::string_view name) {
  for (const char* const start : {"postgresql:", "postgres:", "host=", "hostaddr=", "service=", "dbname="}) {
    if (absl::StartsWith(name, start)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view name, const Clock& clock) {
  absl::string_view path = name;
  if (name == "memory:") return NewMemoryStore(clock);
  if (absl::ConsumePrefix(&path, "sqlite:") && !path.empty())
    return OpenSqliteStore(std::string(path), clock);
  if (IsPostgres(name)) return OpenPostgresStore(std::string(name), clock);
  return absl::InvalidArgumentError(absl::StrCat(
      "store \"", absl::StrContains(name, "password") ? "..." : name,
      "\" is unknown; give sqlite:PATH, postgresql://USER@HOST/DATABASE, or memory: to keep nothing"));
}

bool MendedByWaiting(const absl::Status& opening) {
  switch (opening.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
      return true;
    default:
      return false;
  }
}

std::unique_ptr<OriginBoard> OpenOriginBoard(absl::string_view name, const Clock& clock) {
  return IsPostgres(name) ? OpenPostgresOriginBoard(std::string(name), clock) : nullptr;
}

std::string ShownStore(absl::string_view name) {
  return IsPostgres(name) ? pg::Shown(std::string(name)) : std::string(name);
}

}  // namespace imgfleet::store
