// Runs of items and outcomes as blobs (common/blob.h): what stores keep and streams carry. Thread-safe.
//
// Unpacking fails with DATA_LOSS where the blob or the message in it is damaged, UNIMPLEMENTED where a later
// release wrote it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::outcome {

// The serialised message must be no longer than kMaxBlobRawBytes.
std::string PackOutcomes(const v1::OutcomeChunk& chunk);
absl::StatusOr<v1::OutcomeChunk> UnpackOutcomes(absl::string_view blob);
// The same into a message that lies in an arena, say; it must be empty.
absl::Status UnpackOutcomes(absl::string_view blob, v1::OutcomeChunk* chunk);

std::string PackItems(const v1::ItemBatch& items);
absl::StatusOr<v1::ItemBatch> UnpackItems(absl::string_view blob);

}  // namespace imgfleet::outcome
