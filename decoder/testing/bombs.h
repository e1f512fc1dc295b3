// Small files that are large images.
#pragma once

#include <cstdint>
#include <string>

namespace imgfleet::decoder {

// A whole black PNG of one bit a pixel, bytes as few as zlib makes of them.
std::string BlackPng(uint32_t width, uint32_t height);
// A lossless WebP of side x side pixels, all of them in 40 bytes.
std::string HugeWebp(uint32_t side = 16383);
// A GIF with a screen and an image of side x side, and the first few pixels.
std::string HugeGif(uint32_t side = 65535);
// A JPEG header of a progressive image of side x side.
std::string HugeProgressiveJpeg(uint32_t side = 16000);
// A whole black TIFF of side x side RGB pixels, deflated in one strip.
std::string BlackTiff(uint32_t side);
// The header of a JPEG XL codestream of side x side pixels, and zeros for a frame.
std::string HugeJxl(uint32_t side);

// `file` with another size in its header: of an AVIF, HEIC, TIFF, JP2 or J2K of 200 x 150 pixels that is not turned.
std::string Enlarged(std::string file, uint16_t width, uint16_t height);

}  // namespace imgfleet::decoder
