// Files of testdata/ decode to what other decoders make of them: the expected values come from Pillow 13 (with
// pillow-heif and pillow-jxl-plugin), imagehash 4.3.2 and the Python package blurhash 1.1.5, over white where the image
// is transparent. All files hold the same picture; those named large have 1200 x 900 pixels, the others 200 x 150.
#include "decoder/codec.h"

#include <bit>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>

#include "decoder/facts.h"
#include "decoder/profile.h"
#include "decoder/server.h"
#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

std::string File(const std::string& name) {
  std::ifstream file("decoder/testdata/" + name, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  EXPECT_FALSE(bytes.empty()) << name;
  return bytes;
}

struct Reference {
  const char* file;
  Format format;
  uint8_t orientation;
  uint64_t phash;
  Colour average;
  const char* blurhash;
};

std::ostream& operator<<(std::ostream& out, const Reference& reference) { return out << reference.file; }

constexpr Reference kReferences[] = {
    {"animated.gif", Format::kGif, 1, 0xb84b8479c7b459a5, {116, 149, 165}, "LaGveeMgP97}8=-MNMaOLJBq+@+a"},
    {"animated.webp", Format::kWebp, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"cmyk.jpg", Format::kJpeg, 1, 0xb84b8479c7b05ba6, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"gray.jpg", Format::kJpeg, 1, 0xb84b8479c7b05ba6, {140, 140, 140}, "LMGu,m4n%Mxu00%MM{WB-;Rjj[Rj"},
    {"gray.png", Format::kPng, 1, 0xb84b8479c7b45ba4, {140, 140, 140}, "LMGu,m4n%Mxu00%MM{WB-;Rjj[Rj"},
    {"gray16.png", Format::kPng, 1, 0xb84b8479c7b45ba4, {140, 140, 140}, "LMGu,m4n%Mxu00%MM{WB-;Rjj[Rj"},
    {"half_transparent.avif",
     Format::kAvif,
     1,
     0xb913c439c7383bc6,
     {109, 122, 148},
     "L{ON5+01KPpci$aMf7fjKiOrr=v~"},
    {"half_transparent.jxl",
     Format::kJxl,
     1,
     0xb913c439c7383bc6,
     {110, 122, 149},
     "L{ON5,01KPl9i$aMf7fjKiOrr=v~"},
    {"half_transparent.png",
     Format::kPng,
     1,
     0xb913c439c7383bc6,
     {110, 122, 149},
     "L{ON5,01KPl9i$aMf7fjKiOrr=v~"},
    {"half_transparent.tif",
     Format::kTiff,
     1,
     0xb913c439c7383bc6,
     {110, 122, 149},
     "L{ON5,01KPl9i$aMf7fjKiOrr=v~"},
    {"interlaced.gif", Format::kGif, 1, 0xb84b8479c7b459a5, {116, 149, 165}, "LaGveeMgP97}8=-MNMaOLJBq+@+a"},
    {"interlaced.png", Format::kPng, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"jpeg.tif", Format::kTiff, 1, 0xb84b8479c7b05ba6, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"large.avif", Format::kAvif, 1, 0xb84b8479c7b459a6, {114, 149, 164}, "LcGl|?MgP97}8=-NNMagK~BX+t+a"},
    {"large.jpg", Format::kJpeg, 1, 0xb84b8479c7b45ba4, {116, 148, 166}, "LbG,06MgP97}8=-NNMagL0Bq+t+a"},
    {"large.webp", Format::kWebp, 1, 0xb84b8479c7b459a6, {114, 148, 165}, "LcGl|@MgP97}8=-NNMagK~BX+t+a"},
    {"lossless.j2k", Format::kJ2k, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"lossless.jxl", Format::kJxl, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"lossless.webp", Format::kWebp, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"lossy.webp", Format::kWebp, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGl|?MgP97}8=-MNMahL0Bq+t+a"},
    {"palette.png", Format::kPng, 1, 0xb84b8479c7b459a5, {116, 149, 165}, "LaGveeMgP97}8=-MNMaOLJBq+@+a"},
    {"plain.gif", Format::kGif, 1, 0xb84b8479c7b459a5, {116, 149, 165}, "LaGveeMgP97}8=-MNMaOLJBq+@+a"},
    {"progressive.jpg",
     Format::kJpeg,
     1,
     0xb84b8479c7b05ba6,
     {115, 148, 165},
     "LbGccOMgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.avif", Format::kAvif, 1, 0xb84b8479c7b45ba4, {114, 149, 164}, "LbGccNMgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.heic", Format::kHeic, 1, 0xb84b8479c7b05ba6, {115, 148, 165}, "LbGl|@MgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.jp2", Format::kJp2, 1, 0xb84b8479c7b459a6, {115, 148, 165}, "LbGvbXMgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.jpg", Format::kJpeg, 1, 0xb84b8479c7b05ba6, {115, 148, 165}, "LbGccOMgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.jxl", Format::kJxl, 1, 0xb84b8479c7b45ba4, {115, 148, 164}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"rgb.png", Format::kPng, 1, 0xb84b8479c7b45ba4, {115, 148, 165}, "LbGveeMgP97}8=-MNMahL0Bq+t+a"},
    {"turned.heic", Format::kHeic, 1, 0xf80fc0c3877c1e0f, {115, 148, 165}, "LcGl|@?$LIx.MgETBXOFP9xU+tn$"},
    {"turned.jpg", Format::kJpeg, 6, 0xf80fc0c3877c1e0f, {115, 148, 165}, "LcGccO?$LIx.MgETBXOFP9xU+tn$"},
};

class ReferenceTest : public testing::TestWithParam<Reference> {};

TEST_P(ReferenceTest, IsMet) {
  const Reference& reference = GetParam();
  const std::string file = File(reference.file);
  const Answer answer =
      AnswerTo({reference.format, reference.orientation, file.size()}, file, DecodeLimits());
  ASSERT_EQ(answer.status, AnswerStatus::kOk) << answer.text;
  // Lossy formats leave their decoders some freedom, and so does scaling.
  EXPECT_LE(std::popcount(answer.facts.phash ^ reference.phash), 4) << std::hex << answer.facts.phash;
  ASSERT_TRUE(answer.facts.average.has_value());
  for (int i = 0; i < 3; ++i) EXPECT_NEAR((*answer.facts.average)[i], reference.average[i], 1);
  const std::string& blurhash = answer.facts.blurhash;
  ASSERT_EQ(blurhash.size(), 28u);
  int others = 0;
  for (size_t i = 0; i < blurhash.size(); ++i) others += blurhash[i] != reference.blurhash[i];
  EXPECT_LE(others, 7) << blurhash << " for " << reference.blurhash;
}

TEST_P(ReferenceTest, EndsEarlyWhereItsFileDoes) {
  const std::string whole = File(GetParam().file);
  const bool animated = std::string(GetParam().file).rfind("animated", 0) == 0;
  // Of an animation the first frame is over before the file's middle.
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{30}, whole.size() / 4, whole.size() / 2, whole.size() * 3 / 4}) {
    if (animated && size > whole.size() / 4) break;
    const absl::StatusOr<Decoded> decoded =
        Decode(GetParam().format, absl::string_view(whole).substr(0, size), DecodeLimits());
    EXPECT_TRUE(absl::IsOutOfRange(decoded.status()) || absl::IsDataLoss(decoded.status()))
        << size << " of " << whole.size() << ": " << decoded.status();
  }
}

