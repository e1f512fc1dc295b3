// How values without a column type of their own are written into SQL columns, the same in every SQL store.
//
//   offsets  For each offset its difference to the one before (the first to 0), zigzag-mapped (0 -> 0, -1 ->
//   1,
//            1 -> 2, ...) and written as a base-128 varint, lowest group first, as protobuf does. Runs of
//            neighbours take a byte each.
//   reasons  Text "REASON=COUNT,REASON=COUNT", ascending; empty where nothing failed. For people with a
//   shell. times    Microseconds since the Unix epoch, or for a boot clock since its own zero; NULL for
//   infinite.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/types.h"

namespace imgfleet::store {

std::string EncodeOffsets(const std::vector<uint32_t>& offsets);
absl::StatusOr<std::vector<uint32_t>> DecodeOffsets(absl::string_view bytes);  // DATA_LOSS

std::string EncodeReasons(const core::ReasonCounts& reasons);
absl::StatusOr<core::ReasonCounts> DecodeReasons(absl::string_view text);  // DATA_LOSS

}  // namespace imgfleet::store
