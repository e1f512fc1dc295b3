#include "common/outcome/result_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "common/status.h"
#include "google/protobuf/arena.h"

namespace imgfleet::outcome {

// Outcomes come in the order in which they ended, so most of them wait for another; in an arena they wait where they
// were parsed, and go at one stroke.
absl::Status ResultReader::Take(const v1::Outcomes& message,
                                absl::FunctionRef<void(const v1::Outcome&)> sink) {
  const auto arena = std::make_shared<google::protobuf::Arena>();
  auto* chunk = google::protobuf::Arena::CreateMessage<v1::OutcomeChunk>(arena.get());
  if (!message.packed().empty()) RETURN_IF_ERROR(UnpackOutcomes(message.packed(), chunk));
  for (const v1::Outcome& outcome : message.outcomes()) *chunk->add_outcomes() = outcome;
  for (const v1::Outcome& outcome : chunk->outcomes()) {
    RETURN_IF_ERROR(TakeOne(OutcomePtr(arena, &outcome), message.next_index(), sink));
  }
  if (!message.shard_complete() || next_index_ >= message.next_index()) return absl::OkStatus();
  if (gaps_ == Gaps::kNone) {
    return absl::DataLossError(absl::StrCat("results: no outcome for index ", next_index_,
                                            " in a complete shard that ends before index ",
                                            message.next_index()));
  }
  PassGaps(message.next_index(), sink);
  return absl::OkStatus();
}

void ResultReader::PassGaps(uint64_t shard_end, absl::FunctionRef<void(const v1::Outcome&)> sink) {
  std::vector<uint64_t> indices;
  for (const auto& [index, outcome] : waiting_) indices.push_back(index);
  std::sort(indices.begin(), indices.end());
  for (const uint64_t index : indices) sink(*waiting_.at(index));
  waiting_.clear();
  next_index_ = shard_end;
}

absl::Status ResultReader::TakeOne(OutcomePtr outcome, uint64_t shard_end,
                                   absl::FunctionRef<void(const v1::Outcome&)> sink) {
  const uint64_t index = outcome->index();
  if (index < from_index_) return absl::OkStatus();
  if (index >= shard_end) {
    return absl::DataLossError(
        absl::StrCat("results: index ", index, " in a shard that ends before index ", shard_end));
  }
  if (index == next_index_) {
    sink(*outcome);
    ++next_index_;
    HandOnWaiting(sink);
    return absl::OkStatus();
  }
  if (index < next_index_ || !waiting_.try_emplace(index, std::move(outcome)).second) {
    return absl::DataLossError(absl::StrCat("results: two outcomes for index ", index));
  }
  return absl::OkStatus();
}

void ResultReader::HandOnWaiting(absl::FunctionRef<void(const v1::Outcome&)> sink) {
  for (auto found = waiting_.find(next_index_); found != waiting_.end(); found = waiting_.find(next_index_)) {
    sink(*found->second);
    waiting_.erase(found);
    ++next_index_;
  }
}

}  // namespace imgfleet::outcome
