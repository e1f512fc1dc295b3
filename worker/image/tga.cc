// TGA: a header of 18 bytes, which detection has found possible in every field. The footer of TGA 2 would tell more of
// the alpha channel, but it ends the file: it is not sought. The corner where the pixels begin (descriptor bits 4 and
// 5) is a matter of storing, not of showing, as in BMP.
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {

ProbeResult ReadTga(Source& source) {
  ImageInfo info;
  info.format = Format::kTga;
  info.width = source.Le16(12);
  info.height = source.Le16(14);
  info.frames = 1;
  info.has_icc = false;
  const uint8_t bits = source.U8(16);
  const uint8_t alpha_bits = source.U8(17) & 15;
  switch (source.U8(2) & 3) {
    case 1:
      info.color_space = ColorSpace::kPalette;
      info.channels = 1;
      info.bit_depth = bits;
      if (source.U8(7) != 32) info.has_alpha = false;
      break;
    case 2:
      info.color_space = ColorSpace::kRgb;
      info.bit_depth = bits < 24 ? 5 : 8;
      info.channels = bits == 32 || (bits == 16 && alpha_bits > 0) ? 4 : 3;
      // Programs that write a fourth channel and call it no alpha are as many as those that mean it.
      if (bits != 32 || alpha_bits > 0) info.has_alpha = info.channels == 4;
      break;
    default:
      info.color_space = ColorSpace::kGray;
      if (bits == 16 && alpha_bits == 0) break;  // One sample of 16 bits, or two of 8.
      info.channels = bits == 16 ? 2 : 1;
      info.bit_depth = bits == 1 ? 1 : 8;
      info.has_alpha = bits == 16;
  }
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
