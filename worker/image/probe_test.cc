#include "worker/image/probe.h"

#include <gtest/gtest.h>

#include <algorithm>

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

ProbeStatus StatusOf(const std::string& file) { return ProbeWhole(file).status; }

ProbeResult ProbePrefix(const std::string& prefix) {
  Bytes bytes;
  bytes.prefix = prefix;
  return Probe(bytes);
}

TEST(Probe, ReadsEveryFormatAndVariant) {
  for (const Sample& sample : AllSamples()) {
    const ProbeResult result = ProbeWhole(sample.bytes);
    EXPECT_EQ(result.status, ProbeStatus::kOk) << sample.name << ": " << Describe(result);
    EXPECT_TRUE(SameInfo(result.info, sample.expected)) << sample.name << ": " << Describe(result);
  }
}

TEST(Probe, NamesFormatsAndMediaTypes) {
  EXPECT_EQ(FormatName(Format::kJpeg), "jpeg");
  EXPECT_EQ(FormatName(Format::kTiff), "tiff");
  EXPECT_EQ(MimeType(Format::kSvg), "image/svg+xml");
  EXPECT_EQ(MimeType(Format::kTiff), "image/tiff");
}

TEST(Probe, KnownFormatsThatAreNotMeasuredAnswerByName) {
  const std::string rest(64, '\0');
  const std::pair<std::string, std::string> kFiles[] = {
      {"gimp xcf file", "GIMP (XCF)"},
      {"P7 332\n80 60 255\n", "an xv thumbnail"},
      {"II*" + std::string("\0\x10\0\0\0CR\2", 9), "Canon CR2 raw"},
      {IsoBox("ftyp", "crx " + Be32(1) + "crx isom"), "Canon CR3 raw"},
  };
  for (const auto& [start, name] : kFiles) {
    const ProbeResult result = ProbeWhole(start + rest);
    EXPECT_EQ(result.status, ProbeStatus::kUnsupported) << name << ": " << Describe(result);
    EXPECT_EQ(result.message.substr(0, name.size()), name);
  }
  HeifFile file;
  file.items = {{1, "vvc1", {1}}};
  file.properties = {Ispe(3, 4)};
  EXPECT_EQ(ProbeWhole(Heif(file)).message, "HEIF with an image coded as 'vvc1'");
  EXPECT_EQ(ProbeWhole(Jpeg(JpegSegment(0xF7, std::string(20, '\1')))).message, "JPEG-LS");
  EXPECT_EQ(StatusOf(Tiff(TiffKind::kLittle, {{256, 3, {3}}, {257, 3, {3}}, {50706, 4, {1}}}, 0)),
            ProbeStatus::kUnsupported);
  // As raw files of cameras begin: the image itself lies in a directory below.
  EXPECT_EQ(
      StatusOf(Tiff(TiffKind::kBig, {{254, 4, {1}}, {256, 3, {160}}, {257, 3, {120}}, {330, 4, {8}}}, 0)),
      ProbeStatus::kUnsupported);
  EXPECT_EQ(ProbeWhole("\x01\xda\x01\x01" + rest).message, "SGI is not measured");
}

// Of what a JPEG 2000 header holds once, only the first counts.
TEST(Probe, RepeatedBoxesAreReadOnce) {
  const std::string ihdr = IsoBox("ihdr", Be32(4) + Be32(3) + Be16(3) + std::string("\xff\7\0\0", 4));
  const std::string wrong = IsoBox("bpcc", "\7") + IsoBox("cdef", Be16(65535)) + IsoBox("res ", "none");
  const std::string file =
      IsoBox("jP  ", "\r\n\x87\n") + IsoBox("ftyp", "jp2 " + Be32(0)) +
      IsoBox("jp2h", ihdr + IsoBox("bpcc", "\7\7\7") + IsoBox("cdef", Be16(0)) + IsoBox("res ", "") + wrong);
  const ProbeResult result = ProbeWhole(file);
  EXPECT_EQ(result.status, ProbeStatus::kOk) << Describe(result);
  EXPECT_EQ(result.info.bit_depth, 8);
}

