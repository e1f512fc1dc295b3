// The expected values were computed from the same pictures by independent implementations: imagehash 4.3.2
// (phash, on Pillow 13.0 and SciPy) and the Python package blurhash 1.1.5.
#include "decoder/facts.h"

#include <algorithm>
#include <bit>
#include <ostream>
#include <string>

#include "decoder/shrinker.h"
#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

using Layout = Shrinker::Layout;

Colour PixelOf(int kind, int x, int y, int w, int h) {
  const auto byte = [](int value) { return static_cast<uint8_t>(value); };
  switch (kind) {
    case 0:
      return {byte(x * 255 / std::max(w - 1, 1)), byte(y * 255 / std::max(h - 1, 1)),
              byte((x + y) * 255 / std::max(w + h - 2, 1))};
    case 1:
      return {byte(x * x / (y + 3) + x), byte(x * 7 + y * 3), byte(x * y / 5)};
    case 2: {
      const int across = x - w / 3, down = y - h / 2;
      if (across * across * 2 + down * down < w * h / 12) return {230, 40, 60};
      return {byte(20 + x * 100 / w), byte(120 + y * 100 / h), 200};
    }
    default:
      return (x * 8 / w + y * 6 / h) % 2 ? Colour{255, 255, 255} : Colour{0, 30, 90};
  }
}

Raster Picture(int kind, int w, int h) {
  Shrinker shrinker(w, h);
  for (int y = 0; y < h; ++y) {
    std::string row;
    for (int x = 0; x < w; ++x) {
      for (const uint8_t sample : PixelOf(kind, x, y, w, h)) row.push_back(static_cast<char>(sample));
    }
    shrinker.Add(reinterpret_cast<const uint8_t*>(row.data()), Layout::kRgb, y, w);
  }
  return shrinker.Finish();
}

Raster Filled(uint32_t width, uint32_t height, const std::vector<Cell>& cells) {
  Shrinker shrinker(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const Cell& cell = cells[(y * width + x) % cells.size()];
      const uint8_t pixel[] = {cell.red, cell.green, cell.blue, cell.alpha};
      shrinker.Add(pixel, Layout::kRgba, y, 1, x);
    }
  }
  return shrinker.Finish();
}

struct Reference {
  int kind, width, height;
  // None of ramps and chequers: nearly all of their frequencies are nought, and a bit of it says how it was rounded.
  std::optional<uint64_t> phash;
  Colour average;
  const char* blurhash;
};

std::ostream& operator<<(std::ostream& out, const Reference& reference) {
  return out << "picture " << reference.kind << " of " << reference.width << " x " << reference.height;
}

class ReferenceTest : public testing::TestWithParam<Reference> {};

TEST_P(ReferenceTest, IsMet) {
  const Raster raster = Picture(GetParam().kind, GetParam().width, GetParam().height);
  // Pillow filters in fixed point, this in doubles: what lies at the very median may fall to either side of it.
  const uint64_t hash = PerceptualHash(raster);
  EXPECT_LE(std::popcount(hash ^ GetParam().phash.value_or(hash)), 2) << std::hex << hash;
  EXPECT_EQ(AverageColour(raster), GetParam().average);
  EXPECT_EQ(BlurHash(raster), GetParam().blurhash);
}

