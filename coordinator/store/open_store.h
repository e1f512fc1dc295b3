// The store that a name on the command line means.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "coordinator/store/origin_board.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// "sqlite:PATH", a connection string of libpq's ("postgresql://..." or "host=... dbname=..."), or "memory:" for one that
// ends with the process. INVALID_ARGUMENT for anything else; errors of the store as its own header says.
absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view name, const Clock& clock);

// The board of the store of that name, once it is open; null where that can have one coordinator only.
std::unique_ptr<OriginBoard> OpenOriginBoard(absl::string_view name, const Clock& clock);

// `name` as people may see it: without a password.
std::string ShownStore(absl::string_view name);

}  // namespace imgfleet::store
