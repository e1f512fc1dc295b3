// Small files that are large images.
#pragma once

#include <cstdint>
#include <string>

namespace imgfleet::decoder {

// A whole black PNG of one bit a pixel, bytes as few as zlib makes of them.
std::string BlackPng(uint32_t width, uint32_t height);
// A lossless WebP that says to have 16383 x 16383 pixels, all of them in 40 bytes.
std::string HugeWebp();
// A GIF with a screen and an image of 65535 x 65535.
std::string HugeGif();
// A JPEG header of a progressive image.
std::string HugeProgressiveJpeg();

// `file` with another size in its header: of an AVIF, HEIC, TIFF, JP2 or J2K of 200 x 150 pixels that is not turned.
std::string Enlarged(std::string file, uint16_t width, uint16_t height);

}  // namespace imgfleet::decoder
