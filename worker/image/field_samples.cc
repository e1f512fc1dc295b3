// Files that tell something beside their size, and what must be read of it.
#include <utility>

#include "worker/image/samples.h"

namespace imgfleet::image {
namespace {

class Fields {
 public:
  // Adds a file; returns what is expected of it, to be completed.
  ImageInfo& Add(const std::string& name, std::string bytes, ImageInfo info, uint32_t width,
                 uint32_t height) {
    info.width = info.display_width = width;
    info.height = info.display_height = height;
    samples.push_back(
        {std::string(FormatName(info.format)) + ", " + name, std::move(bytes), std::move(info)});
    return samples.back().expected;
  }
  std::vector<Sample> samples;
};

ImageInfo Plain(Format format, uint8_t bits, uint8_t channels, ColorSpace colors) {
  ImageInfo info;
  info.format = format;
  info.bit_depth = bits;
  info.channels = channels;
  info.color_space = colors;
  info.has_alpha = false;
  info.has_icc = false;
  info.frames = 1;
  return info;
}

ImageInfo& Dpi(ImageInfo& info, float x, float y) {
  info.dpi_x = x;
  info.dpi_y = y;
  return info;
}

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

std::string Colr(const std::string& content) { return IsoBox("colr", content); }
std::string AuxC(const std::string& name) { return IsoFullBox("auxC", 0, name + std::string(1, '\0')); }

// A picture track of `samples` frames that lasts `once` and is shown until `whole`.
std::string Movie(uint32_t samples, uint32_t once, uint32_t whole, bool repeats) {
  const std::string tkhd = IsoFullBox(
      "tkhd", 7,
      std::string(16, '\0') + Be32(whole) + std::string(52, '\0') + Be32(159u << 16) + Be32(120u << 16));
  const std::string elst =
      IsoFullBox("elst", repeats ? 1 : 0, Be32(1) + Be32(once) + Be32(0) + Be32(0x10000));
  const std::string stbl = IsoBox(
      "stbl", IsoFullBox("stsd", 0, std::string(100, 's')) + IsoFullBox("stsz", 0, Be32(0) + Be32(samples)));
  const std::string mdia = IsoBox("mdia", IsoFullBox("mdhd", 0, std::string(20, '\0')) +
                                              IsoBox("minf", IsoFullBox("vmhd", 1, "") + stbl));
  const std::string sound = IsoBox("trak", IsoFullBox("tkhd", 7, std::string(80, '\0')));
  return IsoBox("moov", IsoFullBox("mvhd", 0, std::string(96, '\0')) + sound +
                            IsoBox("trak", tkhd + IsoBox("edts", elst) + mdia));
}

void AddHeifs(Fields& all) {
  auto add = [&](const std::string& name, const HeifFile& file, uint8_t channels,
                 ColorSpace colors) -> ImageInfo& {
    return all.Add(name, Heif(file), Plain(Format::kAvif, 8, channels, colors), 64, 48);
  };
  HeifFile file;
  file.major = "avif";
  file.brands = {"avif", "mif1"};
  const std::string depth = IsoFullBox("pixi", 0, "\3\x08\x08\x08");
  file.properties = {Ispe(64, 48),
                     depth,
                     Colr("nclx" + Be16(1) + Be16(13) + Be16(0) + "\x80"),
                     Colr("prof" + std::string(500, 'p')),
                     AuxC("urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"),
                     AuxC("urn:mpeg:mpegB:cicp:systems:auxiliary:depth"),
                     AuxC("urn:mpeg:hevc:2015:auxid:1")};
  file.items = {{1, "av01", {1, 2}}};
  add("plain", file, 3, ColorSpace::kYcbcr);
  file.items[0].properties = {1, 2, 3};
  add("RGB as it is", file, 3, ColorSpace::kRgb);
  file.items[0].properties = {1, 2, 4};
  add("profile", file, 3, ColorSpace::kYcbcr).has_icc = true;
  file.items = {{1, "av01", {1, 2}}, {2, "av01", {1, 5}}};
  file.references = ItemReference("auxl", 2, {1});
  add("alpha", file, 4, ColorSpace::kYcbcr).has_alpha = true;
  file.references_last = true;
  add("alpha, references last", file, 4, ColorSpace::kYcbcr).has_alpha = true;
  file.items[1].properties = {7};
  add("alpha by HEVC's name", file, 4, ColorSpace::kYcbcr).has_alpha = true;
  file.items[1].properties = {1, 6};
  add("depth", file, 3, ColorSpace::kYcbcr);
  file.items = {{1, "av01", {1, 2}}, {2, "av01", {1, 5}}, {3, "av01", {1}}, {4, "av01", {1}, true}};
  file.references = ItemReference("thmb", 2, {1});
  add("a thumbnail, a second picture and a hidden one", file, 3, ColorSpace::kYcbcr).frames = 2;
  file.items = {{1, "grid", {1, 2}}, {2, "av01", {1}}, {3, "av01", {1}}};
  file.references = ItemReference("dimg", 1, {2, 3});
  add("a grid of tiles that are not hidden", file, 3, ColorSpace::kYcbcr);
  file.properties.push_back(IsoBox("av1C", std::string("\x81\0\x40\0", 4)));
  file.items = {{1, "grid", {1}}, {2, "av01", {1, 8}}};
  file.references = ItemReference("dimg", 1, {2});
  add("a grid whose samples its tiles tell", file, 3, ColorSpace::kYcbcr).bit_depth = 10;

  HeifFile moving;
  moving.major = "avis";
  moving.brands = {"avis", "avif", "mif1"};
  moving.items = {{1, "av01", {1, 2}}};
  moving.properties = {Ispe(64, 48), depth};
  auto add_movie = [&](const std::string& name, const std::string& movie, uint32_t frames,
                       std::optional<uint32_t> loops) {
    std::string bytes = Heif(moving);
    const size_t mdat = bytes.rfind(IsoBox("mdat", "pixels"));
    bytes.insert(mdat, movie);
    ImageInfo info = Plain(Format::kAvif, 8, 3, ColorSpace::kYcbcr);
    info.animated = frames > 1;
    info.frames = frames;
    info.loop_count = loops;
    all.Add("sequence, " + name, bytes, info, 64, 48);
  };
  add_movie("for ever", Movie(7, 100, 0xFFFFFFFF, true), 7, 0);
  add_movie("two and a half times", Movie(7, 100, 250, true), 7, 3);
  add_movie("once", Movie(7, 100, 100, false), 7, 1);
  add_movie("of one frame", Movie(1, 100, 100, false), 1, std::nullopt);

  ImageInfo track;
  track.format = Format::kAvif;
  track.animated = true;
  track.frames = 9;
  track.loop_count = 0;
  all.Add("sequence without meta, far behind",
          IsoBox("ftyp", "avis" + Be32(0) + "avismsf1") + IsoBox("free", std::string(50000, 'f')) +
              Movie(9, 100, 0xFFFFFFFF, true),
          track, 159, 120);
}

void AddTiffs(Fields& all) {
  auto fields_of = [](uint16_t photometric, std::vector<TiffField> more) {
    std::vector<TiffField> fields = {{256, 3, {10}}, {257, 3, {20}}, {258, 3, {8}}, {262, 3, {photometric}}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  };
  auto add = [&](const std::string& name, uint16_t photometric, std::vector<TiffField> more, uint8_t channels,
                 ColorSpace colors) -> ImageInfo& {
    return all.Add(name, Tiff(TiffKind::kBig, fields_of(photometric, std::move(more)), 0),
                   Plain(Format::kTiff, 8, channels, colors), 10, 20);
  };
  const TiffField three{277, 3, {3}}, four{277, 3, {4}};
  add("white is 0", 0, {}, 1, ColorSpace::kGray);
  add("RGB", 2, {three}, 3, ColorSpace::kRgb);
  add("RGB and what nobody specified", 2, {four, {338, 3, {0}}}, 4, ColorSpace::kRgb);
  add("RGB and alpha", 2, {four, {338, 3, {1}}}, 4, ColorSpace::kRgb).has_alpha = true;
  add("palette", 3, {}, 1, ColorSpace::kPalette);
  add("CMYK", 5, {four}, 4, ColorSpace::kCmyk);
  add("YCbCr", 6, {three}, 3, ColorSpace::kYcbcr);
  add("Lab", 8, {three}, 3, ColorSpace::kLab);
  add("a camera's filters", 32803, {}, 1, ColorSpace::kUnknown);
  add("profile", 1, {{34675, 4, {1, 2, 3}}}, 1, ColorSpace::kGray).has_icc = true;
  for (TiffKind kind : {TiffKind::kLittle, TiffKind::kBig, TiffKind::kBigTiffLittle, TiffKind::kBigTiffBig}) {
    for (size_t gap : {0, 100000}) {
      const std::vector<TiffField> resolution = {{282, 5, {601, 2}}, {283, 5, {72, 1}}, {296, 3, {2}}};
      Dpi(all.Add("resolution, kind " + std::to_string(static_cast<int>(kind)) + (gap ? ", far behind" : ""),
                  Tiff(kind, fields_of(1, resolution), gap), Plain(Format::kTiff, 8, 1, ColorSpace::kGray),
                  10, 20),
          300.5f, 72);
    }
  }
  Dpi(add("resolution per centimetre", 1, {{282, 5, {100, 1}}, {283, 5, {50, 1}}, {296, 3, {3}}}, 1,
          ColorSpace::kGray),
      254, 127);
  add("resolution without a unit", 1, {{282, 5, {100, 1}}, {283, 5, {50, 1}}, {296, 3, {1}}}, 1,
      ColorSpace::kGray);
  // Links to directories behind the first, and one that goes round.
  const std::vector<TiffField> fields = fields_of(1, {{330, 4, {8}}});
  const std::string first = Tiff(TiffKind::kLittle, fields, 0);
  const size_t link = 8 + 2 + 12 * fields.size();
  auto directory = [&](uint32_t next) {
    return Le16(1) + Le16(256) + Le16(3) + Le32(1) + Le32(5) + Le32(next);
  };
  auto linked = [&](const std::string& behind, size_t gap) {
    std::string file = first + std::string(gap, 'p') + behind;
    return file.replace(link, 4, Le32(first.size() + gap));
  };
  auto page = [&](const std::string& name, const std::string& bytes, std::optional<uint32_t> frames) {
    all.Add(name, bytes, Plain(Format::kTiff, 8, 1, ColorSpace::kGray), 10, 20).frames = frames;
  };
  page("three pages", linked(directory(first.size() + 18) + directory(0), 0), 3);
  page("a second page far behind", linked(directory(0), 100000), std::nullopt);
  page("a page behind the end of the file", linked("", 0), std::nullopt);
  page("pages that go round", linked(directory(first.size()), 0), std::nullopt);
}

}  // namespace

std::vector<Sample> FieldSamples() {
  Fields all;
  AddJpegs(all);
  AddPngs(all);
  AddGifs(all);
  AddWebps(all);
  AddBitmaps(all);
  AddHeifs(all);
  AddTiffs(all);
  return std::move(all.samples);
}

}  // namespace imgfleet::image