// What is endless costs no more than what it is worth: as many probes as a fetch makes requests end soon.
TEST(Probe, EndlessTinyPartsAreRefused) {
  auto repeated = [](const std::string& part) {
    std::string all;
    while (all.size() < 3 << 20) all += part;
    return all;
  };
  const std::pair<const char*, std::string> kFiles[] = {
      {"JPEG: segments", "\xff\xd8" + repeated(JpegSegment(0xFE, ""))},
      {"JPEG: restart markers", "\xff\xd8" + repeated("\xff\xd0")},
      {"JPEG: fill bytes", "\xff\xd8" + repeated("\xff")},
      {"JPEG: stuffed bytes", "\xff\xd8" + repeated(std::string("\xff\0", 2))},
      {"JPEG: bytes between segments", "\xff\xd8" + JpegSegment(0xFE, "") + repeated("stray")},
      {"PNG: chunks", Png(3, 3, repeated(PngChunk("teXt", "")))},
      {"WebP: chunks", Webp(Vp8x(0x08, 3, 3) + repeated(RiffChunk("free", "")))},
      {"HEIF: boxes", IsoBox("ftyp", "heic" + Be32(0) + "mif1") + repeated(IsoBox("free", ""))},
      {"HEIF: associations",
       IsoBox("ftyp", "heic" + Be32(0) + "mif1") +
           IsoFullBox(
               "meta", 0,
               IsoFullBox("pitm", 0, Be16(1)) +
                   IsoFullBox("iinf", 0,
                              Be16(1) + IsoFullBox("infe", 2u << 24, Be32(1 << 16) + "hvc1" + Be16(0))) +
                   IsoBox("iprp",
                          IsoBox("ipco", Ispe(3, 3)) +
                              IsoFullBox("ipma", 0, Be32(1 << 20) + repeated(std::string("\0\2\0", 3)))))},
      {"JXL: boxes", IsoBox("JXL ", "\r\n\x87\n") + repeated(IsoBox("free", ""))},
      {"JP2: boxes", IsoBox("jP  ", "\r\n\x87\n") + repeated(IsoBox("free", ""))},
  };
  for (const auto& [name, file] : kFiles)
    EXPECT_EQ(ProbePrefix(file).status, ProbeStatus::kCorrupt) << name << ": " << Describe(ProbePrefix(file));
}

TEST(Probe, WhatIsNoImageIsSaidToBeNone) {
  for (const char* text :
       {"<!DOCTYPE html><html><body><svg width='1' height='1'></svg>", "<html lang=en><head>",
        "<!-- comment --><HTML>", "<?xml version='1.0'?><rss version='2.0'><channel>",
        "{\"error\": \"not found\"}", "   plain text after some white space",
        "BMW is a car maker from Bavaria, Germany.", "%PDF-1.7 and so on, a document",
        "P is a letter of the alphabet", "GIF is pronounced in two ways",
        "<svg xmlns='http://example.com/ns' width='1' height='1'>", "<p>hello</p> to everybody out there"}) {
    EXPECT_EQ(StatusOf(text), ProbeStatus::kNotAnImage) << text;
  }
  EXPECT_EQ(StatusOf(IsoBox("ftyp", "isom" + Be32(512) + "isomavc1") + IsoBox("mdat", "video")),
            ProbeStatus::kNotAnImage);
  EXPECT_EQ(StatusOf(std::string(1000, '\0')), ProbeStatus::kNotAnImage);
  EXPECT_EQ(StatusOf(std::string("\0\0\1\0\0\0", 6) + std::string(100, '\xee')), ProbeStatus::kNotAnImage);
  EXPECT_EQ(StatusOf("\x1f\x8b\x08 gzip data that may hold anything"), ProbeStatus::kNotAnImage);
}

TEST(Probe, ShortFilesAreTruncated) {
  EXPECT_EQ(StatusOf(""), ProbeStatus::kTruncated);
  EXPECT_EQ(StatusOf("\xff\xd8"), ProbeStatus::kTruncated);
  EXPECT_EQ(StatusOf("\x89PN"), ProbeStatus::kTruncated);
  const ProbeResult result = ProbePrefix("");
  EXPECT_EQ(result.status, ProbeStatus::kNeedMore);
  EXPECT_EQ(result.need_offset, 0u);
}

// Bits, colour type, compression, filter, interlacing.
std::string PngOfHeader(const char (&fields)[6]) {
  return "\x89PNG\r\n\x1a\n" + PngChunk("IHDR", Be32(20) + Be32(30) + std::string(fields, 5)) +
         PngChunk("IDAT", "pixels") + PngChunk("IEND", "");
}

