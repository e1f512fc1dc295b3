// The codecs behind Decode, one a file, and what they share.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "decoder/codec.h"

namespace imgfleet::decoder {

absl::StatusOr<Decoded> DecodeJpeg(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodePng(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeGif(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeWebp(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeAvif(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeHeic(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeTiff(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeJxl(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeJp2(absl::string_view file, const DecodeLimits& limits);
absl::StatusOr<Decoded> DecodeJ2k(absl::string_view file, const DecodeLimits& limits);

// RESOURCE_EXHAUSTED unless both sides are at least 1, all pixels within the limit, and `bytes_per_pixel` of them within
// the memory.
absl::Status CheckSize(uint64_t width, uint64_t height, uint64_t bytes_per_pixel, const DecodeLimits& limits);

// Errors in the words of Decode. `said` is cut to a bounded, printable length later.
absl::Status Truncated(absl::string_view said = "");
absl::Status Damaged(absl::string_view said);
absl::Status Unsupported(absl::string_view said);
absl::Status OutOfMemory();

inline const uint8_t* BytesOf(absl::string_view file) {
  return reinterpret_cast<const uint8_t*>(file.data());
}

}  // namespace imgfleet::decoder