INSTANTIATE_TEST_SUITE_P(
    All, ReferenceTest,
    testing::Values(
        Reference{0, 256, 192, std::nullopt, {128, 127, 127}, "L%HV9l2Q$8Sdhia%fPf8gefPfQfQ"},
        Reference{0, 64, 48, std::nullopt, {127, 127, 127}, "L$HVCs2Q$8Sdl?a%jtf8gefjfQfj"},
        Reference{0, 37, 200, std::nullopt, {127, 127, 127}, "L%HeqI2nwwX7hga$fRf6ggfjfQfk"},
        Reference{0, 5, 3, std::nullopt, {127, 127, 127}, "L+Ih{F7-Jh?G:GI:SLw4dFeZfSeV"},
        Reference{1, 256, 192, 0x84f338fe2802ff15, {111, 128, 123}, "LHF?a~1@2BAoxBskwvbEn|nhjrr?"},
        Reference{1, 64, 48, 0xa50e5849aaad5d57, {79, 131, 91}, "LSCI7_1ExlZ7+rNIM-q,iuxbN4p8"},
        Reference{1, 37, 200, 0x808f96c197b7e0ad, {27, 127, 108}, "LB4PpII%rAcM$YOin6a7wWMhmwgh"},
        Reference{1, 5, 3, 0xaf1f67e090e69819, {3, 17, 0}, "L00TKVQsVJt#tyVxV^ovizbHbGjG"},
        Reference{2, 256, 192, 0xb947c438c7383bc6, {102, 145, 174}, "LWEq5hz:Ga3rhqf%e;e;7}Kj#8+a"},
        Reference{2, 64, 48, 0xb947c438c7383bc6, {101, 145, 174}, "LWEgj^z:Ga3=hrbGe;e;7}GG#R+a"},
        Reference{2, 37, 200, 0xad48d23f2dc2d22d, {98, 148, 176}, "LcE4l#rrOskDdff7fQf73=Kiv~X8"},
        Reference{2, 5, 3, 0xbc47c7b83807c738, {73, 145, 191}, "LvAo?dtmnica$;sEjYbeRDR:W=nP"},
        Reference{3, 5, 3, std::nullopt, {102, 120, 156}, "L?Jko|~qD%01?b%MRjIUfQfQfQfQ"}));

TEST(PerceptualHashTest, AlikeImagesDifferInFewBits) {
  const uint64_t small = PerceptualHash(Picture(2, 200, 150));
  EXPECT_LE(std::popcount(small ^ PerceptualHash(Picture(2, 1600, 1200))), 6);
  EXPECT_GE(std::popcount(small ^ PerceptualHash(Picture(1, 200, 150))), 16);
  EXPECT_GE(std::popcount(small ^ PerceptualHash(Oriented(Picture(2, 200, 150), 3))), 16);
}

TEST(ColourTest, TransparentPixelsDoNotCount) {
  const Raster half = Filled(300, 300, {{200, 100, 0, 255}, {0, 0, 255, 0}});
  EXPECT_EQ(AverageColour(half), (Colour{200, 100, 0}));
  EXPECT_EQ(DominantColour(half), (Colour{200, 100, 0}));
  const Raster faint = Filled(2, 1, {{0, 0, 0, 255}, {255, 255, 255, 51}});
  EXPECT_EQ(AverageColour(faint), (Colour{43, 43, 43}));  // 255 * 0.2 / 1.2
  EXPECT_EQ(AverageColour(Filled(9, 9, {{1, 2, 3, 0}})), std::nullopt);
  EXPECT_EQ(DominantColour(Filled(9, 9, {{1, 2, 3, 0}})), std::nullopt);
}

TEST(ColourTest, TheMeanIsThatOfAllPixelsWhateverTheCells) {
  // 257 columns make cells of two, the last of one: it must not count twice.
  Shrinker shrinker(257, 1);
  const std::string black(256, '\0'), white(1, '\xff');
  shrinker.Add(reinterpret_cast<const uint8_t*>(black.data()), Layout::kGray, 0, 256);
  shrinker.Add(reinterpret_cast<const uint8_t*>(white.data()), Layout::kGray, 0, 1, 256);
  const Raster raster = shrinker.Finish();
  EXPECT_EQ(raster.width, 129u);
  EXPECT_DOUBLE_EQ(raster.weights[0], 2);
  EXPECT_DOUBLE_EQ(raster.weights[128], 1);
  EXPECT_EQ(AverageColour(raster), (Colour{1, 1, 1}));  // 255 / 257
}

TEST(ColourTest, TheLargestGroupIsDominant) {
  EXPECT_EQ(
      DominantColour(Filled(
          5, 1,
          {{250, 0, 0, 255}, {0, 250, 0, 255}, {241, 2, 4, 255}, {0, 0, 0, 255}, {255, 255, 255, 255}})),
      (Colour{246, 1, 2}));
  // Of equals the darkest.
  EXPECT_EQ(DominantColour(Filled(2, 1, {{250, 0, 0, 255}, {0, 250, 0, 255}})), (Colour{0, 250, 0}));
}

