// What a client submits: the JSON body of images_info, images_info_async and POST /api/v1/jobs.
//
//   {"filepath": "lists/images.tsv"}          a file below a list folder
//   {"urls": ["https://...", ...]}            ids are the indices
//   {"items": [{"id": "a", "url": "..."}]}    `id` may be a string, a whole number, or missing
//
// exactly one of them, and beside it
//
//   "depth": "header"                         or "full" or "pixels", see v1.Depth; header where it is missing
//
// and for POST /api/v1/jobs:
//
//   "kind": "measure", "name": "for people", "priority": -4 to 4,
//   "schedule": {"every_seconds": 3600} or {"cron": "30 4 * * mon"}, in UTC, with "filepath" alone
//   "limits": {"attempt_timeout_ms": 30000, "max_attempts": 3, "max_body_bytes": 67108864}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::gateway {

struct Submission {
  v1::JobSpec spec;
  // Where the list is a file: its path as the client wrote it. Else empty.
  std::string filepath;
  // Where the list came inline: the same as a file, which is how it goes to the coordinator. A list without
  // items is a header line alone, since a file of no bytes is refused there.
  std::string list;
  v1::ListFormat list_format = v1::JSON_LINES;
  // The same items where they are few, kFew at most; else empty.
  std::vector<v1::Item> few;
  static constexpr size_t kFew = 64;
  int32_t priority = 0;
  // Where the job is to come again and again; neither is set otherwise.
  int64_t every_seconds = 0;
  std::string cron;
  // From the Idempotency-Key header; and what tells one request under it from another.
  std::string idempotency_key;
  std::string request_hash;
};

// Whether members that are not listed above are refused (jobs) or passed over (API v1, whose clients send
// more).
enum class Strangers { kRefuse, kPass };

// NOT_FOUND where the body is no JSON object or names no list; INVALID_ARGUMENT where it does but is wrong.
// The message names the member. Limits are left to the coordinator to judge.
absl::StatusOr<Submission> ParseSubmission(absl::string_view body, Strangers strangers);

// {"priority": -4 to 4}, and nothing beside it. INVALID_ARGUMENT where it is anything else.
absl::StatusOr<int32_t> ParsePriority(absl::string_view body);

}  // namespace imgfleet::gateway
