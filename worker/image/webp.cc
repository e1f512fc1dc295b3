// WebP: a RIFF container whose first chunk gives the size: VP8 and VP8L the image's, VP8X the canvas'. Where
// VP8X announces Exif, its orientation is part of the answer and is fetched, wherever it stands. Not for
// animations: it would stand behind all their frames, and viewers do not turn them.
#include "absl/strings/str_cat.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kAnimation = 0x02, kExif = 0x08, kAlpha = 0x10;
constexpr uint64_t kAfterJump = 1024;

ProbeResult ReadVp8(Source& source, uint64_t data, ImageInfo& info) {
  if (!source.Has(data, 10)) return source.Missing(Format::kWebp, data, 10);
  if ((source.U8(data) & 1) != 0 || !source.Equals(data + 3, "\x9d\x01\x2a")) {
    return Corrupt(Format::kWebp, "WebP: the VP8 data do not begin with a key frame");
  }
  info.width = source.Le16(data + 6) & 0x3FFF;
  info.height = source.Le16(data + 8) & 0x3FFF;
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kWebp, "WebP: an image without area");
  info.frames = 1;
  info.has_alpha = false;
  info.channels = 3;
  SetOrientation(info, 1);
  return Ok(info);
}

ProbeResult ReadVp8l(Source& source, uint64_t data, ImageInfo& info) {
  if (!source.Has(data, 5)) return source.Missing(Format::kWebp, data, 5);
  const uint32_t bits = source.Le32(data + 1);
  if (source.U8(data) != 0x2F || bits >> 29 != 0)
    return Corrupt(Format::kWebp, "WebP: the VP8L header is none");
  info.width = (bits & 0x3FFF) + 1;
  info.height = (bits >> 14 & 0x3FFF) + 1;
  info.has_alpha = (bits >> 28 & 1) != 0;
  info.channels = *info.has_alpha ? 4 : 3;
  info.frames = 1;
  SetOrientation(info, 1);
  return Ok(info);
}

ProbeResult ReadVp8x(Source& source, uint64_t data, uint64_t length, uint64_t end, ImageInfo& info) {
  if (!source.Has(data, 10)) return source.Missing(Format::kWebp, data, 10);
  const uint8_t flags = source.U8(data);
  info.width = source.Le24(data + 4) + 1;
  info.height = source.Le24(data + 7) + 1;
  info.animated = (flags & kAnimation) != 0;
  info.has_alpha = (flags & kAlpha) != 0;
  info.channels = *info.has_alpha ? 4 : 3;
  if (!info.animated) info.frames = 1;
  SetOrientation(info, 1);
  if (info.animated || (flags & kExif) == 0) return Ok(info);

  uint64_t at = data + length + (length & 1);
  while (at + 8 <= end) {
    if (!source.Has(at, 8)) return source.Missing(Format::kWebp, at, 8, kAfterJump);
    const uint64_t chunk = source.Le32(at + 4);
    if (source.Equals(at, "EXIF")) {
      const ExifOrientation exif = ReadExifOrientation(source, at + 8, at + 8 + chunk);
      if (!exif.known) return source.Missing(Format::kWebp, exif.need_offset, exif.need_size);
      SetOrientation(info, exif.orientation);
      return Ok(info);
    }
    at += 8 + chunk + (chunk & 1);
  }
  return Ok(info);  // Announced, but the container ends without it.
}

}  // namespace

ProbeResult ReadWebp(Source& source) {
  if (!source.Has(0, 20)) return source.Missing(Format::kWebp, 0, 20, 30);
  ImageInfo info;
  info.format = Format::kWebp;
  info.bit_depth = 8;
  const uint64_t end = uint64_t{8} + source.Le32(4);
  const uint64_t length = source.Le32(16);
  constexpr uint64_t kData = 20;
  if (source.Equals(12, "VP8 ")) return ReadVp8(source, kData, info);
  if (source.Equals(12, "VP8L")) return ReadVp8l(source, kData, info);
  if (source.Equals(12, "VP8X")) {
    if (length < 10) return Corrupt(Format::kWebp, "WebP: the VP8X chunk is too short");
    return ReadVp8x(source, kData, length, end, info);
  }
  return Corrupt(Format::kWebp, "WebP: the first chunk is none of VP8, VP8L and VP8X");
}

}  // namespace imgfleet::image
