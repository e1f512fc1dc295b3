// What is refused, and why, of the formats of codestream_samples.cc and plain_samples.cc; and how little of them is
// fetched.
#include <gtest/gtest.h>

#include "worker/image/fetching.h"
#include "worker/image/samples.h"

namespace imgfleet::image {
namespace {

ProbeResult ProbeWhole(const std::string& file) {
  Bytes bytes;
  bytes.prefix = file;
  bytes.total = file.size();
  return Probe(bytes);
}

struct Case {
  const char* name;
  std::string file;
};
template <size_t kSize>
std::string Raw(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}
// Behind every header, so that none of them is merely cut.
const std::string& Rest() {
  static const std::string kRest(256, '\0');
  return kRest;
}
std::string Boxes(const std::string& kind, const std::string& boxes) {
  return IsoBox(kind, "\r\n\x87\n") + IsoBox("ftyp", kind + Be32(0)) + boxes;
}

TEST(Formats, HeadersThatContradictThemselvesAreCorrupt) {
  const std::string ihdr = IsoBox("ihdr", Be32(4) + Be32(3) + Be16(3) + Raw("\7\7\0\0"));
  std::string grid = J2k(9, 9, 0, 0, {7});
  grid[8 + 16 + 3] = 0;  // Tiles 0 wide.
  std::string lengths = J2k(9, 9, 0, 0, {7});
  lengths[5] = 9;
  const Case kFiles[] = {
      {"JXL: an unknown colour space", Raw("\xff\x0a") + Raw("\x41\x40\xf0\x0f") + Rest()},
      {"JXL: no codestream in its box", Boxes("JXL ", IsoBox("jxlc", "no codestream here"))},
      {"JXL: a codestream that breaks off", Boxes("JXL ", IsoBox("jxlc", Raw("\xff\x0a\x00")) + Rest())},
      {"JXL: a piece behind the last", Boxes("JXL ", IsoBox("jxlp", Be32(0x80000000) + "\xff\x0a") +
                                                         IsoBox("jxlp", Be32(0x80000001) + "\x41\2"))},
      {"JXL: pieces out of order",
       Boxes("JXL ", IsoBox("jxlp", Be32(1) + "\xff\x0a") + IsoBox("jxlp", Be32(0) + "\x41\2"))},
      {"JXL: a piece without a number", Boxes("JXL ", IsoBox("jxlp", "\1\2") + Rest())},
      {"JXL: a box smaller than its header", Boxes("JXL ", Be32(7) + "jxlc" + Rest())},
      {"JXL: nothing can follow a box to the end", Boxes("JXL ", Be32(0) + "free" + Rest())},
      {"J2K: an offset beyond the grid", J2k(640, 480, 640, 0, {7})},
      {"J2K: tiles without area", grid},
      {"J2K: a length that does not fit the components", lengths},
      {"J2K: no components", J2k(640, 480, 0, 0, {})},
      {"JP2: a header without the image's", Boxes("jP  ", IsoBox("jp2h", IsoBox("free", "")) + Rest())},
      {"JP2: no area", Boxes("jP  ", IsoBox("jp2h", IsoBox("ihdr", std::string(14, '\0'))) + Rest())},
      {"JP2: depths of other components",
       Boxes("jP  ", IsoBox("jp2h", ihdr + IsoBox("bpcc", "\7\7")) + Rest())},
      {"JP2: a box beyond the header", Boxes("jP  ", IsoBox("jp2h", ihdr + Be32(900) + "colr") + Rest())},
      {"JP2: nothing can follow a box to the end", Boxes("jP  ", Be32(0) + "free" + Rest())},
      {"JP2: channels that break off",
       Boxes("jP  ", IsoBox("jp2h", ihdr + IsoBox("cdef", Be16(65535))) + Rest())},
      {"PSD: 0 channels", Psd(1, 0, 8, 3, "", "", Rest())},
      {"PSD: 7 bits", Psd(1, 3, 7, 3, "", "", Rest())},
      {"PSD: wider than any",
       "8BPS" + Be16(2) + std::string(6, '\0') + Be16(3) + Be32(4) + Be32(300001) + Rest()},
      {"QOI: no area", Qoi(0, 3, 3)},
      {"DDS: no area", "DDS " + Le32(124) + Rest()},
      {"ICNS: an entry beyond the end", "icns" + Be32(50) + "ic04" + Be32(9) + ".ic04" + Be32(100) + Rest()},
      {"ICNS: an entry smaller than its header",
       "icns" + Be32(29) + "ic05" + Be32(9) + ".ic04" + Be32(4) + Be32(8) + Rest()},
      {"ICNS: without end", Icns(std::vector<IcnsEntry>(600, {"ic04", 0}), false)},
      {"Netpbm: height 0", "P6\n24 0\n255\n" + Rest()},
      {"Netpbm: more than any", "P6\n24 99999999999999999999\n255\n" + Rest()},
      {"Netpbm: a negative height", "P6\n24 -7\n255\n" + Rest()},
      {"Netpbm: samples of 17 bits", "P5\n24 7\n65536\n" + Rest()},
      {"Netpbm: no scale", "PF\n24 7\n0.0\n" + Rest()},
      {"PAM: no depth", "P7\nWIDTH 3\nHEIGHT 3\nMAXVAL 3\nENDHDR\n" + Rest()},
      {"PAM: a width that is none", "P7\nWIDTH x\n" + Rest()},
      {"PAM: an unknown line", "P7\nWIDTH 3\nWEIGHT 3\n" + Rest()},
      {"HDR: no size", "#?RADIANCE\n\npixels\n" + Rest()},
      {"HDR: one axis twice", "#?RADIANCE\n\n-Y 3 +Y 4\n" + Rest()},
      {"HDR: size 0", "#?RADIANCE\n\n-Y 0 +X 4\n" + Rest()},
      {"HDR: a header without end", "#?RADIANCE\n" + std::string(70000, 'x')},
  };
  for (const Case& c : kFiles) {
    const ProbeResult result = ProbeWhole(c.file);
    EXPECT_EQ(result.status, ProbeStatus::kCorrupt) << c.name << ": " << Describe(result);
    EXPECT_FALSE(result.message.empty()) << c.name;
  }
}

TEST(Formats, WhatOnlyBeginsLikeOneIsNoImage) {
  const Case kFiles[] = {
      {"QOI", "qoif is the first word of a text"},
      {"DDS", "DDS is a degree in dentistry." + std::string(120, '.')},
      {"ICNS", "icns files hold the icons of a Mac"},
      {"Netpbm", "P1 is the first of six parts of a plan"},
      {"Netpbm, commented", "P3 # all of this is one comment\n and this is not"},
      {"PAM", "P7 ought to be alone on its line\n"},
      {"PAM, no header", "P7\nand then something else\n"},
      {"PCX, corners", Raw("\x0a\5\1\x08\x10\0\0\0\0\0\0\0") + Rest()},
      {"PCX, short lines", Raw("\x0a\5\1\x08\0\0\0\0\x10\0\0\0") + std::string(53, '\0') + "\1" + Rest()},
      {"TGA, 7 bits", Raw("\0\0\2\0\0\0\0\0\0\0\0\0") + Le16(20) + Le16(30) + Raw("\7\0") + Rest()},
      {"TGA, no area", Raw("\0\0\2\0\0\0\0\0\0\0\0\0") + Le16(20) + Le16(0) + Raw("\x18\0") + Rest()},
      {"TGA, a palette image without palette",
       Raw("\0\0\1\0\0\0\0\0\0\0\0\0") + Le16(20) + Le16(30) + Raw("\x08\0") + Rest()},
  };
  for (const Case& c : kFiles) {
    const ProbeResult result = ProbeWhole(c.file);
    EXPECT_EQ(result.status, ProbeStatus::kNotAnImage) << c.name << ": " << Describe(result);
  }
}

TEST(Formats, VariantsThatAreNotMeasuredAnswerByName) {
  const Case kFiles[] = {
      {"Photoshop (PSD) of version 3", Psd(3, 3, 8, 3, "", "", "")},
      {"Motion JPEG 2000", IsoBox("jP  ", "\r\n\x87\n") + IsoBox("ftyp", "mjp2" + Be32(0)) + Rest()},
      {"JPEG 2000 compound document (JPM)",
       IsoBox("jP  ", "\r\n\x87\n") + IsoBox("ftyp", "jpm " + Be32(0)) + Rest()},
      {"ICNS without an icon of a known type", Icns({{"name", 4}, {"s8mk", 256}}, false)},
  };
  for (const Case& c : kFiles) {
    const ProbeResult result = ProbeWhole(c.file);
    EXPECT_EQ(result.status, ProbeStatus::kUnsupported) << c.name << ": " << Describe(result);
    EXPECT_EQ(result.message, c.name);
  }
}

// A number whose last digit is the last byte at hand may go on.
TEST(Formats, ANumberAtTheEndOfWhatIsAtHandIsNone) {
  for (const char* text : {"P5 24 7 25", "P6\n24 7 255", "Pf 2 3 -1.", "P1 24 7", "#?RGBE\n\n-Y 3 +X 4",
                           "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\nENDHDR"}) {
    EXPECT_EQ(ProbeWhole(text).status, ProbeStatus::kTruncated) << text;
  }
}

TEST(Formats, BoxesBeforeTheHeaderAreJumpedOver) {
  int far = 0;
  for (const Sample& sample : AllSamples()) {
    const Format format = sample.expected.format;
    if ((format != Format::kJp2 && format != Format::kJxl) || sample.bytes.size() < 50000) continue;
    EXPECT_LT(FetchAndProbe(sample.bytes, 4096, 1024).bytes, 8192u) << sample.name;
    ++far;
  }
  EXPECT_GE(far, 3);
}

}  // namespace
}  // namespace imgfleet::image
