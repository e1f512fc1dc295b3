#include "common/outcome/codec.h"

#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "common/status.h"

namespace imgfleet::outcome {
namespace {

template <typename Message>
absl::StatusOr<Message> Unpack(absl::string_view blob, absl::string_view what) {
  absl::StatusOr<std::string> raw = UnpackBlob(blob);
  if (!raw.ok()) return Annotate(raw.status(), what);
  Message message;
  if (!message.ParseFromString(*raw)) {
    return absl::DataLossError(absl::StrCat(what, ": ", raw->size(), " bytes that are no such message"));
  }
  return message;
}

}  // namespace

std::string PackOutcomes(const v1::OutcomeChunk& chunk) { return PackBlob(chunk.SerializeAsString()); }

absl::StatusOr<v1::OutcomeChunk> UnpackOutcomes(absl::string_view blob) {
  return Unpack<v1::OutcomeChunk>(blob, "chunk of outcomes");
}

std::string PackItems(const v1::ItemBatch& items) { return PackBlob(items.SerializeAsString()); }

absl::StatusOr<v1::ItemBatch> UnpackItems(absl::string_view blob) {
  return Unpack<v1::ItemBatch>(blob, "run of items");
}

}  // namespace imgfleet::outcome