TEST(ShrinkerTest, TakesPixelsInAnyOrder) {
  // Adam7's first two passes and the rest, against whole rows.
  const int w = 613, h = 40;
  Shrinker by_rows(w, h), by_steps(w, h);
  for (int y = 0; y < h; ++y) {
    std::string row;
    for (int x = 0; x < w; ++x) row.push_back(static_cast<char>(PixelOf(1, x, y, w, h)[0]));
    by_rows.Add(reinterpret_cast<const uint8_t*>(row.data()), Layout::kGray, y, w);
    for (int start = 0; start < 8; ++start) {
      std::string part;
      for (int x = start; x < w; x += 8) part.push_back(row[x]);
      by_steps.Add(reinterpret_cast<const uint8_t*>(part.data()), Layout::kGray, y, part.size(), start, 8);
    }
  }
  const Raster a = by_rows.Finish(), b = by_steps.Finish();
  ASSERT_EQ(a.cells.size(), b.cells.size());
  EXPECT_LE(std::max(a.width, a.height), Raster::kMaxSide);
  EXPECT_EQ(a.weights, b.weights);
  for (size_t i = 0; i < a.cells.size(); ++i) EXPECT_EQ(a.cells[i].red, b.cells[i].red) << i;
}

TEST(ShrinkerTest, LeavesOutWhatLiesOutside) {
  Shrinker shrinker(2, 2);
  const std::string row(64, '\xff');
  const auto* pixels = reinterpret_cast<const uint8_t*>(row.data());
  shrinker.Add(pixels, Layout::kRgba, 0, 16);
  shrinker.Add(pixels, Layout::kRgba, 2, 2);
  shrinker.Add(pixels, Layout::kRgba, 0xffffffff, 2);
  shrinker.Add(pixels, Layout::kRgba, 1, 16, 2);
  const Raster raster = shrinker.Finish();
  EXPECT_EQ(raster.weights, (std::vector<double>{1, 1, 0, 0}));
}

TEST(ShrinkerTest, LongRowsAreSummedWithoutOverflow) {
  const std::string row(4 * 300'000, '\xff');
  const auto* pixels = reinterpret_cast<const uint8_t*>(row.data());
  for (const Layout layout : {Layout::kGray, Layout::kGrayAlpha, Layout::kRgb, Layout::kRgba}) {
    Shrinker shrinker(100'000'000, 1);  // Cells of 390,625 pixels.
    shrinker.Add(pixels, layout, 0, 300'000);
    const Raster raster = shrinker.Finish();
    EXPECT_EQ(raster.cells[0].green, 255);
    EXPECT_EQ(raster.cells[0].alpha, 255);
    EXPECT_DOUBLE_EQ(raster.weights[0], 300'000);
  }
}

TEST(ShrinkerTest, BearsTheLongestSides) {
  Shrinker shrinker(0xffffffff, 1);
  const uint8_t pixel[] = {9, 9, 9};
  shrinker.Add(pixel, Layout::kRgb, 0, 1, 0xfffffffe);
  const Raster raster = shrinker.Finish();
  EXPECT_LE(raster.width, Raster::kMaxSide);
  EXPECT_EQ(raster.cells.back().red, 9);
}

TEST(OrientationTest, TurnsAsExifSays) {
  // 1 2 3     The corner that holds 1, and what stands to its right, as each orientation shows them.
  // 4 5 6
  const std::vector<Cell> cells = {{1, 0, 0, 255}, {2, 0, 0, 255}, {3, 0, 0, 255},
                                   {4, 0, 0, 255}, {5, 0, 0, 255}, {6, 0, 0, 255}};
  const auto rows = [&](uint32_t orientation) {
    const Raster shown = Oriented(Filled(3, 2, cells), orientation);
    std::string text;
    for (size_t i = 0; i < shown.cells.size(); ++i) {
      if (i > 0 && i % shown.width == 0) text += "/";
      text += static_cast<char>('0' + shown.cells[i].red);
    }
    return text;
  };
  EXPECT_EQ(rows(0), "123/456");
  EXPECT_EQ(rows(1), "123/456");
  EXPECT_EQ(rows(2), "321/654");
  EXPECT_EQ(rows(3), "654/321");
  EXPECT_EQ(rows(4), "456/123");
  EXPECT_EQ(rows(5), "14/25/36");
  EXPECT_EQ(rows(6), "41/52/63");
  EXPECT_EQ(rows(7), "63/52/41");
  EXPECT_EQ(rows(8), "36/25/14");
}

}  // namespace
}  // namespace imgfleet::decoder
