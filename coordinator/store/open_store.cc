#include "coordinator/store/open_store.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "coordinator/store/memory_store.h"
#include "coordinator/store/sqlite_store.h"

namespace imgfleet::store {

absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view name, const Clock& clock) {
  absl::string_view path = name;
  if (name == "memory:") return NewMemoryStore(clock);
  if (absl::ConsumePrefix(&path, "sqlite:") && !path.empty())
    return OpenSqliteStore(std::string(path), clock);
  return absl::InvalidArgumentError(
      absl::StrCat("store \"", name, "\" is unknown; give sqlite:PATH, or memory: to keep nothing"));
}

}  // namespace imgfleet::store
