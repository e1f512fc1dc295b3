// A small picture of an image: what facts are taken from. At most kMaxSide cells a side, however large the image was;
// each cell is the mean of the same number of its pixels (fewer at the right and lower edge).
#pragma once

#include <cstdint>
#include <vector>

namespace imgfleet::decoder {

struct Cell {
  uint8_t red = 0, green = 0, blue = 0;  // The mean of the cell's pixels, each weighed by its opacity.
  uint8_t alpha = 0;                     // Their mean opacity.
};

struct Raster {
  static constexpr uint32_t kMaxSide = 256;

  uint32_t width = 0, height = 0;
  // Row by row, width * height of them.
  std::vector<Cell> cells;
  // The pixels of each cell, a half transparent one counted as a half: what the cell counts for in a mean.
  std::vector<double> weights;
};

// The raster as its EXIF orientation (1 to 8) says that it is shown.
Raster Oriented(Raster raster, uint32_t orientation);

}  // namespace imgfleet::decoder