TEST(Probe, HeadersThatContradictThemselvesAreCorrupt) {
  const std::string frame = JpegFrame(0xC0, 10, 10);
  const std::pair<const char*, std::string> kFiles[] = {
      {"JPEG: no frame", Jpeg("")},
      {"JPEG: end of image first", "\xff\xd8\xff\xd9" + std::string(40, 'x')},
      {"JPEG: width 0", Jpeg(JpegFrame(0xC0, 0, 10))},
      {"JPEG: height 0 and no DNL", Jpeg(JpegFrame(0xC0, 10, 0))},
      {"JPEG: segment of length 1", Jpeg(std::string("\xff\xe0\0\1", 4) + frame)},
      {"JPEG: frame cut short", Jpeg(JpegSegment(0xC0, std::string("\x08\0\x0a\0\x0a\3", 6)))},
      {"PNG: area 0", Png(0, 20)},
      {"PNG: negative", Png(0x80000000u, 20)},
      {"PNG: no image data", std::string("\x89PNG\r\n\x1a\n") +
                                 PngChunk("IHDR", Be32(1) + Be32(1) + std::string("\x08\0\0\0\0", 5)) +
                                 PngChunk("IEND", "")},
      {"PNG: not IHDR first",
       std::string("\x89PNG\r\n\x1a\n") + PngChunk("gAMA", "1234") + std::string(20, '\0')},
      {"PNG: colours of 4 bits", PngOfHeader("\x04\x02\0\0\0")},
      {"PNG: an index of 16 bits", PngOfHeader("\x10\x03\0\0\0")},
      {"PNG: an unknown compression", PngOfHeader("\x08\x02\1\0\0")},
      {"PNG: an unknown filter", PngOfHeader("\x08\x02\0\1\0")},
      {"PNG: two headers", Png(3, 3, PngChunk("IHDR", std::string(13, '\1')))},
      {"GIF: no area", Gif(0, 7, ";")},
      {"WebP: unknown chunk", Webp(RiffChunk("XYZW", "12345678"))},
      {"WebP: no key frame", Webp(RiffChunk("VP8 ", std::string(20, '\1')))},
      {"BMP: negative width", Bmp(40, -5, 5, 24)},
      {"BMP: no area", Bmp(40, 5, 0, 24)},
      {"SVG: no area", "<svg width='0' height='3'>"},
      {"SVG: immense", "<svg width='1e300' height='3'>"},
      {"SVG: attribute without value", "<svg width height='3'>"},
      {"TIFF: no size", Tiff(TiffKind::kLittle, {{274, 3, {1}}}, 0)},
      {"TIFF: area 0", Tiff(TiffKind::kBig, {{256, 3, {0}}, {257, 3, {9}}}, 0)},
      {"TIFF: directory in the header", "II*" + std::string("\0\2\0\0\0", 5) + std::string(40, '\1')},
  };
  for (const auto& [name, file] : kFiles) {
    const ProbeResult result = ProbeWhole(file);
    EXPECT_EQ(result.status, ProbeStatus::kCorrupt) << name << ": " << Describe(result);
    EXPECT_FALSE(result.message.empty());
  }
}

TEST(Probe, HeifsThatCannotBeMeasuredAreCorrupt) {
  HeifFile good;
  good.items = {{1, "hvc1", {1}}};
  good.properties = {Ispe(3, 4)};
  ASSERT_EQ(StatusOf(Heif(good)), ProbeStatus::kOk);
  HeifFile file = good;
  file.primary = 2;
  EXPECT_EQ(StatusOf(Heif(file)), ProbeStatus::kCorrupt);
  file = good;
  file.items[0].properties = {7};
  EXPECT_EQ(StatusOf(Heif(file)), ProbeStatus::kCorrupt);
  file = good;
  file.properties = {Irot(1)};
  EXPECT_EQ(StatusOf(Heif(file)), ProbeStatus::kCorrupt);
  file = good;
  file.properties.push_back(Clap(3, 4, 0));
  file.items[0].properties = {1, 2};
  EXPECT_EQ(StatusOf(Heif(file)), ProbeStatus::kCorrupt);
}

TEST(Probe, BoxesOfSizeZeroAndWorseEnd) {
  const std::string ftyp = IsoBox("ftyp", "heic" + Be32(0) + "heicmif1");
  // A box to the end of the file before any meta box: nothing can follow.
  EXPECT_EQ(StatusOf(ftyp + Be32(0) + "mdat" + std::string(100, 'x')), ProbeStatus::kCorrupt);
  for (uint32_t size : {2u, 7u})
    EXPECT_EQ(StatusOf(ftyp + Be32(size) + "free" + std::string(100, '\0')), ProbeStatus::kCorrupt);
  EXPECT_EQ(StatusOf(ftyp + Be32(1) + "free" + Be64(~0ull) + std::string(100, '\0')), ProbeStatus::kCorrupt);
  // Inside: a property of size 0 fills its container, and the primary item's property is missing.
  EXPECT_NE(StatusOf(ftyp + IsoFullBox("meta", 0, std::string(200, '\0'))), ProbeStatus::kOk);
}

TEST(Probe, SvgWithoutAWrittenSizeIsUnsupported) {
  EXPECT_EQ(StatusOf("<svg xmlns='http://www.w3.org/2000/svg'>"), ProbeStatus::kUnsupported);
  EXPECT_EQ(StatusOf("<svg width='100%' height='100%'>"), ProbeStatus::kUnsupported);
  EXPECT_EQ(StatusOf("<svg viewbox='0 0 3 4' data-x=''>"), ProbeStatus::kUnsupported);
  const ProbeResult result =
      ProbeWhole("<!DOCTYPE svg [<!ENTITY w '10'>]><svg width='&w;' height='10' viewBox='0 0 1 1'>");
  EXPECT_EQ(result.status, ProbeStatus::kUnsupported);
  EXPECT_NE(result.message.find("entities"), std::string::npos);
}

