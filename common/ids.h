// Identifiers: UUID version 7 (RFC 9562 section 5.7), so that ids sort by the time they were made.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace imgfleet {

// A new UUIDv7 for the wall time `now`, in the 36 lower-case characters of the canonical form. Thread-safe.
// Random below the millisecond: two ids of the same millisecond do not sort by their making.
std::string NewUuid(absl::Time now);

// Whether `text` is a UUID of any version in canonical form, upper case allowed.
bool IsUuid(absl::string_view text);

}  // namespace imgfleet
