#include "decoder/shrinker.h"

#include <algorithm>

namespace imgfleet::decoder {
namespace {

// Of so many pixels the sums of colours times alpha fit 32 bits.
constexpr uint32_t kMostAtOnce = 1 << 16;
static_assert(uint64_t{kMostAtOnce} * 255 * 255 < uint64_t{1} << 32);

uint32_t Parts(uint32_t whole, uint32_t part) { return whole / part + (whole % part != 0); }

}  // namespace

Shrinker::Shrinker(uint32_t width, uint32_t height)
    : width_(width),
      height_(height),
      cell_(Parts(std::max(width, height), Raster::kMaxSide)),
      columns_(Parts(width, cell_)),
      rows_(Parts(height, cell_)),
      sums_(size_t{columns_} * rows_) {}

template <int kSamples>
void Shrinker::AddRow(const uint8_t* pixels, Sum* row, uint32_t count, uint32_t x, uint32_t step) {
  constexpr bool kColour = kSamples >= 3, kAlpha = kSamples % 2 == 0;
  for (uint32_t done = 0; done < count;) {
    // As many as lie in one cell.
    const uint32_t at = x + done * step;
    const uint32_t left = (at / cell_ + 1) * cell_ - at;
    const uint32_t run = std::min({count - done, Parts(left, step), kMostAtOnce});
    uint32_t red = 0, green = 0, blue = 0, alpha = 0;
    for (uint32_t i = 0; i < run; ++i, pixels += kSamples) {
      const uint32_t opacity = kAlpha ? pixels[kSamples - 1] : 1;
      red += pixels[0] * opacity;
      if (kColour) {
        green += pixels[1] * opacity;
        blue += pixels[2] * opacity;
      }
      alpha += opacity;
    }
    Sum& sum = row[at / cell_];
    const uint64_t by = kAlpha ? 1 : 255;
    sum.red += by * red;
    sum.green += by * (kColour ? green : red);
    sum.blue += by * (kColour ? blue : red);
    sum.alpha += by * alpha;
    sum.pixels += run;
    done += run;
  }
}

void Shrinker::Add(const uint8_t* pixels, Layout layout, uint32_t y, uint32_t count, uint32_t x,
                   uint32_t step) {
  if (y >= height_ || x >= width_) return;
  count = std::min(count, Parts(width_ - x, step));
  Sum* const row = &sums_[size_t{y / cell_} * columns_];
  switch (layout) {
    case Layout::kGray:
      return AddRow<1>(pixels, row, count, x, step);
    case Layout::kGrayAlpha:
      return AddRow<2>(pixels, row, count, x, step);
    case Layout::kRgb:
      return AddRow<3>(pixels, row, count, x, step);
    case Layout::kRgba:
      return AddRow<4>(pixels, row, count, x, step);
  }
}

Raster Shrinker::Finish() const {
  Raster raster;
  raster.width = columns_;
  raster.height = rows_;
  raster.cells.reserve(sums_.size());
  raster.weights.reserve(sums_.size());
  const auto mean = [](uint64_t sum, uint64_t weight) {
    return static_cast<uint8_t>(weight == 0 ? 0 : (sum + weight / 2) / weight);
  };
  for (const Sum& sum : sums_) {
    raster.cells.push_back({mean(sum.red, sum.alpha), mean(sum.green, sum.alpha), mean(sum.blue, sum.alpha),
                            mean(sum.alpha, sum.pixels)});
    raster.weights.push_back(static_cast<double>(sum.alpha) / 255);
  }
  return raster;
}

}  // namespace imgfleet::decoder
