// QOI: a header of 14 bytes.
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {

ProbeResult ReadQoi(Source& source) {
  if (!source.Has(0, 14)) return source.Missing(Format::kQoi, 0, 14);
  const uint8_t channels = source.U8(12);
  if ((channels != 3 && channels != 4) || source.U8(13) > 1) {
    return NotAnImage("begins with qoif, but no header of that format follows");
  }
  ImageInfo info;
  info.format = Format::kQoi;
  info.width = source.Be32(4);
  info.height = source.Be32(8);
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kQoi, "QOI: an image without area");
  info.frames = 1;
  info.bit_depth = 8;
  info.channels = channels;
  info.has_alpha = channels == 4;
  info.has_icc = false;
  info.color_space = ColorSpace::kRgb;
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
