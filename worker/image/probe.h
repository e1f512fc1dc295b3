// Reads what an image is from its first bytes.
//
// Probing never guesses: as long as the bytes at hand do not prove an answer it says which byte it needs
// next, and a cut file gives kTruncated rather than a wrong size. Whatever the image claims, it allocates
// nothing but error messages, an icon's variants, an SVG's texts and words of a text header, all bounded; it touches no I/O and keeps
// no state between calls: every call sees all bytes fetched so far, and more of them never change an answer
// that was kOk.
//
//   Bytes seen = ...;                       // the file's prefix, perhaps with a hole and a later piece
//   ProbeResult result = Probe(seen);
//   if (result.status == ProbeStatus::kNeedMore) fetch from result.need_offset on, then probe again
//
// Where the header lies in more than one place (a JPEG whose segments are jumped over, a TIFF directory
// at the end, the meta box behind the pixels), need_offset jumps. A second jump would need two pieces, and
// Bytes holds only one: the range asked for then begins again at the first byte that was used of the
// present piece and reaches to the end of what is new. So whatever is asked for may replace the present
// piece (or join the prefix, where it continues it), every answer kNeedMore names at least one byte that is
// not at hand, and a caller that fetches what it is asked for comes to an end.
//
// Size and orientation decide what is fetched. All else is read where it lies before what proves them, in the
// file's first 12 KiB (kFieldReach in source.h), with which every fetch begins, or close behind a directory that
// is fetched anyway; elsewhere it is unset. A field that lies there but is not at hand yet is asked for as well, so
// that every field depends on the file alone, never on how it was cut or how much of it is at hand.
//
// Detection is by content (detect.h), each format is read in a file of its own (readers.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  kJxl,
  kJp2,
  kJ2k,
  kPsd,
  kQoi,
  kDds,
  kIcns,
  kTga,
  kPnm,
  kHdr,
  kPcx,
};

enum class ColorSpace : uint8_t { kUnknown, kGray, kRgb, kPalette, kYcbcr, kCmyk, kYcck, kLab, kXyb };

// "jpeg" and "image/jpeg". Static storage.
absl::string_view FormatName(Format format);
absl::string_view MimeType(Format format);

enum class ProbeStatus : uint8_t {
  kOk,           // `info` holds the answer.
  kNeedMore,     // Bytes from `need_offset` on are needed (`need_bytes` of them, as far as known).
  kTruncated,    // The file ends (total size known and reached) before its header does.
  kCorrupt,      // The format is clear, the header contradicts itself.
  kUnsupported,  // A known image format, or variant, that is not measured, or an SVG that states no size;
                 // `message` names it.
  kNotAnImage,   // No image format begins like this.
};

// One image of an icon or cursor, as its directory lists it; where that leaves the size open (0) and the image's
// own header lies in the file's first bytes, as that says.
struct IconVariant {
  uint32_t width = 0, height = 0;
  uint32_t bit_depth = 0;  // 0: the directory does not say.
  uint64_t size_bytes = 0;

  bool operator==(const IconVariant&) const = default;
};

// The attributes of an SVG's root as written, at most kMaxText bytes of each; empty where absent.
struct SvgSize {
  static constexpr size_t kMaxText = 64;

  std::string width, height, view_box;

  bool operator==(const SvgSize&) const = default;
};

struct ImageInfo {
  Format format = Format::kUnknown;
  // Stored pixels (SVG: CSS pixels, rounded to nearest, at least 1). Never 0 with kOk.
  uint32_t width = 0, height = 0;
  // After orientation, and in HEIF the clean aperture.
  uint32_t display_width = 0, display_height = 0;
  // EXIF 1..8; in HEIF the equivalent of its properties, in their order. PNG: only of an eXIf chunk before
  // the pixels; animated WebP: of an EXIF chunk in its last 256 KiB. JPEG XL: its codestream's. HDR: the order of
  // its pixels. Other formats: 1.
  uint8_t orientation = 1;
  // More than one frame is to be shown over time, as far as the header tells. GIF: a second image in the
  // first 12 KiB, or, where the first one reaches beyond them, the looping extension.
  bool animated = false;
  // The rest is unset unless known.
  //
  // Pictures of the file: an animation's frames, TIFF pages, the JPEGs of an MPO, the pictures of a HEIF that are
  // neither hidden, thumbnails nor parts of others.
  std::optional<uint32_t> frames;
  // Bits of a sample (where all are of equal depth), and the stored samples of a pixel: a palette counts as 1, the
  // alpha plane of a WebP or HEIF as one of them.
  std::optional<uint8_t> bit_depth;
  std::optional<uint8_t> channels;
  std::optional<bool> has_alpha;
  std::optional<bool> progressive;
  // Times an animation is shown; 0 for ever. GIF, which says how often it is shown again: one more.
  std::optional<uint32_t> loop_count;
  // JPEG: before the frame header.
  std::optional<bool> has_icc;
  // JPEG: as libjpeg decides it from JFIF's and Adobe's segments and the components' names. VP8 and HEIF: YCbCr, unless
  // their container says otherwise.
  ColorSpace color_space = ColorSpace::kUnknown;
  // Pixels per inch as the file states them: JFIF, pHYs, BMP and TIFF; where those say nothing, Exif. Units that give
  // only the ratio of a pixel's sides state none.
  std::optional<float> dpi_x, dpi_y;
  // ICO, CUR and ICNS, in the file's order: the first kMaxVariants.
  std::vector<IconVariant> variants;
  std::optional<SvgSize> svg;

  static constexpr size_t kMaxVariants = 256;

  // Every field; numbers exactly.
  bool operator==(const ImageInfo&) const = default;
};

struct ProbeResult {
  ProbeStatus status = ProbeStatus::kNeedMore;
  // With other statuses than kOk only `format`, where it is clear.
  ImageInfo info;
  // With kNeedMore: the first byte wanted, and how many from there are expected to bring the next decision:
  // never 0, never beyond a known end of the file. Fewer do no harm but ask again; more may save a request.
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
