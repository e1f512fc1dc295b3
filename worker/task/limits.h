// What a job's limits mean where it leaves them out, and how far they reach.
#pragma once

#include "proto/imgfleet/v1/jobs.pb.h"
#include "worker/fetch/types.h"

namespace imgfleet::task {

// Defaults and bounds are those that v1.FetchLimits documents.
fetch::Limits ToLimits(const v1::FetchLimits& limits);

}  // namespace imgfleet::task
