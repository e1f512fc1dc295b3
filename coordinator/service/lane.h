// Which ledger a job lives in: the durable one, or that of the express lane, in memory (express_lane.h). A job's id tells,
// so that what a worker says of a job of the lane goes there also when the lane has forgotten it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace imgfleet::service {

enum class Lane : uint8_t { kDurable, kExpress };

inline constexpr char kExpressPrefix[] = "express-";

inline Lane LaneOf(absl::string_view job_id) {
  return absl::StartsWith(job_id, kExpressPrefix) ? Lane::kExpress : Lane::kDurable;
}

// The id of a job of the lane, made of a UUID.
inline std::string ExpressId(absl::string_view uuid) { return absl::StrCat(kExpressPrefix, uuid); }

}  // namespace imgfleet::service
