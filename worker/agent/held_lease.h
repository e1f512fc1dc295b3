// One lease as the worker holds it: items that wait, outcomes that gather, chunks that are not acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "worker/agent/packed_outcome.h"

namespace imgfleet::agent {

// Outcomes of one lease that will be sent together, kept as they will be sent.
class GatheringChunk {
 public:
  void Add(uint32_t offset, const PackedOutcome& outcome, absl::Time now);

  bool empty() const { return offsets_.empty(); }
  uint32_t items() const { return static_cast<uint32_t>(offsets_.size()); }
  uint64_t bytes() const { return raw_.size(); }
  // When the first outcome came; the infinite future while there is none.
  absl::Time since() const { return since_; }

  // The chunk without shard, epoch and number; empties this.
  v1::Chunk Pack();

 private:
  std::vector<uint32_t> offsets_;
  std::string raw_;  // A serialised v1.OutcomeChunk.
  absl::Time since_ = absl::InfiniteFuture();
  uint32_t succeeded_ = 0;
  uint64_t fetched_bytes_ = 0;
  std::vector<uint32_t> failures_;  // By number of the reason.
};

struct SentChunk {
  v1::Chunk chunk;
  int retries = 0;
  absl::Time retry_at = absl::InfiniteFuture();
};

// The leases of one job.
struct HeldJob {
  uint32_t leases = 0;
  uint32_t running = 0;          // Items started and not finished.
  std::deque<uint64_t> waiting;  // Leases with items that were not started, first come first served.
  bool listed = false;           // Among the jobs with such leases.
};

struct HeldLease {
  uint64_t id = 0;
  HeldJob* job = nullptr;
  v1::ShardKey shard;
  uint64_t epoch = 0;
  uint64_t first_index = 0;
  uint64_t bytes = 0;  // Of Lease.items.
  v1::JobSpec spec;

  v1::ItemBatch batch;
  std::vector<uint32_t> offsets;  // Leased, ascending.
  size_t next = 0;                // Into `offsets`: those from here on were not started.
  uint32_t running = 0;           // Started and not finished.
  uint32_t outstanding = 0;       // Without an acknowledged outcome.
  GatheringChunk gathering;
  std::vector<SentChunk> unacknowledged;
  // When the last report that renewed it was sent; for a new one, when the last report before it was.
  absl::Time renewed;
  // Items that an origin asks to delay have no outcome here: they are handed back with what else is left, not to be
  // leased before the first of them may be asked for.
  absl::Time not_before = absl::InfiniteFuture();
  uint32_t put_offs = 0;   // Lease.put_offs.
  bool urgent = false;     // Lease.urgent.
  bool announced = false;  // The engine knows of it.
  bool closing = false;    // Nothing more of it is started.

  bool waiting() const { return !closing && next < offsets.size(); }
};

// Takes over a lease as it came. DATA_LOSS or INVALID_ARGUMENT where it cannot be what the coordinator meant.
absl::StatusOr<std::unique_ptr<HeldLease>> OpenLease(const v1::Lease& lease);

}  // namespace imgfleet::agent