TEST(Probe, AsksForTheNextJpegMarkerExactly) {
  const std::string file = Jpeg(JpegSegment(0xE1, std::string(60000, 'x')) + JpegFrame(0xC0, 640, 480));
  const ProbeResult result = ProbePrefix(file.substr(0, 12288));
  EXPECT_EQ(result.status, ProbeStatus::kNeedMore);
  EXPECT_EQ(result.need_offset, 2u + 4 + 60000);
}

TEST(Probe, AsksForATiffDirectoryAtTheEnd) {
  const std::string file = Tiff(TiffKind::kBig, {{256, 3, {3}}, {257, 3, {4}}}, 1000000);
  const Fetched fetched = FetchAndProbe(file, 12288, 1024);
  EXPECT_EQ(fetched.result.status, ProbeStatus::kOk) << Describe(fetched.result);
  EXPECT_EQ(fetched.requests, 2);
  EXPECT_LT(fetched.bytes, 16384u);
}

TEST(Probe, JumpsOverPixelsToTheMetaBoxAndToExif) {
  HeifFile file;
  file.items = {{1, "hvc1", {1}}};
  file.properties = {Ispe(3, 4)};
  file.mdat_before_meta = 1000000;
  EXPECT_LT(FetchAndProbe(Heif(file), 12288, 4096).bytes, 32768u);
  const std::string webp = Webp(Vp8x(0x08, 55, 36) + RiffChunk("VP8 ", std::string(1000001, 'p')) +
                                RiffChunk("EXIF", ExifBlock(6, false)));
  EXPECT_LT(FetchAndProbe(webp, 12288, 4096).bytes, 32768u);
}

// Nothing is fetched for a field that decides nothing of the size.
TEST(Probe, FieldsThatLieFarAwayCostNoRequest) {
  const std::vector<Sample> samples = FieldSamples();
  for (const char* name : {"tiff, a second page far behind", "webp, VP8X with a long profile",
                           "webp, animation that does not"}) {
    const auto sample =
        std::find_if(samples.begin(), samples.end(), [&](const Sample& each) { return each.name == name; });
    ASSERT_NE(sample, samples.end()) << name;
    EXPECT_EQ(FetchAndProbe(sample->bytes, 12288, 16384).requests, 1) << name;
  }
  // A sequence whose movie box lies behind its pixels.
  HeifFile file;
  file.major = "avis";
  file.brands = {"avis", "avif", "mif1"};
  file.items = {{1, "av01", {1}}};
  file.properties = {Ispe(64, 48)};
  const std::string bytes = Heif(file) + IsoBox("mdat", std::string(50000, 'm')) + IsoBox("moov", "");
  EXPECT_EQ(FetchAndProbe(bytes, 12288, 16384).requests, 1);
}

// Two jumps: what is asked for the second time begins where the first piece began.
TEST(Probe, ASecondJumpAsksForThePieceAgain) {
  const std::string segment = JpegSegment(0xE2, std::string(60000, 'x'));
  const std::string file = Jpeg(segment + segment + segment + JpegFrame(0xC0, 640, 480));
  Bytes bytes;
  bytes.prefix = absl::string_view(file).substr(0, 12288);
  const uint64_t second = 2 + segment.size();
  bytes.piece = absl::string_view(file).substr(second, 4096);
  bytes.piece_offset = second;
  const ProbeResult result = Probe(bytes);
  EXPECT_EQ(result.status, ProbeStatus::kNeedMore);
  EXPECT_EQ(result.need_offset, second);
  EXPECT_GT(result.need_bytes, segment.size());
}

TEST(Probe, APieceThatOverlapsOrTouchesThePrefixCountsAsOne) {
  for (const Sample& sample : AllSamples()) {
    for (size_t cut : {5, 12, 19, 27, 33}) {
      if (cut >= sample.bytes.size()) continue;
      for (size_t overlap : {0, 3}) {
        Bytes bytes;
        bytes.prefix = absl::string_view(sample.bytes).substr(0, cut);
        bytes.piece_offset = cut - overlap;
        bytes.piece = absl::string_view(sample.bytes).substr(cut - overlap);
        bytes.total = sample.bytes.size();
        const ProbeResult result = Probe(bytes);
        EXPECT_EQ(result.status, ProbeStatus::kOk)
            << sample.name << " at " << cut << ": " << Describe(result);
        EXPECT_TRUE(SameInfo(result.info, sample.expected)) << sample.name << ": " << Describe(result);
      }
    }
  }
}

}  // namespace
}  // namespace imgfleet::image