TEST_P(ReferenceTest, IsRefusedWhereItsPixelsAreTooMany) {
  DecodeLimits few;
  few.pixels = 200 * 150 - 1;
  EXPECT_TRUE(absl::IsResourceExhausted(Decode(GetParam().format, File(GetParam().file), few).status()));
  DecodeLimits little;
  little.bytes = 20'000;
  EXPECT_TRUE(absl::IsResourceExhausted(Decode(GetParam().format, File(GetParam().file), little).status()));
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceTest, testing::ValuesIn(kReferences));

TEST(DecodeTest, OfAnIccProfileTheColoursAreSrgb) {
  // Display P3; the expected colour was computed from its primaries and sRGB's curve.
  Raster raster;
  raster.width = raster.height = 1;
  raster.cells = {{200, 100, 50, 77}};
  raster.weights = {1};
  Raster plain = raster;
  ToSrgb("no profile", &plain);
  EXPECT_EQ(plain.cells[0].red, 200);
  ToSrgb(File("p3.icc"), &raster);
  EXPECT_NEAR(raster.cells[0].red, 215, 1);
  EXPECT_NEAR(raster.cells[0].green, 93, 1);
  EXPECT_NEAR(raster.cells[0].blue, 31, 1);
  EXPECT_EQ(raster.cells[0].alpha, 77);
}

// Two components in scans of their own: all coefficients have to be held, as of a progressive image.
TEST(DecodeTest, AJpegInSeveralScansIsBoundedLikeAProgressiveOne) {
  const std::string file(
      "\xff\xd8\xff\xc0\0\x11\x08\x3e\x80\x3e\x80\3\1\x11\0\2\x11\0\3\x11\0"
      "\xff\xda\0\x08\1\1\0\0\x3f\0pixels",
      2 + 19 + 10 + 6);
  const absl::Status status = Decode(Format::kJpeg, file, DecodeLimits()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

// The clean aperture is of 10 x 12 pixels, whatever was coded.
TEST(DecodeTest, WhatIsCroppedAwayCountsAsWell) {
  std::string file = File("cropped.heic");
  EXPECT_TRUE(Decode(Format::kHeic, file, DecodeLimits()).ok());
  const size_t sides = file.find("ispe") + 8;
  file.replace(sides, 8, std::string("\0\0\x3e\x80\0\0\x3e\x80", 8));
  const absl::Status status = Decode(Format::kHeic, file, DecodeLimits()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

TEST(DecodeTest, BytesThatAreAnotherFormatAreDamagedNotDeadly) {
  for (const Reference& file : kReferences) {
    for (const Reference& format : kReferences) {
      if (file.format == format.format) continue;
      const absl::StatusOr<Decoded> decoded = Decode(format.format, File(file.file), DecodeLimits());
      // HEIC's library reads AVIF too.
      EXPECT_TRUE(!decoded.ok() || format.format == Format::kHeic) << file.file << " as " << format.file;
    }
  }
}

}  // namespace
}  // namespace imgfleet::decoder
