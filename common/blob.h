// How runs of items and outcomes are packed, on the wire and in stores.
//
//   offset  size  field
//   0       1     format version: 1
//   1       1     codec: 0 stored as is, 1 zstd frame
//   2       4     raw size in bytes, little-endian
//   6       4     CRC-32C (Castagnoli, RFC 3720 B.4) of the raw bytes, little-endian
//   10      ...   the bytes under the codec
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet {

// What one blob may hold when raw. Larger ones are refused both ways, so that a damaged or hostile header
// cannot ask for more memory than this.
inline constexpr uint32_t kMaxBlobRawBytes = 64u << 20;

// Packs with zstd where that is shorter. `raw` must be no longer than kMaxBlobRawBytes. Thread-safe.
std::string PackBlob(absl::string_view raw);

// DATA_LOSS where the blob is damaged, UNIMPLEMENTED for a version or codec of a later release.
absl::StatusOr<std::string> UnpackBlob(absl::string_view blob);

// CRC-32C, by the processor's instruction where it has one.
uint32_t Crc32c(absl::string_view bytes);

namespace internal {
uint32_t Crc32cByTable(absl::string_view bytes);
}  // namespace internal

}  // namespace imgfleet
