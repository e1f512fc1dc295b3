// BMP: a 14-byte file header and a DIB header that names its own length: 12 (OS/2 1.x, 16-bit sizes), 16 to
// 64 (OS/2 2.x, possibly cut short), 40, 52, 56, 108, 124 (Windows). A negative height means rows from the
// top down.
#include "absl/strings/str_cat.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kDib = 14;

bool IsHeaderSize(uint32_t size) {
  return size == 12 || (size >= 16 && size <= 64 && size % 4 == 0) || size == 42 || size == 46 ||
         size == 108 || size == 124;
}

void SetSamples(uint16_t bits, ImageInfo& info) {
  if (bits == 1 || bits == 2 || bits == 4 || bits == 8) {
    info.bit_depth = static_cast<uint8_t>(bits);
    info.channels = 1;
    info.has_alpha = false;
  } else if (bits == 24) {
    info.bit_depth = 8;
    info.channels = 3;
    info.has_alpha = false;
  }
  // 16 and 32 bits: masks and programs disagree on what they hold.
}

}  // namespace

ProbeResult ReadBmp(Source& source) {
  if (!source.Has(kDib, 4)) return source.Missing(Format::kBmp, kDib, 4, 16);
  const uint32_t size = source.Le32(kDib);
  if (!IsHeaderSize(size)) return NotAnImage("begins with BM, but no bitmap header follows");
  ImageInfo info;
  info.format = Format::kBmp;
  info.frames = 1;
  if (size == 12) {
    if (!source.Has(kDib, 12)) return source.Missing(Format::kBmp, kDib, 12);
    info.width = source.Le16(kDib + 4);
    info.height = source.Le16(kDib + 6);
    SetSamples(source.Le16(kDib + 10), info);
  } else {
    if (!source.Has(kDib, 16)) return source.Missing(Format::kBmp, kDib, 16);
    const int64_t width = static_cast<int32_t>(source.Le32(kDib + 4));
    const int64_t height = static_cast<int32_t>(source.Le32(kDib + 8));
    if (width < 0) return Corrupt(Format::kBmp, absl::StrCat("BMP: a width of ", width));
    info.width = static_cast<uint32_t>(width);
    info.height = static_cast<uint32_t>(height < 0 ? -height : height);
    SetSamples(source.Le16(kDib + 14), info);
  }
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kBmp, "BMP: an image without area");
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
