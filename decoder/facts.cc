#include "decoder/facts.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace imgfleet::decoder {
namespace {

constexpr uint32_t kGraySide = 32, kHashSide = 8;

// One sample of the result as a weighed sum of samples of the source.
struct Tap {
  uint32_t first;
  std::vector<double> weights;
};

double Lanczos(double x) {
  constexpr double kLobes = 3;
  if (std::abs(x) >= kLobes) return 0;
  if (x == 0) return 1;
  const double angle = M_PI * x;
  return kLobes * std::sin(angle) * std::sin(angle / kLobes) / (angle * angle);
}

// Pillow's resampling: where the source is larger the filter is stretched, so that every sample counts.
std::vector<Tap> Taps(uint32_t from, uint32_t to) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = 3 * stretch;
  std::vector<Tap> taps;
  for (uint32_t i = 0; i < to; ++i) {
    const double center = (i + 0.5) * scale;
    const auto first = static_cast<uint32_t>(std::max(center - support + 0.5, 0.0));
    const auto end = static_cast<uint32_t>(std::min(center + support + 0.5, static_cast<double>(from)));
    Tap tap{first, {}};
    double sum = 0;
    for (uint32_t x = first; x < end; ++x) {
      tap.weights.push_back(Lanczos((x - center + 0.5) / stretch));
      sum += tap.weights.back();
    }
    for (double& weight : tap.weights) weight /= sum;
    taps.push_back(std::move(tap));
  }
  return taps;
}

// Samples are rounded to whole ones after each direction, as Pillow rounds them.
double ToSample(double value) { return std::clamp(std::floor(value + 0.5), 0.0, 255.0); }

std::vector<double> GrayThumbnail(const Raster& raster) {
  std::vector<double> gray;
  gray.reserve(raster.cells.size());
  for (const Cell& cell : raster.cells) {
    const Colour seen = OverWhite(cell);
    gray.push_back((seen[0] * 19595u + seen[1] * 38470u + seen[2] * 7471u + 0x8000) >> 16);
  }
  std::vector<double> narrow(size_t{kGraySide} * raster.height);
  const std::vector<Tap> across = Taps(raster.width, kGraySide);
  for (uint32_t y = 0; y < raster.height; ++y) {
    for (uint32_t x = 0; x < kGraySide; ++x) {
      const double* from = &gray[size_t{y} * raster.width + across[x].first];
      double sum = 0;
      for (const double weight : across[x].weights) sum += weight * *from++;
      narrow[size_t{y} * kGraySide + x] = ToSample(sum);
    }
  }
  std::vector<double> small(kGraySide * kGraySide);
  const std::vector<Tap> down = Taps(raster.height, kGraySide);
  for (uint32_t y = 0; y < kGraySide; ++y) {
    for (uint32_t x = 0; x < kGraySide; ++x) {
      const double* from = &narrow[size_t{down[y].first} * kGraySide + x];
      double sum = 0;
      for (const double weight : down[y].weights) {
        sum += weight * *from;
        from += kGraySide;
      }
      small[y * kGraySide + x] = ToSample(sum);
    }
  }
  return small;
}

}  // namespace

uint64_t PerceptualHash(const Raster& raster) {
  const std::vector<double> gray = GrayThumbnail(raster);
  double cosine[kHashSide][kGraySide];
  for (uint32_t k = 0; k < kHashSide; ++k) {
    for (uint32_t n = 0; n < kGraySide; ++n)
      cosine[k][n] = 2 * std::cos(M_PI * k * (2 * n + 1) / (2 * kGraySide));
  }
  double columns[kHashSide][kGraySide] = {};  // Transformed down, one for each x.
  for (uint32_t k = 0; k < kHashSide; ++k) {
    for (uint32_t y = 0; y < kGraySide; ++y) {
      for (uint32_t x = 0; x < kGraySide; ++x) columns[k][x] += cosine[k][y] * gray[y * kGraySide + x];
    }
  }
  std::array<double, kHashSide * kHashSide> low{};
  for (uint32_t k = 0; k < kHashSide; ++k) {
    for (uint32_t l = 0; l < kHashSide; ++l) {
      for (uint32_t x = 0; x < kGraySide; ++x) low[k * kHashSide + l] += cosine[l][x] * columns[k][x];
    }
  }
  std::array<double, kHashSide* kHashSide> sorted = low;
  std::sort(sorted.begin(), sorted.end());
  const double median = (sorted[31] + sorted[32]) / 2;
  uint64_t hash = 0;
  for (const double value : low) hash = hash << 1 | (value > median);
  return hash;
}

namespace {

struct WeighedSum {
  double red = 0, green = 0, blue = 0, weight = 0;

  void Add(const Cell& cell, double by) {
    red += cell.red * by;
    green += cell.green * by;
    blue += cell.blue * by;
    weight += by;
  }
  Colour Mean() const {
    const auto mean = [this](double sum) { return static_cast<uint8_t>(std::lround(sum / weight)); };
    return {mean(red), mean(green), mean(blue)};
  }
};

}  // namespace

std::optional<Colour> AverageColour(const Raster& raster) {
  WeighedSum sum;
  for (size_t i = 0; i < raster.cells.size(); ++i) sum.Add(raster.cells[i], raster.weights[i]);
  if (sum.weight <= 0) return std::nullopt;
  return sum.Mean();
}

std::optional<Colour> DominantColour(const Raster& raster) {
  std::vector<WeighedSum> boxes(16 * 16 * 16);
  for (size_t i = 0; i < raster.cells.size(); ++i) {
    const Cell& cell = raster.cells[i];
    boxes[(cell.red >> 4) << 8 | (cell.green >> 4) << 4 | cell.blue >> 4].Add(cell, raster.weights[i]);
  }
  const auto heaviest =
      std::max_element(boxes.begin(), boxes.end(),
                       [](const WeighedSum& a, const WeighedSum& b) { return a.weight < b.weight; });
  if (heaviest->weight <= 0) return std::nullopt;
  return heaviest->Mean();
}

PixelFacts FactsOf(const Raster& raster) {
  PixelFacts facts;
  facts.phash = PerceptualHash(raster);
  facts.average = AverageColour(raster);
  facts.dominant = DominantColour(raster);
  facts.blurhash = BlurHash(raster);
  return facts;
}

}  // namespace imgfleet::decoder
