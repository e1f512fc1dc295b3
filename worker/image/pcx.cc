// PCX: a header of 128 bytes; the size is the distance of two corners.
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

// What `planes` of `bits` each make of a pixel; false for what no version of the format holds.
bool SetSamples(uint8_t bits, uint8_t planes, uint8_t version, bool grey, ImageInfo& info) {
  info.has_alpha = false;
  if (bits == 8 && (planes == 3 || planes == 4)) {
    info.channels = planes;
    info.bit_depth = 8;
    info.color_space = ColorSpace::kRgb;
    if (planes == 4) info.has_alpha = true;
    return true;
  }
  if (planes < 1 || planes > 4 || (bits == 8 && planes != 1)) return false;
  // Planes of fewer bits are the bits of one index.
  info.channels = 1;
  info.bit_depth = static_cast<uint8_t>(bits * planes);
  if (*info.bit_depth == 1 || grey) {
    info.color_space = ColorSpace::kGray;
  } else if (bits < 8 || version >= 5) {
    info.color_space =
        ColorSpace::kPalette;  // Of 256 colours it stands behind the pixels, from version 5 on.
  }
  return true;
}

}  // namespace

ProbeResult ReadPcx(Source& source) {
  constexpr uint64_t kHeader = 128;
  if (!source.Has(0, kHeader)) return source.Missing(Format::kPcx, 0, kHeader);
  ImageInfo info;
  info.format = Format::kPcx;
  const uint32_t left = source.Le16(4), top = source.Le16(6);
  const uint32_t right = source.Le16(8), bottom = source.Le16(10);
  const uint8_t bits = source.U8(3);
  const bool grey = source.Le16(68) == 2;
  if (right < left || bottom < top || !SetSamples(bits, source.U8(65), source.U8(1), grey, info)) {
    return NotAnImage("begins like PCX, but its header is none");
  }
  info.width = right - left + 1;
  info.height = bottom - top + 1;
  if (source.Le16(66) * 8u < info.width * bits) {
    return NotAnImage("begins like PCX, but its lines are shorter than its width");
  }
  info.frames = 1;
  info.has_icc = false;
  if (source.Le16(12) != 0 && source.Le16(14) != 0) {
    info.dpi_x = source.Le16(12);
    info.dpi_y = source.Le16(14);
  }
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
