#include "worker/agent/held_lease.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "common/status.h"

namespace imgfleet::agent {

void GatheringChunk::Add(uint32_t offset, const PackedOutcome& outcome, absl::Time now) {
  if (offsets_.empty()) since_ = now;
  offsets_.push_back(offset);
  fetched_bytes_ += outcome.fetched_bytes;
  if (outcome.failed) {
    const auto reason = static_cast<size_t>(outcome.reason);
    if (reason >= failures_.size()) failures_.resize(reason + 1);
    ++failures_[reason];
  } else {
    ++succeeded_;
  }
  raw_.append(outcome.bytes.data(), outcome.bytes.size());
}

v1::Chunk GatheringChunk::Pack() {
  v1::Chunk chunk;
  chunk.mutable_offsets()->Add(offsets_.begin(), offsets_.end());
  chunk.set_payload(PackBlob(raw_));
  chunk.set_succeeded(succeeded_);
  chunk.set_fetched_bytes(fetched_bytes_);
  for (size_t reason = 0; reason < failures_.size(); ++reason) {
    if (failures_[reason] == 0) continue;
    v1::ReasonCount* count = chunk.add_failures();
    count->set_reason(static_cast<v1::ItemError::Reason>(reason));
    count->set_count(failures_[reason]);
  }
  *this = GatheringChunk();
  return chunk;
}

absl::StatusOr<std::unique_ptr<HeldLease>> OpenLease(const v1::Lease& lease) {
  auto held = std::make_unique<HeldLease>();
  ASSIGN_OR_RETURN(const std::string items, UnpackBlob(lease.items()));
  if (!held->batch.ParseFromString(items)) return absl::DataLossError("items are no ItemBatch");
  held->offsets.assign(lease.offsets().begin(), lease.offsets().end());
  for (size_t i = 0; i < held->offsets.size(); ++i) {
    if (held->offsets[i] >= static_cast<uint32_t>(held->batch.items_size()) ||
        (i > 0 && held->offsets[i] <= held->offsets[i - 1])) {
      return absl::InvalidArgumentError(absl::StrCat("offset ", held->offsets[i], " of ",
                                                     held->batch.items_size(),
                                                     " items is beyond the end or out of order"));
    }
  }
  if (held->offsets.empty()) return absl::InvalidArgumentError("no items are leased");
  held->shard = lease.shard();
  held->epoch = lease.lease_epoch();
  held->first_index = lease.first_index();
  held->bytes = lease.items().size();
  held->spec = lease.spec();
  held->put_offs = lease.put_offs();
  held->urgent = lease.urgent();
  held->outstanding = static_cast<uint32_t>(held->offsets.size());
  return held;
}

}  // namespace imgfleet::agent
