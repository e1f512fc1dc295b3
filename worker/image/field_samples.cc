// Files that tell something beside their size, and what must be read of it.
#include <utility>

#include "worker/image/field_collector.h"

namespace imgfleet::image {
namespace {

std::string Exif(const std::vector<TiffField>& fields, bool big_endian = false) {
  return Tiff(big_endian ? TiffKind::kBig : TiffKind::kLittle, fields, 0);
}
// 300.5 across and 72 down of a unit.
std::string ExifResolution(uint16_t unit) {
  return Exif({{282, 5, {601, 2}}, {283, 5, {72, 1}}, {296, 3, {unit}}});
}

std::string Jfif(uint8_t unit, uint16_t x, uint16_t y) {
  return JpegSegment(0xE0, std::string("JFIF\0\1\2", 7) + static_cast<char>(unit) + Be16(x) + Be16(y) +
                               std::string(2, '\0'));
}
std::string Adobe(uint8_t transform) {
  return JpegSegment(0xEE, "Adobe" + std::string("\0\x64\0\0\0\0", 6) + static_cast<char>(transform));
}
// A frame of 10 x 20 whose components have these names.
std::string Frame(const std::string& names, uint8_t marker = 0xC0) {
  std::string data = "\x08" + Be16(20) + Be16(10) + static_cast<char>(names.size());
  for (char name : names) data += name + std::string("\x11\0", 2);
  return JpegSegment(marker, data);
}
std::string Mpf(uint32_t images) {
  return JpegSegment(
      0xE2, std::string("MPF\0", 4) + Exif({{0xB000, 4, {0x30303130}}, {0xB001, 4, {images}}}, true));
}

void AddJpegs(Fields& all) {
  auto add = [&](const std::string& name, const std::string& segments,
                 const std::string& components = "\1\2\3") -> ImageInfo& {
    ImageInfo info = Plain(Format::kJpeg, 8, static_cast<uint8_t>(components.size()), ColorSpace::kYcbcr);
    info.progressive = false;
    return all.Add(name, Jpeg(segments + Frame(components)), info, 10, 20);
  };
  const std::string exif("Exif\0\0", 6);
  Dpi(add("JFIF per inch", Jfif(1, 300, 72)), 300, 72);
  Dpi(add("JFIF per centimetre", Jfif(2, 100, 50)), 254, 127);
  add("JFIF with a ratio only", Jfif(0, 4, 3));
  add("JFIF without a density", Jfif(1, 0, 0));
  Dpi(add("Exif resolution", JpegSegment(0xE1, exif + ExifResolution(2))), 300.5f, 72);
  Dpi(add("Exif resolution per centimetre", JpegSegment(0xE1, exif + ExifResolution(3))),
      static_cast<float>(300.5 * 2.54), static_cast<float>(72 * 2.54));
  add("Exif resolution without a unit", JpegSegment(0xE1, exif + ExifResolution(1)));
  Dpi(add("Exif resolution that leaves the unit open",
          JpegSegment(0xE1, exif + Exif({{282, 5, {96, 1}}, {283, 5, {96, 1}}}, true))),
      96, 96);
  add("Exif resolution divided by 0", JpegSegment(0xE1, exif + Exif({{282, 5, {96, 0}}, {283, 5, {0, 1}}})));
  Dpi(add("JFIF before Exif", Jfif(1, 72, 72) + JpegSegment(0xE1, exif + ExifResolution(2))), 72, 72);
  Dpi(add("Exif where JFIF has a ratio", Jfif(0, 1, 1) + JpegSegment(0xE1, exif + ExifResolution(2))), 300.5f,
      72);
  // Far into the file nothing but the orientation is worth a fetch, save what stands close behind the directory.
  Dpi(add("Exif behind a long profile",
          JpegSegment(0xE2, std::string(60000, 'i')) + JpegSegment(0xE1, exif + ExifResolution(2))),
      300.5f, 72);
  add("two profile segments",
      JpegSegment(0xE2, std::string("ICC_PROFILE\0\1\2", 14) + std::string(50000, 'i')) +
          JpegSegment(0xE2, std::string("ICC_PROFILE\0\2\2", 14) + "i"))
      .has_icc = true;
  add("a name that only begins like a profile's", JpegSegment(0xE2, "ICC_PROFILES"));
  add("grey", Jfif(0, 1, 1), "\1").color_space = ColorSpace::kGray;
  add("RGB by its names", "", "RGB").color_space = ColorSpace::kRgb;
  add("RGB by Adobe's word", Adobe(0)).color_space = ColorSpace::kRgb;
  add("YCbCr by Adobe's word", Adobe(1), "RGB");
  add("JFIF is YCbCr", Jfif(0, 1, 1) + Adobe(0));
  add("CMYK", Adobe(0), "CMYK").color_space = ColorSpace::kCmyk;
  add("CMYK without a word", "", "\1\2\3\4").color_space = ColorSpace::kCmyk;
  add("YCCK", Adobe(2), "\1\2\3\4").color_space = ColorSpace::kYcck;
  add("two components", "", "\1\2").color_space = ColorSpace::kUnknown;
  add("MPO of three", Mpf(3)).frames = 3;
  add("MPO of one", Mpf(1));
  add("MPO of none", Mpf(0)).frames.reset();
  ImageInfo lossless = Plain(Format::kJpeg, 8, 3, ColorSpace::kYcbcr);
  lossless.progressive = false;
  all.Add("lossless, JFIF", Jpeg(Jfif(0, 1, 1) + Frame("\1\2\3", 0xC3)), lossless, 10, 20);
  all.Add("DNL far behind the scan",
          "\xff\xd8" + JpegSegment(0xC0, "\x08" + Be16(0) + Be16(10) + std::string("\1\1\x11\0", 4)) +
              JpegSegment(0xDA, std::string(6, '\0')) + std::string(150000, 's') +
              JpegSegment(0xDC, Be16(20)) + "\xff\xd9",
          lossless, 10, 20);
  all.samples.back().expected.channels = 1;
  all.samples.back().expected.color_space = ColorSpace::kGray;
}

std::string PngOf(uint8_t colour, const std::string& before, const std::string& after = "") {
  std::string png = Png(10, 20, before, after);
  png[8 + 8 + 9] = static_cast<char>(colour);
  return png;
}

void AddPngs(Fields& all) {
  auto add = [&](const std::string& name, const std::string& before, uint8_t colour = 2, uint8_t channels = 3,
                 ColorSpace colors = ColorSpace::kRgb) -> ImageInfo& {
    ImageInfo info = Plain(Format::kPng, 8, channels, colors);
    info.progressive = false;
    info.has_alpha = colour >= 4;
    return all.Add(name, PngOf(colour, before), info, 10, 20);
  };
  Dpi(add("pHYs per metre", PngChunk("pHYs", Be32(11811) + Be32(2835) + "\1")),
      static_cast<float>(11811 * 0.0254), static_cast<float>(2835 * 0.0254));
  add("pHYs with a ratio only", PngChunk("pHYs", Be32(4) + Be32(3) + std::string(1, '\0')));
  add("pHYs of the wrong length", PngChunk("pHYs", Be32(4) + Be32(3)));
  Dpi(add("Exif resolution", PngChunk("eXIf", ExifResolution(2))), 300.5f, 72);
  Dpi(add("pHYs before Exif",
          PngChunk("eXIf", ExifResolution(2)) + PngChunk("pHYs", Be32(10000) + Be32(10000) + "\1")),
      254, 254);
  add("profile", PngChunk("iCCP", "name")).has_icc = true;
  add("grey", "", 0, 1, ColorSpace::kGray);
  add("grey and alpha", "", 4, 2, ColorSpace::kGray);
  add("palette", PngChunk("PLTE", "123"), 3, 1, ColorSpace::kPalette);
  add("alpha", "", 6, 4);
  ImageInfo& five = add("animation shown five times", PngChunk("acTL", Be32(2) + Be32(5)));
  five.animated = true;
  five.frames = 2;
  five.loop_count = 5;
}

void AddGifs(Fields& all) {
  auto add = [&](const std::string& name, const std::string& blocks) -> ImageInfo& {
    ImageInfo info = Plain(Format::kGif, 2, 1, ColorSpace::kPalette);
    info.progressive = false;
    return all.Add(name, Gif(10, 20, blocks), info, 10, 20);
  };
  auto loop = [](uint16_t repeats) { return GifLoop().substr(0, 16) + Le16(repeats) + std::string(1, '\0'); };
  ImageInfo& four = add("shown again three times", loop(3) + GifImage(9) + GifImage(9) + ";");
  four.animated = true;
  four.frames = 2;
  four.loop_count = 4;
  ImageInfo& profile = add("profile", std::string("!\xff\x0bICCRGBG1012\2pp\0", 18) + GifImage(9) + ";");
  profile.has_icc = true;
  // What follows an application's name may be nothing, right at the end of the file.
  add("an empty application extension", GifImage(9) + std::string("!\xff\x0bSOMETHING10\0", 15) + ";");
}

void AddWebps(Fields& all) {
  auto add = [&](const std::string& name, const std::string& chunks) -> ImageInfo& {
    return all.Add(name, Webp(chunks), Plain(Format::kWebp, 8, 3, ColorSpace::kUnknown), 550, 368);
  };
  const std::string profile = RiffChunk("ICCP", std::string(301, 'i'));
  ImageInfo& icc = add("VP8X with a profile", Vp8x(0x20, 550, 368) + profile + Vp8(550, 368));
  icc.has_icc = true;
  icc.color_space = ColorSpace::kYcbcr;
  ImageInfo& far = add("VP8X with a long profile",
                       Vp8x(0x20, 550, 368) + RiffChunk("ICCP", std::string(30000, 'i')) + Vp8(550, 368));
  far.has_icc = true;
  ImageInfo& alpha =
      add("VP8X with an alpha plane", Vp8x(0x10, 550, 368) + RiffChunk("ALPH", "alpha") + Vp8(550, 368));
  alpha.has_alpha = true;
  alpha.channels = 4;
  alpha.color_space = ColorSpace::kYcbcr;

  auto moving = [](ImageInfo& info, std::optional<uint32_t> frames) -> ImageInfo& {
    info.animated = true;
    info.frames = frames;
    info.loop_count = 2;
    return info;
  };
  const std::string anim = RiffChunk("ANIM", std::string("1234\2\0", 6));
  const std::string frame = RiffChunk("ANMF", std::string(101, 'f'));
  const std::string large = RiffChunk("ANMF", std::string(40001, 'f'));
  moving(add("animation that lies in the first bytes",
             Vp8x(0x22, 550, 368) + profile + anim + frame + frame + frame),
         3)
      .has_icc = true;
  moving(add("animation that does not", Vp8x(0x02, 550, 368) + anim + frame + large + frame), std::nullopt);
  auto turned = [](ImageInfo& info) {
    info.orientation = 6;
    std::swap(info.display_width, info.display_height);
  };
  const std::string exif = RiffChunk("EXIF", ExifBlock(6, true)), xmp = RiffChunk("XMP ", "<x:xmpmeta/>!");
  turned(moving(add("animation with Exif", Vp8x(0x0A, 550, 368) + anim + frame + exif), 1));
  turned(moving(add("animation with Exif far behind", Vp8x(0x0A, 550, 368) + anim + large + large + exif),
                std::nullopt));
  turned(moving(
      add("animation with Exif and XMP far behind", Vp8x(0x0E, 550, 368) + anim + large + large + exif + xmp),
      std::nullopt));
  moving(
      add("animation with Exif announced but not there, and its name in the pixels",
          Vp8x(0x0A, 550, 368) + anim + large + RiffChunk("ANMF", "EXIF" + Le32(7) + std::string(400, 'f'))),
      std::nullopt);
}

// A bitmap of 10 x 20 with these parts of a DIB header behind its depth.
std::string BmpOf(uint32_t header_size, uint16_t bits, uint32_t compression, uint32_t per_metre_x,
                  uint32_t per_metre_y, const std::string& rest) {
  std::string header = Le32(header_size) + Le32(10) + Le32(20) + Le16(1) + Le16(bits) + Le32(compression) +
                       Le32(0) + Le32(per_metre_x) + Le32(per_metre_y) + Le32(0) + Le32(0) + rest;
  if (header.size() < header_size) header.resize(header_size);
  return "BM" + Le32(1000) + Le32(0) + Le32(14 + header.size()) + header + "pixels";
}

void AddBitmaps(Fields& all) {
  auto add = [&](const std::string& name, const std::string& bytes, std::optional<uint8_t> bits,
                 uint8_t channels = 3) -> ImageInfo& {
    ImageInfo info =
        Plain(Format::kBmp, 8, channels, channels == 1 ? ColorSpace::kPalette : ColorSpace::kRgb);
    info.bit_depth = bits;
    return all.Add(name, bytes, info, 10, 20);
  };
  const std::string masks_565 = Le32(0xF800) + Le32(0x7E0) + Le32(0x1F);
  const std::string masks_8888 = Le32(0xFF0000) + Le32(0xFF00) + Le32(0xFF) + Le32(0xFF000000);
  const std::string masks_444 = Le32(0xF00) + Le32(0xF0) + Le32(0xF) + Le32(0xF000);
  Dpi(add("resolution", BmpOf(40, 24, 0, 3780, 2835, ""), 8), static_cast<float>(3780 * 0.0254),
      static_cast<float>(2835 * 0.0254));
  add("a negative resolution", BmpOf(40, 24, 0, 0xFFFFFFFF, 0, ""), 8);
  add("5, 6 and 5 bits, masks behind the header", BmpOf(40, 16, 3, 0, 0, masks_565), std::nullopt);
  add("masks without alpha", BmpOf(52, 32, 3, 0, 0, masks_8888.substr(0, 12)), 8);
  ImageInfo& behind = add("alpha mask behind the header", BmpOf(40, 32, 6, 0, 0, masks_8888), 8, 4);
  behind.has_alpha = true;
  ImageInfo& inside = add("alpha mask", BmpOf(108, 16, 3, 0, 0, masks_444), 4, 4);
  inside.has_alpha = true;
  add("an alpha mask of nothing", BmpOf(56, 32, 3, 0, 0, masks_8888.substr(0, 12) + Le32(0)), 8);
  add("32 bits without masks", BmpOf(108, 32, 0, 0, 0, masks_8888), 8);
  add("run lengths", BmpOf(40, 8, 1, 0, 0, ""), 8, 1);
  add("OS/2 run lengths of 24 bits", BmpOf(64, 24, 4, 0, 0, ""), 8);
  ImageInfo& jpeg = add("JPEG inside", BmpOf(40, 0, 4, 0, 0, ""), std::nullopt);
  jpeg.channels.reset();
  jpeg.has_alpha.reset();
  jpeg.color_space = ColorSpace::kUnknown;
  add("embedded profile", BmpOf(124, 24, 0, 0, 0, std::string(16, '\0') + "DEBM"), 8).has_icc = true;
  add("linked profile", BmpOf(124, 24, 0, 0, 0, std::string(16, '\0') + "KNIL"), 8);
  // Depth by the number of colours.
  std::string icon = Ico(1, {{16, 16}});
  icon[8] = 16;
  icon[12] = 0;
  ImageInfo info;
  info.format = Format::kIco;
  info.variants = {{16, 16, 4, 50}};
  all.Add("16 colours", icon, info, 16, 16);
  // A directory that holds no size: the bitmap's and the PNG's own headers say it.
  std::string open = Ico(1, {{0, 0}, {0, 0}, {24, 24}});
  const std::string bitmap = Le32(40) + Le32(16) + Le32(32);
  const std::string png = Png(512, 300).substr(0, 24);
  info.variants = {{16, 16, 32, 50}, {256, 256, 32, 50}, {24, 24, 32, 50}};
  open.replace(54, bitmap.size(), bitmap);
  all.Add("sides of 0 and a bitmap of 16", open, info, 256, 256);
  open.replace(104, png.size(), png);
  info.variants[1] = {512, 300, 32, 50};
  all.Add("sides of 0 and a PNG of more than 256", open, info, 512, 300);
}

}  // namespace

std::vector<Sample> FieldSamples() {
  Fields all;
  AddJpegs(all);
  AddPngs(all);
  AddGifs(all);
  AddWebps(all);
  AddBitmaps(all);
  AddHeifFields(all);
  AddTiffFields(all);
  return std::move(all.samples);
}

}  // namespace imgfleet::image
