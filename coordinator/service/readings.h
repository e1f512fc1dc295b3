// What the streams of the Jobs service have to send, step by step. They hold one shard, or a megabyte of chunks, at a
// time, and know nothing of gRPC.
#pragma once

#include <deque>
#include <memory>

#include "common/clock.h"
#include "coordinator/service/pump.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

// ReadResults. Once the job has ended, items without an outcome read as CANCELLED, with a
// message that says whether it was cancelled or why it failed, and every shard is complete.
std::unique_ptr<Source<v1::Outcomes>> ResultsOf(store::Ledger& ledger, const v1::ReadResultsRequest& request);

// ReadEvents. A chunk that is too large for one message as plain outcomes comes in several; only the last carries its
// commit_seq, the others that of the chunk before it, so that resuming after any message loses nothing.
std::unique_ptr<Source<v1::Outcomes>> EventsOf(store::Ledger& ledger, const v1::ReadEventsRequest& request);

// WatchJob: at most one message each `interval`.
std::unique_ptr<Source<v1::Job>> WatchOf(store::Ledger& ledger, const Clock& clock,
                                         const v1::WatchJobRequest& request,
                                         absl::Duration interval = absl::Milliseconds(250));

}  // namespace imgfleet::service
