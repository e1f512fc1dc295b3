#include "decoder/raster.h"

#include <cstddef>
#include <utility>

namespace imgfleet::decoder {

Raster Oriented(Raster raster, uint32_t orientation) {
  if (orientation < 2 || orientation > 8) return raster;
  // 5 to 8 swap the sides; where a cell comes from is told by which of the stored axes run backwards.
  const bool swapped = orientation >= 5;
  const bool x_backwards = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool y_backwards = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Raster shown;
  shown.width = swapped ? raster.height : raster.width;
  shown.height = swapped ? raster.width : raster.height;
  shown.cells.reserve(raster.cells.size());
  shown.weights.reserve(raster.weights.size());
  for (uint32_t y = 0; y < shown.height; ++y) {
    for (uint32_t x = 0; x < shown.width; ++x) {
      uint32_t from_x = swapped ? y : x, from_y = swapped ? x : y;
      if (x_backwards) from_x = raster.width - 1 - from_x;
      if (y_backwards) from_y = raster.height - 1 - from_y;
      const size_t from = size_t{from_y} * raster.width + from_x;
      shown.cells.push_back(raster.cells[from]);
      shown.weights.push_back(raster.weights[from]);
    }
  }
  return shown;
}

}  // namespace imgfleet::decoder
