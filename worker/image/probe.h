// Reads what an image is from its first bytes.
//
// Probing never guesses: as long as the bytes at hand do not prove an answer it says which byte it needs
// next, and a cut file gives kTruncated rather than a wrong size. It allocates a bounded amount (a few
// kilobytes, whatever the image claims), touches no I/O and keeps no state between calls: every call sees all
// bytes fetched so far.
//
//   Bytes seen = ...;                       // the file's prefix, perhaps with a hole and a later piece
//   ProbeResult result = Probe(seen);
//   if (result.status == ProbeStatus::kNeedMore) fetch from result.need_offset on, then probe again
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace imgfleet::image {

enum class Format : uint8_t {
  kUnknown,
  kJpeg,
  kPng,
  kGif,
  kWebp,
  kBmp,
  kIco,
  kCur,
  kSvg,
  kAvif,
  kHeic,
  kTiff,
};

// "jpeg", "image/jpeg", and the name Pillow uses ("JPEG"). Static storage.
absl::string_view FormatName(Format format);
absl::string_view MimeType(Format format);

enum class ProbeStatus : uint8_t {
  kOk,           // `info` holds the answer.
  kNeedMore,     // Bytes from `need_offset` on are needed (`need_bytes` of them, as far as known).
  kTruncated,    // The file ends (total size known and reached) before its header does.
  kCorrupt,      // The format is clear, the header contradicts itself.
  kUnsupported,  // A known image format, or variant, that is not measured; `message` names it.
  kNotAnImage,   // No image format begins like this.
};

struct ImageInfo {
  Format format = Format::kUnknown;
  // Stored pixels (SVG: CSS pixels, rounded to nearest, at least 1).
  uint32_t width = 0, height = 0;
  // After orientation.
  uint32_t display_width = 0, display_height = 0;
  uint8_t orientation = 1;  // EXIF 1..8; in HEIF the properties' equivalent.
  bool animated = false;
  std::optional<uint32_t> frames;
  std::optional<uint8_t> bit_depth;
  std::optional<uint8_t> channels;
  std::optional<bool> has_alpha;
  std::optional<bool> progressive;
};

struct ProbeResult {
  ProbeStatus status = ProbeStatus::kNeedMore;
  ImageInfo info;
  // With kNeedMore: the first byte wanted, and how many from there would bring the next decision (0:
  // unknown).
  uint64_t need_offset = 0;
  uint64_t need_bytes = 0;
  // With kCorrupt, kUnsupported, kNotAnImage, kTruncated: what was seen, for a person.
  std::string message;
};

// The bytes of one file known so far: a prefix, and at most one later piece.
struct Bytes {
  absl::string_view prefix;
  // Bytes at [piece_offset, piece_offset + piece.size()), for directories at the end of a file.
  absl::string_view piece;
  uint64_t piece_offset = 0;
  // Size of the whole file, where known.
  std::optional<uint64_t> total;
};

// Thread-safe. Time is linear in the bytes given.
ProbeResult Probe(const Bytes& bytes);

}  // namespace imgfleet::image
