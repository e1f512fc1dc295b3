// The words of the coordinator's core: plain values, no behaviour, no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/core/bitmap.h"

namespace imgfleet::core {

enum class JobState : uint8_t { kReading = 1, kRunning = 2, kCompleted = 3, kFailed = 4, kCancelled = 5 };

inline bool Ended(JobState state) { return state >= JobState::kCompleted; }

// Failures by the number of v1.ItemError.Reason; the core gives them no meaning.
using ReasonCounts = std::map<int32_t, uint64_t>;

struct Counts {
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t fetched_bytes = 0;
  ReasonCounts reasons;
};

struct NewJob {
  std::string id;     // UUIDv7.
  std::string owner;  // Whose job it is; "" where there are no owners.
  std::string spec;   // Serialised v1.JobSpec; opaque here.
  // Where the list comes from, so that reading goes on after a restart; opaque here. Empty: an upload, which
  // cannot be resumed: a coordinator that restarts fails such a job if it is still being read.
  std::string source;
  absl::Time create_time;   // Wall time.
  int32_t priority = 0;     // kMinPriority to kMaxPriority, see Job.
  std::string parent = {};  // See Job.
  // A submission that comes again under the key that its owner gave it is known by it, see Job.
  std::string idempotency_key = {};
  std::string request_hash = {};
  std::string schedule = {};  // See Job.
};

// A job of priority p gets twice the share of one of p - 1: see fair_share.h.
inline constexpr int32_t kMinPriority = -4;
inline constexpr int32_t kMaxPriority = 4;

struct Job {
  std::string id, owner, spec, source;
  JobState state = JobState::kReading;
  std::string failure;
  uint64_t items = 0;   // The index after the last one known so far.
  uint32_t shards = 0;  // Known so far.
  Counts counts;
  uint64_t last_commit_seq = 0;
  absl::Time create_time;                        // Wall.
  absl::Time end_time = absl::InfiniteFuture();  // Wall; infinite until ended.
  int32_t priority = 0;
  bool paused = false;  // Nothing of it is leased; its list is read on. Any state.
  // The job whose failed items this one tries again, under the same indices; else empty.
  std::string parent;
  uint64_t absent = 0;  // Indices below `items` that are no items of this job; 0 without a parent.
  // Unique for the owner among jobs that are not expired, unless empty. `request_hash` tells whether what came again
  // under the key is the same.
  std::string idempotency_key, request_hash;
  std::string schedule;  // The schedule that made it; else empty.
  // While kReading: which coordinator reads the list, and until when (the store's clock) unless it says so again.
  // Empty: nobody yet.
  std::string reader;
  absl::Time reader_due = absl::UnixEpoch();
  bool expired = false;  // Retention has begun to delete it: no reader sees it any more.
};

// Work that comes again and again: each time that it is due it makes a job.
struct Schedule {
  std::string id;  // UUIDv7.
  std::string owner;
  std::string display_name;
  std::string spec;    // Of its jobs.
  std::string source;  // Of its jobs.
  int32_t priority = 0;
  absl::Duration every;  // Zero: `cron` says when.
  std::string cron;
  absl::Time next_time;  // Wall.
  std::string last_job;  // Empty before the first.
  bool paused = false;
  absl::Time create_time;  // Wall.
};

// What of an owner's jobs has not ended.
struct OwnerUse {
  uint64_t jobs = 0;
  uint64_t items = 0;  // Of those jobs, known and without an outcome.
  bool operator==(const OwnerUse&) const = default;
};

// What a store holds at one moment.
struct Census {
  std::map<JobState, uint64_t> jobs;  // States without a job may be missing.
  uint64_t leases = 0;                // LEASED shards.
  uint64_t items_pending = 0;         // What core::PendingItems says of its jobs, added up.
};

struct ShardKey {
  std::string job_id;
  uint32_t shard = 0;
  auto operator<=>(const ShardKey&) const = default;
};

// Outcomes known when the shard is made: rows that could not be read.
struct KnownOutcomes {
  std::vector<uint32_t> offsets;  // Ascending.
  std::string payload;            // Blob of a v1.OutcomeChunk, in the order of `offsets`.
  Counts counts;
};

struct NewShard {
  uint64_t first_index = 0;
  uint32_t items = 0;
  std::string
      payload;  // Blob of a v1.ItemBatch with one item for each index, bad rows and absent ones included.
  KnownOutcomes known;
  std::vector<uint32_t> absent = {};  // Ascending: offsets that are no items of the job.
};

struct LeaseRef {
  ShardKey shard;
  uint64_t epoch = 0;
  auto operator<=>(const LeaseRef&) const = default;
};

struct LeasedShard {
  LeaseRef lease;
  std::string spec;  // The job's.
  uint64_t first_index = 0;
  std::string payload;
  std::vector<uint32_t> offsets;  // What is leased: without an outcome, ascending.
  uint32_t put_offs = 0;          // Shard::put_offs.
  bool alone = false;  // On trial (shard.h): its worker gets nothing else until this lease has ended.
};

// What a worker is given.
struct Leases : std::vector<LeasedShard> {
  using std::vector<LeasedShard>::vector;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Leases(std::vector<LeasedShard> shards) : std::vector<LeasedShard>(std::move(shards)) {}
  // It is to ask again when it holds nothing, and not before: something is to be tried there (trials.h).
  bool run_dry = false;
  bool suspects = false;  // There is something that it may get when it holds nothing.
};

// Of leases that were to be renewed, those that are void.
struct VoidLeases : std::vector<LeaseRef> {
  using std::vector<LeaseRef>::vector;
  // NOLINTNEXTLINE(google-explicit-constructor)
  VoidLeases(std::vector<LeaseRef> leases) : std::vector<LeaseRef>(std::move(leases)) {}
  std::vector<LeaseRef> alone;  // Of the others: LeasedShard::alone.
};

struct Chunk {
  LeaseRef lease;
  std::vector<uint32_t> offsets;
  std::string payload;
  Counts counts;
};

enum class CommitCode : uint8_t { kCommitted, kStale, kInvalid, kRetry };

struct CommitAnswer {
  CommitCode code = CommitCode::kCommitted;
  std::string message;  // With kInvalid and kRetry.
};

struct StoredChunk {
  uint64_t commit_seq = 0;
  uint32_t shard = 0;
  std::vector<uint32_t> offsets;
  std::string payload;
};

struct ShardResults {
  uint32_t shard = 0;
  uint64_t first_index = 0;
  uint32_t items = 0;
  std::string payload;  // The items, needed to name those without an outcome.
  bool complete = false;
  Bitmap absent;  // Offsets that are no items of the job.
  std::vector<StoredChunk> chunks;
};

}  // namespace imgfleet::core
