// The life of one job: its state and its counters.
//
//   READING ──list read──▶ RUNNING ──last outcome──▶ COMPLETED
//      │ list broke off         │
//      ▼                        ▼
//    FAILED                 CANCELLED (from READING too)
//
// An ended job never changes again, except that what is known to be leased of it runs off.
//
// Pure functions over plain structs; time comes in as an argument.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/core/shard.h"
#include "coordinator/core/types.h"

namespace imgfleet::core {

// A job with what leasing needs to know of its shards, kept in step by Account().
struct JobRecord {
  Job job;
  uint64_t leased_items = 0;
  uint32_t ready_shards = 0;
};

Job MakeJob(NewJob from);

inline uint64_t Outcomes(const Job& job) { return job.counts.succeeded + job.counts.failed; }

// Whether `shard` may be the next of `job`.
absl::Status CheckAppend(const Job& job, const NewShard& shard);

// Counts a shard that is new (`before` null) or has changed.
void Account(JobRecord& record, const Shard* before, const Shard& after);

// Adds to counters.
void Add(Counts& to, const Counts& more);

// Counts outcomes that are committed together and gives them their commit_seq.
uint64_t CountOutcomes(Job& job, const Counts& counts);

// The list is read to its end, or broke off for the reason `how`. Nothing changes unless it was being read.
void FinishReading(Job& job, const absl::Status& how, absl::Time wall);

// Nothing changes on an ended job.
void Cancel(Job& job, absl::Time wall);

// Ends a job whose items are all known and all have an outcome.
void CompleteIfDone(Job& job, absl::Time wall);

}  // namespace imgfleet::core
