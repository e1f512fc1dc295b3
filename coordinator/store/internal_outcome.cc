#include "coordinator/store/internal_outcome.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::store {

InternalOutcome OutcomeOfPoison(absl::string_view items, uint64_t first_index, uint32_t offset,
                                uint32_t workers) {
  v1::OutcomeChunk chunk;
  v1::Outcome& outcome = *chunk.add_outcomes();
  outcome.set_index(first_index + offset);
  std::string message = absl::StrCat(workers, " workers in a row were lost while they had this item alone");
  v1::ItemBatch batch;
  const absl::StatusOr<std::string> raw = UnpackBlob(items);
  if (raw.ok() && batch.ParseFromString(*raw) && offset < static_cast<uint32_t>(batch.items_size())) {
    const v1::Item& item = batch.items(static_cast<int>(offset));
    outcome.set_id(item.id().empty() ? absl::StrCat(outcome.index()) : item.id());
    outcome.set_url(item.url());
  } else {
    outcome.set_id(absl::StrCat(outcome.index()));
    absl::StrAppend(&message, "; the shard's stored items cannot be read");
  }
  v1::ItemError& error = *outcome.mutable_error();
  error.set_reason(v1::ItemError::INTERNAL);
  error.set_message(message);
  error.set_retryable(true);

  InternalOutcome made;
  made.payload = PackBlob(chunk.SerializeAsString());
  made.counts.failed = 1;
  made.counts.reasons[v1::ItemError::INTERNAL] = 1;
  return made;
}

}  // namespace imgfleet::store
