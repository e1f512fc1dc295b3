// The outcome that the coordinator itself gives an item: the only one it ever writes.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/core/types.h"

namespace imgfleet::store {

struct InternalOutcome {
  std::string payload;  // Blob of a v1.OutcomeChunk with the one outcome.
  core::Counts counts;
};

// INTERNAL for the item at `offset` of the shard whose items are `items` (a blob of a v1.ItemBatch):
// `workers` workers died over it. Where the blob cannot be read, the outcome lacks id and URL and says so.
InternalOutcome OutcomeOfPoison(absl::string_view items, uint64_t first_index, uint32_t offset,
                                uint32_t workers);

}  // namespace imgfleet::store
