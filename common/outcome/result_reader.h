// Puts what ReadResults sends into the order of the list.
//
//   ResultReader reader(request.from_index());
//   while (stream->Read(&message)) RETURN_IF_ERROR(reader.Take(message, [&](const v1::Outcome& outcome) { ...
//   })); reader.next_index();   // where to resume
//
// Both encodings are taken. Outcomes are handed on as soon as all before them were; what comes early waits
// inside, at most one shard of it. Where a stream ends inside a shard (the job goes on, or the connection
// broke) the waiting ones are dropped with the reader: a next reading from next_index() brings them again.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::outcome {

// Whether indices of the list may be no items of the job: of one that tries the failed items of another again.
enum class Gaps { kNone, kMayBe };

class ResultReader {
 public:
  explicit ResultReader(uint64_t from_index = 0, Gaps gaps = Gaps::kNone)
      : from_index_(from_index), gaps_(gaps), next_index_(from_index) {}

  // DATA_LOSS where a chunk is damaged, an index came twice or lies beyond its shard, or a complete shard
  // lacks one and there are no gaps. What was handed on before stays right; the reader must not be used on.
  absl::Status Take(const v1::Outcomes& message, absl::FunctionRef<void(const v1::Outcome&)> sink);

  // All outcomes before this one were handed on.
  uint64_t next_index() const { return next_index_; }

 private:
  using OutcomePtr = std::shared_ptr<const v1::Outcome>;  // Keeps all that came with it.

  absl::Status TakeOne(OutcomePtr outcome, uint64_t shard_end,
                       absl::FunctionRef<void(const v1::Outcome&)> sink);
  void HandOnWaiting(absl::FunctionRef<void(const v1::Outcome&)> sink);
  // The shard has no more than what waits.
  void PassGaps(uint64_t shard_end, absl::FunctionRef<void(const v1::Outcome&)> sink);

  const uint64_t from_index_;
  const Gaps gaps_;
  uint64_t next_index_;
  absl::flat_hash_map<uint64_t, OutcomePtr> waiting_;
};

}  // namespace imgfleet::outcome
