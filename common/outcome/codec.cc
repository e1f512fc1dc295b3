#include "common/outcome/codec.h"

#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "common/status.h"

namespace imgfleet::outcome {
namespace {

absl::Status Unpack(absl::string_view blob, absl::string_view what, google::protobuf::MessageLite* message) {
  const absl::StatusOr<std::string> raw = UnpackBlob(blob);
  if (!raw.ok()) return Annotate(raw.status(), what);
  if (!message->ParseFromString(*raw)) {
    return absl::DataLossError(absl::StrCat(what, ": ", raw->size(), " bytes that are no such message"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string PackOutcomes(const v1::OutcomeChunk& chunk) { return PackBlob(chunk.SerializeAsString()); }

absl::StatusOr<v1::OutcomeChunk> UnpackOutcomes(absl::string_view blob) {
  v1::OutcomeChunk chunk;
  RETURN_IF_ERROR(UnpackOutcomes(blob, &chunk));
  return chunk;
}

absl::Status UnpackOutcomes(absl::string_view blob, v1::OutcomeChunk* chunk) {
  return Unpack(blob, "chunk of outcomes", chunk);
}

std::string PackItems(const v1::ItemBatch& items) { return PackBlob(items.SerializeAsString()); }

absl::StatusOr<v1::ItemBatch> UnpackItems(absl::string_view blob) {
  v1::ItemBatch items;
  RETURN_IF_ERROR(Unpack(blob, "run of items", &items));
  return items;
}

}  // namespace imgfleet::outcome
