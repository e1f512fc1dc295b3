// Between the messages of jobs.proto and the core's words.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/types.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

// The spec with every default of jobs.proto filled in. INVALID_ARGUMENT names the field that is out of its bounds.
absl::StatusOr<v1::JobSpec> CompleteSpec(const v1::JobSpec& spec);

v1::Job ToProto(const core::Job& job);
v1::Schedule ToProto(const core::Schedule& schedule);

// A schedule of complete spec, without id and times. INVALID_ARGUMENT names the field that is wrong.
absl::StatusOr<core::Schedule> FromProto(const v1::Schedule& schedule);

// What a request says of a new job besides its items. INVALID_ARGUMENT names the field that is out of its bounds.
// `request` is what tells one request from another under the same key.
absl::StatusOr<core::NewJob> NewJobOf(absl::string_view owner, int32_t priority,
                                      absl::string_view idempotency_key, absl::string_view request);

// INVALID_ARGUMENT unless it can be the id of a job.
absl::Status CheckJobId(absl::string_view field, absl::string_view id);

}  // namespace imgfleet::service
