#include "coordinator/service/plain_outcomes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "common/status.h"

namespace imgfleet::service {
namespace {

constexpr int kMaxMessageOutcomes = 1000;
constexpr size_t kMaxMessageBytes = 1 << 20;

}  // namespace

std::deque<v1::Outcomes> IntoMessages(std::vector<v1::Outcome> outcomes) {
  std::deque<v1::Outcomes> messages(1);
  size_t bytes = 0;
  for (v1::Outcome& outcome : outcomes) {
    const size_t size = outcome.ByteSizeLong();
    const int count = messages.back().outcomes_size();
    if (count > 0 && (count >= kMaxMessageOutcomes || bytes + size > kMaxMessageBytes)) {
      messages.emplace_back();
      bytes = 0;
    }
    bytes += size;
    *messages.back().add_outcomes() = std::move(outcome);
  }
  return messages;
}

absl::StatusOr<std::vector<v1::Outcome>> MissingOutcomes(const core::Job& job,
                                                         const core::ShardResults& shard) {
  std::vector<bool> present(shard.items);
  for (const core::StoredChunk& chunk : shard.chunks) {
    for (const uint32_t offset : chunk.offsets) present[offset] = true;
  }
  ASSIGN_OR_RETURN(v1::ItemBatch batch, outcome::UnpackItems(shard.payload));
  if (static_cast<uint32_t>(batch.items_size()) != shard.items) {
    return absl::DataLossError(
        absl::StrCat("shard ", shard.shard, " has ", batch.items_size(), " items, not ", shard.items));
  }
  const std::string message =
      job.state == core::JobState::kFailed
          ? absl::StrCat("The job failed before this item had an outcome: ", job.failure)
          : "The job was cancelled before this item had an outcome.";
  std::vector<v1::Outcome> missing;
  for (uint32_t offset = 0; offset < shard.items; ++offset) {
    if (present[offset] || shard.absent.Get(offset)) continue;
    v1::Item& item = *batch.mutable_items(static_cast<int>(offset));
    v1::Outcome& outcome = missing.emplace_back();
    outcome.set_index(shard.first_index + offset);
    outcome.set_id(item.id().empty() ? absl::StrCat(outcome.index()) : std::move(*item.mutable_id()));
    outcome.set_url(std::move(*item.mutable_url()));
    outcome.mutable_error()->set_reason(v1::ItemError::CANCELLED);
    outcome.mutable_error()->set_message(message);
  }
  return missing;
}

}  // namespace imgfleet::service
