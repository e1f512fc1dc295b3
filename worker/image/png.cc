// PNG: the header chunk gives the size; the chunks before the image data tell of animation, transparency,
// resolution, colour profile and orientation. An eXIf chunk behind the image data is legal but not sought: finding it
// would cost the whole file.
#include <array>

#include "absl/strings/str_cat.h"
#include "worker/image/exif.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint32_t kMaxLength = 0x7FFFFFFF;
constexpr uint64_t kAfterJump = 1024;

constexpr uint32_t Name(const char (&text)[5]) {
  return static_cast<uint32_t>(text[0]) << 24 | static_cast<uint32_t>(text[1]) << 16 |
         static_cast<uint32_t>(text[2]) << 8 | static_cast<uint32_t>(text[3]);
}

bool IsName(uint32_t name) {
  for (int shift = 0; shift < 32; shift += 8) {
    const uint8_t c = static_cast<uint8_t>(name >> shift) | 0x20;
    if (c < 'a' || c > 'z') return false;
  }
  return true;
}

// Fills `info` from the IHDR chunk's data; false if it contradicts itself.
bool ReadHeader(Source& source, uint64_t data, ImageInfo& info) {
  info.width = source.Be32(data);
  info.height = source.Be32(data + 4);
  const uint8_t depth = source.U8(data + 8);
  const uint8_t colour = source.U8(data + 9);
  const uint8_t interlace = source.U8(data + 12);
  if (info.width == 0 || info.height == 0 || info.width > kMaxLength || info.height > kMaxLength)
    return false;
  struct Colour {
    uint8_t channels = 0;
    uint32_t depths = 0;  // Those that are allowed, one bit each.
  };
  constexpr uint32_t kBytes = 1 << 8 | 1 << 16, kAny = 1 << 1 | 1 << 2 | 1 << 4 | kBytes;
  constexpr std::array<Colour, 7> kColours = {
      {{1, kAny}, {}, {3, kBytes}, {1, kAny & ~(1u << 16)}, {2, kBytes}, {}, {4, kBytes}}};
  if (colour >= kColours.size() || depth > 16 || (kColours[colour].depths >> depth & 1) == 0) return false;
  // Compression, filter and interlacing each know but few methods.
  if (source.U8(data + 10) != 0 || source.U8(data + 11) != 0 || interlace > 1) return false;
  info.bit_depth = depth;
  info.channels = kColours[colour].channels;
  info.has_alpha = colour >= 4;
  info.color_space = colour == 3         ? ColorSpace::kPalette
                     : (colour & 2) == 0 ? ColorSpace::kGray
                                         : ColorSpace::kRgb;
  info.progressive = interlace == 1;
  return true;
}

}  // namespace

ProbeResult ReadPng(Source& source) {
  ImageInfo info;
  info.format = Format::kPng;
  uint64_t at = 8;
  info.has_icc = false;
  ExifTags exif;
  uint32_t frames = 1, plays = 0;
  bool header_seen = false;
  for (uint32_t chunks = 0;; ++chunks) {
    if (chunks > kMaxParts) return Corrupt(Format::kPng, "PNG: more than 65536 chunks before the image data");
    if (!source.Has(at, 8)) return source.Missing(Format::kPng, at, 8, kAfterJump);
    const uint32_t length = source.Be32(at);
    const uint32_t name = source.Be32(at + 4);
    const uint64_t data = at + 8;
    if (length > kMaxLength || !IsName(name)) {
      return Corrupt(Format::kPng, absl::StrCat("PNG: no chunk where one must be, at byte ", at));
    }
    if (name == Name("IHDR")) {
      if (header_seen || length != 13) return Corrupt(Format::kPng, "PNG: a wrong IHDR chunk");
      if (!source.Has(data, 13)) return source.Missing(Format::kPng, data, 13);
      if (!ReadHeader(source, data, info))
        return Corrupt(Format::kPng, "PNG: impossible values in the IHDR chunk");
      header_seen = true;
    } else if (!header_seen) {
      if (name != Name("CgBI") || at != 8) return Corrupt(Format::kPng, "PNG: the first chunk is not IHDR");
    } else if (name == Name("acTL")) {
      if (length != 8) return Corrupt(Format::kPng, "PNG: a wrong acTL chunk");
      if (!source.Has(data, 8)) return source.Missing(Format::kPng, data, 8);
      frames = source.Be32(data);
      plays = source.Be32(data + 4);
      if (frames == 0) return Corrupt(Format::kPng, "PNG: an animation of 0 frames");
    } else if (name == Name("tRNS")) {
      info.has_alpha = true;
    } else if (name == Name("eXIf")) {
      exif = ReadExif(source, data, data + length);
      if (!exif.known) return source.Missing(Format::kPng, exif.need_offset, exif.need_size);
    } else if (name == Name("iCCP")) {
      info.has_icc = true;
    } else if (name == Name("pHYs") && length == 9) {
      // Unit 1 is the metre; without one only the ratio counts.
      if (!source.Has(data, 9)) return source.Missing(Format::kPng, data, 9);
      if (source.U8(data + 8) == 1) {
        info.dpi_x = ToDpi(source.Be32(data), PerLength::kMetre);
        info.dpi_y = ToDpi(source.Be32(data + 4), PerLength::kMetre);
      }
    } else if (name == Name("IDAT")) {
      break;
    } else if (name == Name("IEND")) {
      return Corrupt(Format::kPng, "PNG: no image data");
    }
    at = data + length + 4;
  }
  info.frames = frames;
  info.animated = frames > 1;
  if (info.animated) info.loop_count = plays;
  SetOrientation(info, exif.orientation);
  if (!info.dpi_x && !info.dpi_y) {
    info.dpi_x = exif.dpi_x;
    info.dpi_y = exif.dpi_y;
  }
  return Ok(info);
}

}  // namespace imgfleet::image
