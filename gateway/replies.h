// The shapes in which the gateway says that something went wrong, or right.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gateway/http.h"

namespace imgfleet::gateway {

inline constexpr char kJson[] = "application/json";
inline constexpr char kNdjson[] = "application/x-ndjson";
inline constexpr char kCsv[] = "text/csv; charset=utf-8; header=present";

Reply Json(unsigned code, std::string body);

// 200, for a body that comes as it is made and must not be kept.
Head Streamed(absl::string_view content_type);

// RFC 9457, application/problem+json: {"type": "about:blank", "title", "status", "detail", "reason"}.
// `reason` is gRPC's word for it (NOT_FOUND) where the coordinator said so.
Reply Problem(unsigned code, absl::string_view reason, absl::string_view detail);
// With the code of common/status.h's table; INVALID_ARGUMENT is 422, since the JSON itself was understood.
Reply Problem(const absl::Status& status);

// API v1's shape: 422 {"error": error}, with "detail" where there is one.
Reply V1Error(absl::string_view error, absl::string_view detail = "");

}  // namespace imgfleet::gateway
