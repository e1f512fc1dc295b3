// What of an ended job failed, as shards for a job that tries it again.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "coordinator/core/types.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::service {

// Items without a measurement, bad rows excepted: how many `job`'s counters tell of.
uint64_t CountFailed(const core::Job& job);

struct FailedItems {
  // From the first failed item to the last one of one shard of the job, the others in between absent; nothing where none
  // of it failed.
  std::optional<core::NewShard> shard;
  uint64_t next_index = 0;  // Where to go on.
  bool end = false;         // There is no shard at or after the index asked for.
};

// The failed items of the shard of `job` that holds `from`, or of the next one after it; only those from `from` on. The
// job has ended. NOT_FOUND where it is gone.
absl::StatusOr<FailedItems> ReadFailed(store::Ledger& ledger, const core::Job& job, uint64_t from);

}  // namespace imgfleet::service
