#include "coordinator/service/failed_items.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "common/status.h"
#include "coordinator/core/job.h"

namespace imgfleet::service {
namespace {

// Which offsets are to be tried again: neither measured nor bad rows nor absent.
absl::StatusOr<std::vector<bool>> FailedOffsets(const core::ShardResults& shard) {
  std::vector<bool> failed(shard.items, true);
  for (uint32_t offset = 0; offset < shard.items; ++offset) {
    if (shard.absent.Get(offset)) failed[offset] = false;
  }
  for (const core::StoredChunk& stored : shard.chunks) {
    ASSIGN_OR_RETURN(const v1::OutcomeChunk chunk, outcome::UnpackOutcomes(stored.payload));
    for (const v1::Outcome& outcome : chunk.outcomes()) {
      const bool again = outcome.has_error() && outcome.error().reason() != v1::ItemError::BAD_ROW;
      const uint64_t offset = outcome.index() - shard.first_index;
      if (offset < failed.size() && !again) failed[offset] = false;
    }
  }
  return failed;
}

}  // namespace

uint64_t CountFailed(const core::Job& job) {
  const auto bad_rows = job.counts.reasons.find(v1::ItemError::BAD_ROW);
  return job.counts.failed - (bad_rows == job.counts.reasons.end() ? 0 : bad_rows->second) +
         core::OpenItems(job);
}

absl::StatusOr<FailedItems> ReadFailed(store::Ledger& ledger, const core::Job& job, uint64_t from) {
  ASSIGN_OR_RETURN(const std::optional<core::ShardResults> shard, ledger.ReadShardAt(job.id, from));
  FailedItems found;
  if (!shard) {
    found.end = true;
    return found;
  }
  found.next_index = shard->first_index + shard->items;
  ASSIGN_OR_RETURN(std::vector<bool> failed, FailedOffsets(*shard));
  for (uint64_t index = shard->first_index; index < std::min(from, found.next_index); ++index) {
    failed[index - shard->first_index] = false;
  }
  const auto first = std::find(failed.begin(), failed.end(), true) - failed.begin();
  if (first == static_cast<ptrdiff_t>(failed.size())) return found;
  const auto end = failed.rend() - std::find(failed.rbegin(), failed.rend(), true);
  ASSIGN_OR_RETURN(v1::ItemBatch items, outcome::UnpackItems(shard->payload));
  if (static_cast<uint32_t>(items.items_size()) != shard->items) {
    return absl::DataLossError(
        absl::StrCat("shard ", shard->shard, " of job ", job.id, " has ", items.items_size(), " items"));
  }
  core::NewShard& again = found.shard.emplace();
  again.first_index = shard->first_index + static_cast<uint64_t>(first);
  again.items = static_cast<uint32_t>(end - first);
  v1::ItemBatch kept;
  for (auto offset = first; offset < end; ++offset) {
    v1::Item* item = kept.add_items();
    if (failed[static_cast<size_t>(offset)]) {
      *item = std::move(*items.mutable_items(static_cast<int>(offset)));
    } else {
      again.absent.push_back(static_cast<uint32_t>(offset - first));
    }
  }
  again.payload = outcome::PackItems(kept);
  return found;
}

}  // namespace imgfleet::service
