// What pixels tell of an image. Pure functions of a raster.
//
// Perceptual hash (phash): the DCT hash of Zauner's "Implementation and Benchmarking of Perceptual Image Hash
// Functions", as the Python package imagehash computes it (phash, hash_size 8, highfreq_factor 4). The raster over
// white becomes gray (Rec. 601 luma in Pillow's fixed point), 32 x 32 by a Lanczos filter of 3 lobes; of its
// unnormalised DCT-II the 8 x 8 lowest frequencies, the constant one among them, give one bit each, row by row from
// the highest bit on: whether they are above the median of the 64. Of images of at most 256 pixels a side it is
// imagehash's but for rounding; of larger ones a few bits may differ, since the raster is a step in between.
//
// Average colour: the mean of all pixels in sRGB, weighed by their opacity. Dominant colour: the cells are sorted into
// 16 x 16 x 16 boxes by the upper four bits of red, green and blue; of the heaviest box (of equals the darkest: least
// red, then green, then blue) the mean of its cells.
//
// BlurHash: the algorithm published at https://github.com/woltapp/blurhash, 4 x 3 components, of the raster over white.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "decoder/raster.h"

namespace imgfleet::decoder {

// What a BlurHash of 4 x 3 components is written in, and its length.
inline constexpr absl::string_view kBase83 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
inline constexpr size_t kBlurHashBytes = 28;

using Colour = std::array<uint8_t, 3>;  // Red, green, blue.

struct PixelFacts {
  uint64_t phash = 0;
  // Absent where every pixel is wholly transparent.
  std::optional<Colour> average, dominant;
  std::string blurhash;
};

// `raster` is not empty, and oriented as it is shown.
PixelFacts FactsOf(const Raster& raster);

// What FactsOf puts together.
uint64_t PerceptualHash(const Raster& raster);
std::optional<Colour> AverageColour(const Raster& raster);
std::optional<Colour> DominantColour(const Raster& raster);
std::string BlurHash(const Raster& raster, int columns = 4, int rows = 3);

// The cell's colour as it is seen on white.
inline Colour OverWhite(const Cell& cell) {
  if (cell.alpha == 255) return {cell.red, cell.green, cell.blue};
  const auto over = [&cell](uint8_t sample) {
    return static_cast<uint8_t>((sample * cell.alpha + 255 * (255 - cell.alpha) + 127) / 255);
  };
  return {over(cell.red), over(cell.green), over(cell.blue)};
}

}  // namespace imgfleet::decoder
