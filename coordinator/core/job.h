// The life of one job: its state and its counters.
//
//   READING ──list read──▶ RUNNING ──last outcome──▶ COMPLETED
//      │ list broke off         │
//      ▼                        ▼
//    FAILED                 CANCELLED (from READING too)
//
// An ended job never changes again, except that what is known to be leased of it runs off, and that it expires.
// Being paused, and of what priority it is, has no part in this: nothing of a paused job is leased, that is all.
//
// Pure functions over plain structs; time comes in as an argument.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/fair_share.h"
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

// Known items that are items of the job, and those of them without an outcome.
inline uint64_t OwnItems(const Job& job) { return job.items - job.absent; }
inline uint64_t OpenItems(const Job& job) { return OwnItems(job) - Outcomes(job); }

// Those of them that workers are owed for: none of a job that is paused or has ended.
inline uint64_t PendingItems(const Job& job) { return Ended(job.state) || job.paused ? 0 : OpenItems(job); }

// Whether something of it may be leased.
inline bool Leasable(const JobRecord& record) {
  return !Ended(record.job.state) && !record.job.paused && record.ready_shards > 0;
}

inline uint64_t TurnOf(const JobRecord& record) { return TurnOf(record.leased_items, record.job.priority); }

// Whether `shard` may be the next of `job`: it begins where the last one ended, or beyond if the job has a parent.
absl::Status CheckAppend(const Job& job, const NewShard& shard);

// Counts a shard that is new (`before` null) or has changed.
void Account(JobRecord& record, const Shard* before, const Shard& after);

// Adds to counters.
void Add(Counts& to, const Counts& more);

// Counts outcomes that are committed together and gives them their commit_seq.
uint64_t CountOutcomes(Job& job, const Counts& counts);

// The list is read to its end, or broke off for the reason `how`. Nothing changes unless it was being read.
void FinishReading(Job& job, const absl::Status& how, absl::Time wall);

// Whether `reader` may add to the job: ABORTED where another coordinator reads its list.
absl::Status CheckReader(const Job& job, absl::string_view reader);

// `reader` reads the list (on), until `due` unless it says so again.
void TakeUp(Job& job, std::string reader, absl::Time due);

// FAILED_PRECONDITION on an ended job. What is leased of a job that is paused has to be taken back.
absl::Status SetPaused(Job& job, bool paused);

// INVALID_ARGUMENT out of bounds.
absl::Status CheckPriority(int32_t priority);

// The job `known` was submitted under the key of `again`: OK where both are the same submission, else ALREADY_EXISTS.
absl::Status CheckRepeated(const Job& known, const NewJob& again);

// Nothing changes on an ended job.
void Cancel(Job& job, absl::Time wall);

// Ends a job whose items are all known and all have an outcome.
void CompleteIfDone(Job& job, absl::Time wall);

}  // namespace imgfleet::core
