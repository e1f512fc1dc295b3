// BlurHash as published; what its Algorithm.md calls factors are factors here.
#include <algorithm>
#include <cmath>
#include <vector>

#include "decoder/facts.h"

namespace imgfleet::decoder {
namespace {

using Linear = std::array<double, 3>;

void AppendBase83(int value, int digits, std::string* text) {
  std::string written(digits, '0');
  for (int i = digits; i-- > 0; value /= 83) written[i] = kBase83[value % 83];
  text->append(written);
}

const std::array<double, 256>& ToLinear() {
  static const std::array<double, 256> table = [] {
    std::array<double, 256> made;
    for (int i = 0; i < 256; ++i) {
      const double v = i / 255.0;
      made[i] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
    }
    return made;
  }();
  return table;
}

int ToSrgb(double linear) {
  const double v = std::clamp(linear, 0.0, 1.0);
  return static_cast<int>(v <= 0.0031308 ? v * 12.92 * 255 + 0.5
                                         : (1.055 * std::pow(v, 1 / 2.4) - 0.055) * 255 + 0.5);
}

// Cosines of `count` waves over `length` samples, wave by wave.
std::vector<double> Waves(int count, uint32_t length) {
  std::vector<double> waves;
  waves.reserve(size_t{length} * count);
  for (int k = 0; k < count; ++k) {
    for (uint32_t i = 0; i < length; ++i) waves.push_back(std::cos(M_PI * k * i / length));
  }
  return waves;
}

// factors[j * columns + i]: the picture's share in wave i across times wave j down.
std::vector<Linear> Factors(const Raster& raster, int columns, int rows) {
  const std::vector<double> across = Waves(columns, raster.width), down = Waves(rows, raster.height);
  std::vector<Linear> factors(size_t(columns) * rows, Linear{});
  std::vector<Linear> line(raster.width);
  for (uint32_t y = 0; y < raster.height; ++y) {
    for (uint32_t x = 0; x < raster.width; ++x) {
      const Colour seen = OverWhite(raster.cells[size_t{y} * raster.width + x]);
      for (int c = 0; c < 3; ++c) line[x][c] = ToLinear()[seen[c]];
    }
    for (int i = 0; i < columns; ++i) {
      Linear sum{};
      const double* wave = &across[size_t(i) * raster.width];
      for (uint32_t x = 0; x < raster.width; ++x) {
        for (int c = 0; c < 3; ++c) sum[c] += wave[x] * line[x][c];
      }
      for (int j = 0; j < rows; ++j) {
        const double by = down[size_t(j) * raster.height + y];
        for (int c = 0; c < 3; ++c) factors[size_t(j) * columns + i][c] += by * sum[c];
      }
    }
  }
  for (size_t k = 0; k < factors.size(); ++k) {
    const double scale = (k == 0 ? 1.0 : 2.0) / (double(raster.width) * raster.height);
    for (double& value : factors[k]) value *= scale;
  }
  return factors;
}

int Quantised(double share) {
  const double root = std::copysign(std::sqrt(std::abs(share)), share);
  return static_cast<int>(std::clamp(std::floor(root * 9 + 9.5), 0.0, 18.0));
}

}  // namespace

std::string BlurHash(const Raster& raster, int columns, int rows) {
  const std::vector<Linear> factors = Factors(raster, columns, rows);
  std::string hash;
  AppendBase83(columns - 1 + (rows - 1) * 9, 1, &hash);
  double maximum = 0;
  for (size_t k = 1; k < factors.size(); ++k) {
    for (const double value : factors[k]) maximum = std::max(maximum, std::abs(value));
  }
  const int quantised = static_cast<int>(std::clamp(std::floor(maximum * 166 - 0.5), 0.0, 82.0));
  maximum = (quantised + 1) / 166.0;
  AppendBase83(factors.size() > 1 ? quantised : 0, 1, &hash);
  AppendBase83(ToSrgb(factors[0][0]) << 16 | ToSrgb(factors[0][1]) << 8 | ToSrgb(factors[0][2]), 4, &hash);
  for (size_t k = 1; k < factors.size(); ++k) {
    const Linear& factor = factors[k];
    AppendBase83(Quantised(factor[0] / maximum) * 19 * 19 + Quantised(factor[1] / maximum) * 19 +
                     Quantised(factor[2] / maximum),
                 2, &hash);
  }
  return hash;
}

}  // namespace imgfleet::decoder
