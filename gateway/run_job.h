// Runs what a client submits as one job, and hands its outcomes on while they come.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/handlers.h"
#include "gateway/outcome_stream.h"
#include "gateway/submission.h"
#include "gateway/task.h"

namespace imgfleet::gateway {

// OK: `sink` got every outcome of the job. Its list goes up and its outcomes come down at the same time. Where the client
// leaves, the sink fails or `limit` is over (DEADLINE_EXCEEDED), the job is cancelled: nobody is left to read what it goes on
// finding out. All must outlive the call.
Task<absl::Status> RunJob(const Backend& backend, Submission& submission, ClientGone& client,
                          OutcomeStream::Sink sink, absl::Duration limit = absl::InfiniteDuration());

}  // namespace imgfleet::gateway
