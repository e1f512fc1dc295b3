// Outcomes as messages, for readers that do not unpack chunks themselves.
#pragma once

#include <deque>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/core/types.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

// Splits them into messages well below gRPC's limit of 4 MB; at least one message, be it empty.
std::deque<v1::Outcomes> IntoMessages(std::vector<v1::Outcome> outcomes);

// Outcomes for the items of a shard that have none in a job that has ended: they read as CANCELLED.
absl::StatusOr<std::vector<v1::Outcome>> MissingOutcomes(const core::Job& job,
                                                         const core::ShardResults& shard);

}  // namespace imgfleet::service
