// How a fetcher feeds Probe(): for tests of the protocol between the two.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "worker/image/probe.h"

namespace imgfleet::image {

struct Fetched {
  ProbeResult result;
  int requests = 0;
  uint64_t bytes = 0;
  // A request asked for nothing that was not at hand: the probe would ask for ever.
  bool stuck = false;
};

// Gives a first range of `first` bytes, then exactly what each answer asks for and at least `least` bytes of it, as one
// piece that replaces the one before (or joins the prefix). The total is known from the first answer on, as from
// Content-Range, or never, if not `tell_total`, until a read comes up short.
inline Fetched FetchAndProbe(const std::string& file, uint64_t first, uint64_t least,
                             bool tell_total = true) {
  Fetched fetched;
  std::string prefix = file.substr(0, first);
  std::string piece;
  uint64_t piece_offset = 0;
  bool total_known = tell_total || prefix.size() < first;
  for (fetched.requests = 1;; ++fetched.requests) {
    Bytes bytes;
    bytes.prefix = prefix;
    bytes.piece = piece;
    bytes.piece_offset = piece_offset;
    if (total_known) bytes.total = file.size();
    fetched.result = Probe(bytes);
    if (fetched.result.status != ProbeStatus::kNeedMore) break;
    const uint64_t begin = fetched.result.need_offset;
    const uint64_t end = begin + std::max(fetched.result.need_bytes, least);
    const bool at_hand =
        end <= prefix.size() || (begin >= piece_offset && end <= piece_offset + piece.size());
    if (begin < prefix.size() || at_hand || fetched.result.need_bytes == 0 || fetched.requests > 1000) {
      fetched.stuck = true;
      break;
    }
    piece = begin < file.size() ? file.substr(begin, end - begin) : "";
    piece_offset = begin;
    fetched.bytes += piece.size();
    if (end > file.size()) total_known = true;
    if (begin == prefix.size()) {
      prefix += piece;
      piece.clear();
    }
  }
  fetched.bytes += std::min<uint64_t>(first, file.size());
  return fetched;
}

// Every field of the answer.
inline bool SameInfo(const ImageInfo& a, const ImageInfo& b) { return a == b; }

inline std::string Describe(const ImageInfo& info) {
  static constexpr const char* kColorSpace[] = {"-",    "gray", "rgb", "palette", "ycbcr",
                                                "cmyk", "ycck", "lab", "xyb"};
  auto number = [](const auto& value) {
    return value ? std::to_string(static_cast<int64_t>(*value)) : std::string("-");
  };
  auto real = [](const std::optional<float>& value) { return value ? std::to_string(*value) : "-"; };
  std::string text = std::string(FormatName(info.format)) + " " + std::to_string(info.width) + "x" +
                     std::to_string(info.height) + " shown " + std::to_string(info.display_width) + "x" +
                     std::to_string(info.display_height) + " orientation " +
                     std::to_string(info.orientation) + " animated " + std::to_string(info.animated) +
                     " frames " + number(info.frames) + " loops " + number(info.loop_count) + " bits " +
                     number(info.bit_depth) + " channels " + number(info.channels) + " alpha " +
                     number(info.has_alpha) + " progressive " + number(info.progressive) + " icc " +
                     number(info.has_icc) + " colour " + kColorSpace[static_cast<int>(info.color_space)] +
                     " dpi " + real(info.dpi_x) + "x" + real(info.dpi_y);
  for (const IconVariant& variant : info.variants) {
    text += " [" + std::to_string(variant.width) + "x" + std::to_string(variant.height) + " of " +
            std::to_string(variant.bit_depth) + " bits, " + std::to_string(variant.size_bytes) + " bytes]";
  }
  if (info.svg)
    text += " svg '" + info.svg->width + "' '" + info.svg->height + "' '" + info.svg->view_box + "'";
  return text;
}

inline std::string Describe(const ProbeResult& result) {
  static constexpr const char* kStatus[] = {"ok",      "need more",   "truncated",
                                            "corrupt", "unsupported", "not an image"};
  return std::string(kStatus[static_cast<int>(result.status)]) + " " + Describe(result.info) + " need " +
         std::to_string(result.need_offset) + "+" + std::to_string(result.need_bytes) + " " + result.message;
}

}  // namespace imgfleet::image
