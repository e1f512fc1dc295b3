#include "worker/image/completeness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/image/samples.h"

namespace imgfleet::image {
namespace {

std::optional<bool> Verdict(Format format, absl::string_view file, size_t piece = 1 << 20) {
  Completeness completeness(format);
  for (size_t at = 0; at < file.size(); at += piece) completeness.Add(file.substr(at, piece));
  return completeness.Finish();
}

std::string Show(std::optional<bool> verdict) { return !verdict ? "none" : *verdict ? "true" : "false"; }

std::string Zeros(size_t count) { return std::string(count, '\0'); }

// A file with all that its format announces, and perhaps more behind `end`.
struct Whole {
  std::string name;
  Format format;
  std::string bytes;
  size_t end = 0;  // 0: all of it.
};

std::string MpfJpeg(uint32_t first_bytes, uint32_t second_offset, uint32_t second_bytes) {
  // Little endian, one field of two entries behind the directory.
  std::string mpf =
      "II*" + Zeros(1) + Le32(8) + Le16(1) + Le16(0xb002) + Le16(7) + Le32(32) + Le32(26) + Le32(0);
  for (const auto& [size, offset] : {std::pair(first_bytes, 0u), std::pair(second_bytes, second_offset)}) {
    absl::StrAppend(&mpf, Le32(0), Le32(size), Le32(offset), Le32(0));
  }
  return Jpeg(JpegSegment(0xe2, "MPF" + Zeros(1) + mpf) + JpegFrame(0xc0, 4, 3));
}

std::vector<Whole> JpegFiles() {
  const std::string plain = Jpeg(JpegFrame(0xc0, 4, 3), "s\xff" + Zeros(1) + "c\xff\xd0" + "an\xff\xff");
  const std::string second = Jpeg(JpegFrame(0xc0, 2, 2));
  const std::string first = MpfJpeg(0, 0, 0);
  // Offsets count from the MPF's byte order mark: behind SOI, marker, length and "MPF\0".
  const uint32_t base = 2 + 2 + 2 + 4;
  const std::string mpo = MpfJpeg(first.size(), first.size() - base, second.size()) + second;
  return {
      {"jpeg", Format::kJpeg, plain},
      {"jpeg, more behind its end", Format::kJpeg, plain + "trailer\xff\xd9", plain.size()},
      {"jpeg, several images", Format::kJpeg, mpo},
      {"jpeg, another image's marker in a segment", Format::kJpeg,
       Jpeg(JpegSegment(0xe1, second) + JpegFrame(0xc0, 4, 3))},
      {"jpeg, ICC and MPF alike", Format::kJpeg,
       Jpeg(JpegSegment(0xe2, "MPx") + JpegSegment(0xe2, "") + JpegFrame(0xc0, 4, 3))},
  };
}

std::vector<Whole> BitmapFiles() {
  const auto bmp = [](uint32_t header, int32_t width, int32_t height, uint16_t bits, size_t pixels) {
    return Bmp(header, width, height, bits).substr(0, 14 + header) + Zeros(pixels);
  };
  std::string packed = bmp(40, 100, 100, 8, 50);
  packed.replace(14 + 16, 8, Le32(1) + Le32(50));
  return {
      {"bmp, 24 bits", Format::kBmp, bmp(40, 5, 3, 24, 48)},
      {"bmp, 1 bit", Format::kBmp, bmp(124, 33, 2, 1, 16)},
      {"bmp, from the top down, more behind its end", Format::kBmp, bmp(40, 5, -3, 24, 50), 54 + 48},
      {"bmp, OS/2", Format::kBmp, bmp(12, 9, 2, 8, 24)},
      {"bmp, packed", Format::kBmp, packed},
  };
}

std::vector<Whole> TiffFiles() {
  std::vector<Whole> files;
  for (const TiffKind kind :
       {TiffKind::kLittle, TiffKind::kBig, TiffKind::kBigTiffLittle, TiffKind::kBigTiffBig}) {
    const bool large = kind == TiffKind::kBigTiffLittle || kind == TiffKind::kBigTiffBig;
    const uint64_t header = large ? 16 : 8;
    const auto fields = [](std::vector<uint64_t> offsets, std::vector<uint64_t> lengths, uint16_t tag = 273) {
      const uint16_t lengths_tag = tag == 273 ? 279 : 325;
      return std::vector<TiffField>{
          {256, 3, {40}}, {257, 3, {30}}, {tag, 4, offsets}, {lengths_tag, 3, lengths}};
    };
    const std::string name = absl::StrCat("tiff ", static_cast<int>(kind));
    files.push_back({name + ", pixels first", Format::kTiff, Tiff(kind, fields({header}, {400}), 400)});
    files.push_back(
        {name + ", pixels far before", Format::kTiff, Tiff(kind, fields({header}, {60'000}), 400'000)});
    files.push_back({name + ", tiles", Format::kTiff,
                     Tiff(kind, fields({header, header + 100, header + 200}, {100, 100, 200}, 324), 400)});
    const std::string empty = Tiff(kind, fields({0, 0, 0}, {1, 1, 1}), 0);
    const std::string behind =
        Tiff(kind, fields({empty.size() + 200, empty.size(), empty.size() + 100}, {100, 100, 100}), 0) +
        Zeros(300);
    files.push_back({name + ", pixels behind", Format::kTiff, behind});
    files.push_back({name + ", more behind its end", Format::kTiff, behind + "more", behind.size()});
  }
  return files;
}

std::string Iloc(const std::vector<std::pair<uint32_t, uint32_t>>& extents) {
  std::string content = "\x44" + Zeros(1) + Be16(1) + Be16(1) + Be16(0) + Be16(extents.size());
  for (const auto& [offset, length] : extents) content += Be32(offset) + Be32(length);
  return IsoFullBox("iloc", 0, content);
}

std::string Meta(const std::vector<std::pair<uint32_t, uint32_t>>& extents) {
  return IsoFullBox("meta", 0, IsoFullBox("pitm", 0, Be16(1)) + Iloc(extents) + IsoBox("iprp", "props"));
}

std::vector<Whole> BoxFiles() {
  const std::string ftyp = IsoBox("ftyp", "heic" + Zeros(4) + "mif1heichevc");
  const std::string avis = IsoBox("ftyp", "avis" + Zeros(4) + "avifavis");
  const uint32_t at = ftyp.size() + Meta({{0, 0}}).size() + 8;
  const std::string data = IsoBox("mdat", Zeros(300));
  const std::string open = Be32(0) + "mdat" + Zeros(300);
  const std::string large = Be32(1) + "mdat" + Be64(16 + 300) + Zeros(300);
  const std::string jxl = IsoBox("JXL ", "\r\n\x87\n") + IsoBox("ftyp", "jxl " + Zeros(4) + "jxl ");
  const std::string last_part = IsoBox("jxlp", Be32(0x80000001) + "codestream");
  const std::string j2k = "\xff\x4f\xff\x51" + Be16(4) + "ab" + "\xff\x90" + Be16(10) + Be16(0) +
                          Be32(14 + 6) + Zeros(2) + "\xff\x93" + "pixels" + "\xff\xd9";
  const std::string open_j2k =
      "\xff\x4f\xff\x90" + Be16(10) + Be16(0) + Be32(0) + Zeros(2) + "\xff\x93pixels\xff\xd9";
  const std::string jp2 = IsoBox("jP  ", "\r\n\x87\n") + IsoBox("ftyp", "jp2 " + Zeros(4) + "jp2 ");
  return {
      {"heic, meta first", Format::kHeic, ftyp + Meta({{at, 100}, {at + 100, 200}}) + data},
      {"heic, meta behind the pixels", Format::kHeic, ftyp + data + Meta({{uint32_t(ftyp.size()) + 8, 300}})},
      {"heic, pixels to the end", Format::kHeic, ftyp + Meta({{at, 300}}) + open},
      {"heic, a 64-bit size", Format::kHeic, ftyp + Meta({{at + 8, 300}}) + large},
      {"avif, sequence", Format::kAvif, avis + IsoBox("moov", "tracks") + data},
      {"avif, sequence, index last", Format::kAvif, avis + data + IsoBox("moov", "tracks")},
      {"jxl, whole codestream", Format::kJxl, jxl + IsoBox("jxlc", "codestream")},
      {"jxl, codestream in parts", Format::kJxl,
       jxl + IsoBox("jxlp", Be32(0) + "code") + IsoBox("Exif", "x") + last_part},
      {"j2k", Format::kJ2k, j2k},
      {"j2k, tile-part to the end", Format::kJ2k, open_j2k},
      {"jp2", Format::kJp2, jp2 + IsoBox("jp2c", j2k)},
      {"jp2, codestream to the end", Format::kJp2, jp2 + Be32(0) + "jp2c" + open_j2k},
  };
}

std::vector<Whole> OtherFiles() {
  const auto psd = [](const std::string& pixels) {
    return "8BPS" + Be16(1) + Zeros(6) + Be16(3) + Be32(2) + Be32(5) + Be16(8) + Be16(3) + Be32(0) + Be32(4) +
           "rsrc" + Be32(2) + "la" + pixels;
  };
  std::string lengths;
  for (int row = 0; row < 6; ++row) lengths += Be16(row);
  const std::string qoi = "qoif" + Be32(70) + Be32(2) + "\x04" + Zeros(1);
  const auto tga = [](uint8_t type) {
    return "\x02" + Zeros(1) + std::string(1, type) + Zeros(9) + Le16(10) + Le16(20) + "\x18" + Zeros(1) +
           "id";
  };
  std::string pcx =
      "\x0a\x05\x01\x08" + Le16(0) + Le16(0) + Le16(9) + Le16(3) + Zeros(53) + "\x01" + Le16(10);
  pcx.resize(128);
  return {
      {"icns", Format::kIcns, "icns" + Be32(40) + Zeros(32)},
      {"psd, plain", Format::kPsd, psd(Be16(0) + Zeros(3 * 2 * 5))},
      {"psd, packed", Format::kPsd, psd(Be16(1) + lengths + Zeros(15))},
      {"qoi", Format::kQoi,
       qoi +
           "\xfe"
           "abc"
           "\xff"
           "abcd"
           "\x80x\x01\x40" +
           std::string(2, '\xfd') + "\xc7\xc1" + Zeros(1) + Zeros(7) + "\x01"},
      {"pnm, bits", Format::kPnm, "P4\n# comment 7\n9 3\n" + Zeros(6)},
      {"pnm, a comment behind a digit", Format::kPnm, "P5 4# wide\n3 255\n" + Zeros(12)},
      {"pam, words that say nothing", Format::kPnm,
       "P7\nTUPLTYPE \n# WIDTH 9\nWIDTH 4\nHEIGHT 3\nDEPTH 1\nMAXVAL 256\nENDHDR\n" + Zeros(24)},
      {"pnm, gray", Format::kPnm, "P5 4 3 255\n" + Zeros(12)},
      {"pnm, 16 bits", Format::kPnm, "P6 4 3 65535\n" + Zeros(72)},
      {"pfm", Format::kPnm, "PF\n4 3\n-1.0\n" + Zeros(4 * 3 * 12)},
      {"pam", Format::kPnm,
       "P7\nWIDTH 4\nHEIGHT 3\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + Zeros(48)},
      {"tga", Format::kTga, tga(2) + Zeros(600)},
      {"tga, packed", Format::kTga,
       tga(10) +
           "\xff"
           "bgr"
           "\x3f" +
           Zeros(64 * 3) +
           "\x87"
           "bgr" +
           "more",
       tga(10).size() + 4 + 1 + 64 * 3 + 4},
      {"pcx", Format::kPcx,
       pcx +
           "\xd9"
           "a\xc0"
           "b\xce"
           "c"
           "d" +
           Zeros(769)},
  };
}

std::vector<Whole> WholeFiles() {
  std::vector<Whole> files;
  for (const auto& some : {JpegFiles(), BitmapFiles(), TiffFiles(), BoxFiles(), OtherFiles()}) {
    files.insert(files.end(), some.begin(), some.end());
  }
  // Of other formats the samples hold no pixels.
  const std::set<Format> whole = {Format::kJpeg, Format::kPng, Format::kGif,
                                  Format::kWebp, Format::kIco, Format::kCur};
  for (const Sample& sample : AllSamples()) {
    if (whole.count(sample.expected.format) > 0)
      files.push_back({sample.name, sample.expected.format, sample.bytes});
  }
  for (Whole& file : files) {
    if (file.end == 0) file.end = file.bytes.size();
  }
  return files;
}

TEST(Completeness, AFileIsCompleteFromItsEndOnAndNotBefore) {
  for (const Whole& file : WholeFiles()) {
    ASSERT_EQ(Show(Verdict(file.format, file.bytes)), "true") << file.name;
    const size_t step = file.bytes.size() > 5000 ? 211 : 1;
    for (size_t cut = 0; cut<file.end; cut += cut + 600> file.end ? 1 : step) {
      ASSERT_EQ(Show(Verdict(file.format, absl::string_view(file.bytes).substr(0, cut))), "false")
          << file.name << " cut at " << cut << " of " << file.end;
    }
    for (size_t cut = file.end; cut < file.bytes.size(); ++cut) {
      ASSERT_EQ(Show(Verdict(file.format, absl::string_view(file.bytes).substr(0, cut))), "true")
          << file.name << " cut at " << cut;
    }
  }
}

TEST(Completeness, HowTheBytesComeMakesNoDifference) {
  std::vector<Whole> files = WholeFiles();
  for (const Sample& sample : AllSamples())
    files.push_back({sample.name, sample.expected.format, sample.bytes, 0});
  for (const Whole& file : files) {
    for (const size_t cut : {file.bytes.size(), file.bytes.size() / 2, file.bytes.size() - 1}) {
      const absl::string_view bytes = absl::string_view(file.bytes).substr(0, cut);
      const std::optional<bool> at_once = Verdict(file.format, bytes);
      for (const size_t piece : {1, 2, 3, 7, 100, 4096}) {
        ASSERT_EQ(Verdict(file.format, bytes, piece), at_once) << file.name << " " << cut << " by " << piece;
      }
    }
  }
}

TEST(Completeness, WhatAnnouncesNoEndHasNoVerdict) {
  const std::pair<Format, std::string> files[] = {
      {Format::kSvg, "<svg/>"},
      {Format::kHdr, "#?RADIANCE\n\n-Y 1 +X 1\n"},
      {Format::kJxl, std::string("\xff\x0a", 2) + "codestream"},
      {Format::kPnm, "P3 1 1 255 1 2 3"},
      {Format::kTiff, Tiff(TiffKind::kLittle, {{256, 3, {4}}, {257, 3, {3}}}, 0)},
      {Format::kUnknown, "x"},
  };
  for (const auto& [format, bytes] : files) EXPECT_EQ(Show(Verdict(format, bytes)), "none") << bytes;
}

// Some cameras append what is no box.
TEST(Completeness, WhatIsNoBoxBehindTheBoxesIsNotNeeded) {
  const std::string ftyp = IsoBox("ftyp", "heic");
  const std::string file = ftyp + IsoBox("mdat", Zeros(9)) + Meta({{uint32_t(ftyp.size()) + 8, 9}});
  EXPECT_EQ(Show(Verdict(Format::kHeic, file)), "true");
  EXPECT_EQ(Show(Verdict(Format::kHeic, file + Zeros(16))), "true");
  EXPECT_EQ(Show(Verdict(Format::kHeic, file + Be32(20) + "free" + Zeros(5))), "false")
      << "a box that is cut";
}

// A stream goes by once: how far behind a directory its values may lie does not depend on how the bytes come.
TEST(Completeness, ValuesFarBehindTheirDirectoryAreOutOfReach) {
  const auto tiff = [](size_t gap) {
    const std::string values = Le32(24) + Le32(30) + Le32(6) + Le32(6);  // Offsets, lengths.
    return "II*" + Zeros(1) + Le32(24 + gap) + values + Zeros(gap) + Le16(2) + Le16(273) + Le16(4) + Le32(2) +
           Le32(8) + Le16(279) + Le16(4) + Le32(2) + Le32(16) + Le32(0);
  };
  for (const size_t piece : {1, 1000, 1 << 20}) {
    EXPECT_EQ(Show(Verdict(Format::kTiff, tiff(100'000), piece)), "true");
    EXPECT_EQ(Show(Verdict(Format::kTiff, tiff(150'000), piece)), "none");
  }
}

TEST(Completeness, ABrokenStructureIsNotComplete) {
  const std::pair<Format, std::string> files[] = {
      {Format::kJpeg, std::string("\xff\xd8\xff\xe0\0\1\xff\xd9", 8)},
      {Format::kPng, Zeros(8) + "\xff\xff\xff\xffIDAT"},
      {Format::kHeic, IsoBox("ftyp", "heic") + std::string(4, 'x') + "\1\2\3\4"},
      {Format::kHeic, IsoBox("ftyp", "heic") + IsoBox("mdat", "pixels that nothing locates")},
      {Format::kJ2k,
       "\xff\x4f"
       "ab"},
  };
  for (const auto& [format, bytes] : files) EXPECT_EQ(Show(Verdict(format, bytes)), "false") << bytes;
}

// Directories that lead to one another end in a bounded time.
// 43,000 items of 65,535 extents each that take no bytes: looked at one by one they would take minutes.
TEST(Completeness, ExtentsWithoutBytesAreNotCounted) {
  std::string items = Be16(0) + Be16(40000);
  for (int i = 0; i < 40000; ++i) items += Be16(i) + Be16(0) + Be16(65535);
  const std::string file = IsoBox("ftyp", "heic" + Zeros(4) + "mif1") +
                           IsoFullBox("meta", 0, IsoFullBox("iloc", 0, items)) + IsoBox("mdat", "data");
  EXPECT_EQ(Show(Verdict(Format::kHeic, file)), "true");
}

TEST(Completeness, DirectoriesInACircleEnd) {
  std::string file = "II*" + Zeros(1) + Le32(8) + Le16(5000);
  for (int i = 0; i < 5000; ++i) file += Le16(273) + Le16(4) + Le32(1) + Le32(0);
  file += Le32(8);
  EXPECT_NE(Verdict(Format::kTiff, file), true);
}

// Every whole file of a folder of real ones (see corpus_test.cc) is complete, cut ones are not.
TEST(Completeness, Corpus) {
  const char* folder = std::getenv("IMGFLEET_CORPUS");
  if (!folder || !*folder) GTEST_SKIP() << "IMGFLEET_CORPUS is not set";
  std::ifstream truth(absl::StrCat(folder, "/truth.tsv"));
  std::string line;
  int verdicts[3] = {};
  while (std::getline(truth, line)) {
    const std::string path(line.substr(0, line.find('\t')));
    std::ifstream stream(absl::StrCat(folder, "/files/", path), std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(stream), {}};
    const ProbeResult probed = Probe({.prefix = file, .piece = {}, .total = file.size()});
    if (probed.status != ProbeStatus::kOk) continue;
    const Format format = probed.info.format;
    const std::optional<bool> whole = Verdict(format, file);
    EXPECT_NE(whole, false) << path;
    EXPECT_EQ(Verdict(format, file, 1), whole) << path;
    ++verdicts[!whole ? 2 : *whole ? 0 : 1];
    bool before = false;
    for (size_t cut = 0; cut < file.size(); cut += std::max<size_t>(1, file.size() / 37)) {
      const bool complete = Verdict(format, absl::string_view(file).substr(0, cut)) == true;
      EXPECT_TRUE(complete || !before) << path << ": complete, and with more bytes not";
      before = complete;
      if (cut < file.size() / 4) {
        EXPECT_FALSE(complete) << path << " cut at " << cut;
      }
    }
  }
  std::cout << verdicts[0] << " complete, " << verdicts[1] << " not, " << verdicts[2] << " announce no end\n";
}

}  // namespace
}  // namespace imgfleet::image
