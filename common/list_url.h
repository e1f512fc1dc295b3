// Which lists the coordinator reads from elsewhere: everybody else hands their URL on to it, as the list's path.
#pragma once

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace imgfleet {

inline bool IsListUrl(absl::string_view list) {
  return absl::StartsWithIgnoreCase(list, "http://") || absl::StartsWithIgnoreCase(list, "https://") ||
         absl::StartsWithIgnoreCase(list, "s3://");
}

}  // namespace imgfleet
