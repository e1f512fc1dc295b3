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

// INVALID_ARGUMENT unless it can be the id of a job.
absl::Status CheckJobId(absl::string_view field, absl::string_view id);

}  // namespace imgfleet::service
