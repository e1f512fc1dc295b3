// The formats that are decoded.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace imgfleet::decoder {

// The values are those of the protocol with the decoder's process.
enum class Format : uint8_t {
  kJpeg = 1,
  kPng = 2,
  kGif = 3,
  kWebp = 4,
  kAvif = 5,
  kHeic = 6,
  kTiff = 7,
  kJxl = 8,
  kJp2 = 9,
  kJ2k = 10,
};
inline constexpr Format kLastFormat = Format::kJ2k;

// Of its name in v1.ImageInfo.format; nothing where that format is not decoded.
std::optional<Format> FormatOf(absl::string_view name);

// Images of more are refused from their header.
inline constexpr uint64_t kMaxPixels = uint64_t{1} << 28;

// For people: "jpeg, png, ...".
inline constexpr char kFormatNames[] = "jpeg, png, gif, webp, avif, heic, tiff, jxl, jp2, j2k";

}  // namespace imgfleet::decoder
