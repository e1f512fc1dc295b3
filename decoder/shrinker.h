// Shrinks an image to a Raster while it is being decoded, pixel by pixel in any order: what is kept in memory is the
// raster's, never the image's.
#pragma once

#include <cstdint>
#include <vector>

#include "decoder/raster.h"

namespace imgfleet::decoder {

// Not thread-safe.
class Shrinker {
 public:
  // The sides of the image, both at least 1.
  Shrinker(uint32_t width, uint32_t height);

  // How the samples of a pixel lie in memory; alpha is not premultiplied.
  enum class Layout : uint8_t { kGray = 1, kGrayAlpha = 2, kRgb = 3, kRgba = 4 };

  // `count` pixels of row `y`, at `x`, `x + step`, `x + 2 * step`, ... What lies outside of the image is not counted.
  void Add(const uint8_t* pixels, Layout layout, uint32_t y, uint32_t count, uint32_t x = 0,
           uint32_t step = 1);

  // Pixels added twice count twice, pixels never added not at all: it is for the decoder to know that all came.
  Raster Finish() const;

 private:
  struct Sum {
    uint64_t red = 0, green = 0, blue = 0, alpha = 0;  // Colours times alpha.
    uint64_t pixels = 0;
  };
  template <int kSamples>
  void AddRow(const uint8_t* pixels, Sum* row, uint32_t count, uint32_t x, uint32_t step);

  const uint32_t width_, height_;
  const uint32_t cell_;  // Pixels a side.
  const uint32_t columns_, rows_;
  std::vector<Sum> sums_;
};

}  // namespace imgfleet::decoder
