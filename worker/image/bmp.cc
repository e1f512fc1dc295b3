// BMP: a 14-byte file header and a DIB header that names its own length: 12 (OS/2 1.x, 16-bit sizes), 16 to
// 64 (OS/2 2.x, possibly cut short), 40, 52, 56, 108, 124 (Windows). A negative height means rows from the
// top down. Only masks give alpha: the fourth byte of other 32-bit pixels has no meaning.
#include <bit>
#include <optional>

#include "absl/strings/str_cat.h"
#include "worker/image/exif.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kDib = 14;

bool IsHeaderSize(uint32_t size) {
  return size == 12 || (size >= 16 && size <= 64 && size % 4 == 0) || size == 42 || size == 46 ||
         size == 108 || size == 124;
}

// What the header says of its samples. Reads `size` bytes of DIB header, and the masks behind it.
struct Header {
  uint32_t size = 0;
  uint16_t bits = 0;
  uint32_t compression = 0;
};

constexpr uint32_t kRgb = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kRle24 = 4, kAlphaBitFields = 6;

// OS/2 2.x, whose compressions 3 and 4 are others than those of Windows.
bool IsOs2(uint32_t size) { return size >= 16 && size <= 64 && size != 40 && size != 52 && size != 56; }

void SetPixel(uint8_t channels, bool alpha, std::optional<uint8_t> depth, ImageInfo& info) {
  info.channels = channels;
  info.bit_depth = depth;
  info.has_alpha = alpha;
  info.color_space = channels == 1 ? ColorSpace::kPalette : ColorSpace::kRgb;
}

// Where masks say which bits are which. Depths that differ (5, 6 and 5 bits) are no bit_depth.
void SetByMasks(Source& source, uint64_t masks, bool alpha_mask, ImageInfo& info) {
  int widths[4] = {};
  for (int i = 0; i < (alpha_mask ? 4 : 3); ++i) widths[i] = std::popcount(source.Le32(masks + 4 * i));
  const bool alpha = widths[3] > 0;
  const bool even = widths[0] == widths[1] && widths[1] == widths[2] && widths[0] > 0;
  SetPixel(alpha ? 4 : 3, alpha, even ? std::optional<uint8_t>(widths[0]) : std::nullopt, info);
}

// False: the masks' bytes [masks, masks + size) are needed first.
bool SetSamples(Source& source, const Header& header, uint64_t* masks, uint64_t* size, ImageInfo& info) {
  const bool os2 = IsOs2(header.size);
  const bool masked = !os2 && (header.compression == kBitFields || header.compression == kAlphaBitFields);
  if (masked && (header.bits == 16 || header.bits == 32)) {
    // Inside the header from version 2 on, else behind it.
    *masks = kDib + 40;
    const bool alpha_mask = header.size >= 56 || header.compression == kAlphaBitFields;
    *size = alpha_mask ? 16 : 12;
    if (!source.Has(*masks, *size)) return false;
    SetByMasks(source, *masks, alpha_mask, info);
    return true;
  }
  const bool plain = header.compression == kRgb || header.compression == kRle8 ||
                     header.compression == kRle4 || (os2 && header.compression == kRle24);
  if (!plain) return true;  // A JPEG or PNG inside, or a fax: the header does not tell.
  switch (header.bits) {
    case 1:
    case 2:
    case 4:
    case 8:
      SetPixel(1, false, static_cast<uint8_t>(header.bits), info);
      break;
    case 16:
      SetPixel(3, false, 5, info);
      break;
    case 24:
    case 32:  // The fourth byte has no meaning.
      SetPixel(3, false, 8, info);
      break;
  }
  return true;
}

// The resolution, and the colour profile of version 5.
void SetFromLongHeader(Source& source, uint32_t size, ImageInfo& info) {
  constexpr uint32_t kEmbedded = 0x4D424544;  // "MBED"
  // OS/2 leaves room for other units than pixels per metre, but has none.
  if (size >= 32) {
    info.dpi_x = ToDpi(static_cast<int32_t>(source.Le32(kDib + 24)), PerLength::kMetre);
    info.dpi_y = ToDpi(static_cast<int32_t>(source.Le32(kDib + 28)), PerLength::kMetre);
  }
  if (size == 124) info.has_icc = source.Le32(kDib + 56) == kEmbedded;
}

}  // namespace

ProbeResult ReadBmp(Source& source) {
  if (!source.Has(kDib, 4)) return source.Missing(Format::kBmp, kDib, 4, 16);
  const uint32_t size = source.Le32(kDib);
  if (!IsHeaderSize(size)) return NotAnImage("begins with BM, but no bitmap header follows");
  ImageInfo info;
  info.format = Format::kBmp;
  info.frames = 1;
  info.has_icc = false;
  if (!source.Has(kDib, size)) return source.Missing(Format::kBmp, kDib, size, size + 16);
  Header header;
  header.size = size;
  if (size == 12) {
    info.width = source.Le16(kDib + 4);
    info.height = source.Le16(kDib + 6);
    header.bits = source.Le16(kDib + 10);
  } else {
    const int64_t width = static_cast<int32_t>(source.Le32(kDib + 4));
    const int64_t height = static_cast<int32_t>(source.Le32(kDib + 8));
    if (width < 0) return Corrupt(Format::kBmp, absl::StrCat("BMP: a width of ", width));
    info.width = static_cast<uint32_t>(width);
    info.height = static_cast<uint32_t>(height < 0 ? -height : height);
    header.bits = source.Le16(kDib + 14);
    if (size >= 20) header.compression = source.Le32(kDib + 16);
    SetFromLongHeader(source, size, info);
  }
  uint64_t masks = 0, masks_size = 0;
  if (!SetSamples(source, header, &masks, &masks_size, info))
    return source.Missing(Format::kBmp, masks, masks_size);
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kBmp, "BMP: an image without area");
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
