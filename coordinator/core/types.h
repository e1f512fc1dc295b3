// The words of the coordinator's core: plain values, no behaviour, no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

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
  absl::Time create_time;  // Wall time.
};

struct Job {
  std::string id, owner, spec, source;
  JobState state = JobState::kReading;
  std::string failure;
  uint64_t items = 0;   // Known so far.
  uint32_t shards = 0;  // Known so far.
  Counts counts;
  uint64_t last_commit_seq = 0;
  absl::Time create_time;                        // Wall.
  absl::Time end_time = absl::InfiniteFuture();  // Wall; infinite until ended.
};

// What a store holds at one moment.
struct Census {
  std::map<JobState, uint64_t> jobs;  // States without a job may be missing.
  uint64_t leases = 0;                // LEASED shards.
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
  std::string payload;  // Blob of a v1.ItemBatch with one item for each index, bad rows included.
  KnownOutcomes known;
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
  std::vector<StoredChunk> chunks;
};

}  // namespace imgfleet::core
