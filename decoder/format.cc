#include "decoder/format.h"

namespace imgfleet::decoder {

std::optional<Format> FormatOf(absl::string_view name) {
  static constexpr struct {
    absl::string_view name;
    Format format;
  } kNames[] = {
      {"jpeg", Format::kJpeg}, {"png", Format::kPng},   {"gif", Format::kGif},   {"webp", Format::kWebp},
      {"avif", Format::kAvif}, {"heic", Format::kHeic}, {"tiff", Format::kTiff}, {"jxl", Format::kJxl},
      {"jp2", Format::kJp2},   {"j2k", Format::kJ2k},
  };
  for (const auto& known : kNames) {
    if (known.name == name) return known.format;
  }
  return std::nullopt;
}

}  // namespace imgfleet::decoder
