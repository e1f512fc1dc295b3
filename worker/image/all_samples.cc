// The whole files of samples.h, and what must be read from each.
#include <utility>

#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {
void AddJpegs(Collector& all) {
  const std::string exif("Exif\0\0", 6);
  auto add = [&](const std::string& name, std::string bytes, uint32_t w, uint32_t h,
                 uint8_t orientation = 1) -> ImageInfo& {
    ImageInfo& info = all.Add("jpeg, " + name, std::move(bytes), Format::kJpeg, w, h, orientation);
    info.bit_depth = 8;
    info.channels = 3;
    info.has_alpha = false;
    info.progressive = false;
    info.frames = 1;
    info.has_icc = false;
    info.color_space = ColorSpace::kYcbcr;
    return info;
  };
  for (uint8_t sof : {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}) {
    ImageInfo& info = add("SOF" + std::to_string(sof - 0xC0),
                          Jpeg(JpegSegment(0xDB, std::string(65, 'q')) + JpegFrame(sof, 640, 480)), 640, 480);
    info.progressive = sof == 0xC2 || sof == 0xC6 || sof == 0xCA || sof == 0xCE;
    if (sof == 0xC3 || sof == 0xC7 || sof == 0xCB || sof == 0xCF) info.color_space = ColorSpace::kRgb;
  }
  // Tables whose markers lie among the SOFs, with a size inside that is none.
  add("DHT, JPG and DAC are no frames",
      Jpeg(JpegSegment(0xC4, std::string(40, '\1')) + JpegSegment(0xC8, std::string(40, '\1')) +
           JpegSegment(0xCC, std::string(40, '\1')) + JpegFrame(0xC0, 31, 17)),
      31, 17);
  for (uint8_t orientation = 1; orientation <= 8; ++orientation) {
    add("Exif " + std::to_string(orientation),
        Jpeg(JpegSegment(0xE0, std::string("JFIF\0\1\1", 7)) +
             JpegSegment(0xE1, exif + ExifBlock(orientation, orientation % 2)) + JpegFrame(0xC0, 300, 200)),
        300, 200, orientation);
  }
  // A thumbnail is a whole JPEG inside a segment.
  const std::string thumbnail = Jpeg(JpegFrame(0xC0, 16, 12));
  add("huge APPn segments with a thumbnail",
      Jpeg(JpegSegment(0xE1, exif + ExifBlock(6, true) + thumbnail + std::string(60000, 'e')) +
           JpegSegment(0xE2, "ICC_PROFILE" + std::string(65000, 'i')) +
           JpegSegment(0xED, std::string(65000, '\xff')) + JpegFrame(0xC2, 4000, 3000)),
      4000, 3000, 6)
      .progressive = true;
  add("a broken Exif block",
      Jpeg(JpegSegment(0xE1, exif + "II*" + std::string(9, '\xee')) + JpegFrame(0xC0, 9, 8)), 9, 8);
  add("an orientation that is none",
      Jpeg(JpegSegment(0xE1, exif + ExifBlock(9, true)) + JpegFrame(0xC0, 9, 8)), 9, 8);
  add("fill bytes and stray bytes",
      Jpeg("\xff\xff\xff" + JpegSegment(0xFE, "x") + "stray" + JpegFrame(0xC0, 9, 8)), 9, 8);
  add("an empty comment", Jpeg(JpegSegment(0xFE, "") + JpegFrame(0xC0, 9, 8)), 9, 8);
  add("MPO", Jpeg(JpegSegment(0xE2, std::string("MPF\0MM", 6)) + JpegFrame(0xC0, 9, 8)), 9, 8).frames.reset();
  add("height behind the scan (DNL)",
      "\xff\xd8" + JpegFrame(0xC0, 50, 0) + JpegSegment(0xDA, std::string(10, '\0')) +
          std::string("p\xff\0p\xff\xd0p", 7) + JpegSegment(0xDC, Be16(77)) + "\xff\xd9",
      50, 77);
  add("hierarchical (DHP)", Jpeg(JpegFrame(0xDE, 800, 600) + JpegFrame(0xC0, 400, 300)), 800, 600)
      .progressive.reset();
}

void AddPngs(Collector& all) {
  auto add = [&](const std::string& name, std::string bytes, uint32_t w, uint32_t h,
                 uint8_t orientation = 1) -> ImageInfo& {
    ImageInfo& info = all.Add("png, " + name, std::move(bytes), Format::kPng, w, h, orientation);
    info.bit_depth = 8;
    info.channels = 3;
    info.has_alpha = false;
    info.progressive = false;
    info.frames = 1;
    info.has_icc = false;
    info.color_space = ColorSpace::kRgb;
    return info;
  };
  add("plain", Png(30, 20), 30, 20);
  add("with transparency", Png(30, 20, PngChunk("tRNS", "\1\2\3\4\5\6")), 30, 20).has_alpha = true;
  add("Exif before the pixels", Png(30, 20, PngChunk("eXIf", ExifBlock(8, true))), 30, 20, 8);
  add("Exif behind the pixels", Png(30, 20, "", PngChunk("eXIf", ExifBlock(8, true))), 30, 20);
  ImageInfo& animated = add("animated", Png(30, 20, PngChunk("acTL", Be32(7) + Be32(0))), 30, 20);
  animated.animated = true;
  animated.frames = 7;
  animated.loop_count = 0;
  add("animation of one frame", Png(30, 20, PngChunk("acTL", Be32(1) + Be32(0))), 30, 20);
  add("a huge profile", Png(30, 20, PngChunk("iCCP", std::string(200000, 'i')) + PngChunk("gAMA", "1234")),
      30, 20)
      .has_icc = true;
  std::string cgbi = Png(30, 20);
  cgbi.insert(8, PngChunk("CgBI", "\x50\x20\x20\x06"));
  add("Apple's CgBI", cgbi, 30, 20);
}

void AddGifs(Collector& all) {
  auto add = [&](const std::string& name, const std::string& blocks) -> ImageInfo& {
    ImageInfo& info = all.Add("gif, " + name, Gif(99, 66, blocks), Format::kGif, 99, 66);
    info.channels = 1;
    info.bit_depth = 2;
    info.color_space = ColorSpace::kPalette;
    info.has_icc = false;
    return info;
  };
  auto complete = [](ImageInfo& info, uint32_t frames) {
    info.frames = frames;
    info.animated = frames > 1;
    if (info.animated) info.loop_count = 1;
    info.has_alpha = false;
    info.progressive = false;
  };
  complete(add("one image", GifImage(300) + ";"), 1);
  complete(add("one image that claims to loop", GifLoop() + GifImage(300) + ";"), 1);
  complete(add("three images", GifImage(300) + GifImage(10) + GifImage(0) + ";"), 3);
  ImageInfo& looping =
      add("a long first image, looping", GifLoop() + GifImage(20000) + GifImage(20000) + ";");
  looping.animated = true;
  looping.loop_count = 0;
  looping.progressive = false;
  add("a long image", GifImage(20000) + ";").progressive = false;
  add("transparent", std::string("!\xf9\x04\x01\0\0\0\0", 8) + GifImage(20000) + ";").has_alpha = true;
  all.samples.back().expected.progressive = false;
}

void AddWebps(Collector& all) {
  auto add = [&](const std::string& name, const std::string& chunks, bool alpha,
                 uint8_t orientation = 1) -> ImageInfo& {
    ImageInfo& info = all.Add("webp, " + name, Webp(chunks), Format::kWebp, 550, 368, orientation);
    info.bit_depth = 8;
    info.channels = alpha ? 4 : 3;
    info.has_alpha = alpha;
    info.frames = 1;
    info.has_icc = false;
    info.color_space = ColorSpace::kYcbcr;
    return info;
  };
  add("VP8", Vp8(550, 368), false);
  add("VP8L", Vp8l(550, 368, false), false).color_space = ColorSpace::kRgb;
  add("VP8L with alpha", Vp8l(550, 368, true), true).color_space = ColorSpace::kRgb;
  add("VP8X", Vp8x(0x10, 550, 368) + Vp8l(1, 1, true), true).color_space = ColorSpace::kRgb;
  const std::string far = RiffChunk("VP8 ", std::string(100001, 'p'));
  add("VP8X, Exif far behind", Vp8x(0x08, 550, 368) + far + RiffChunk("EXIF", ExifBlock(6, false)), false, 6);
  add("VP8X, Exif with its JPEG prefix",
      Vp8x(0x08, 550, 368) + far + RiffChunk("EXIF", std::string("Exif\0\0", 6) + ExifBlock(5, true)), false,
      5);
  add("VP8X, Exif not announced", Vp8x(0, 550, 368) + far + RiffChunk("EXIF", ExifBlock(6, false)), false);
  add("VP8X, Exif announced but not there", Vp8x(0x08, 550, 368) + far, false);
  ImageInfo& moving = add("animated", Vp8x(0x0A, 550, 368) + RiffChunk("ANIM", "1234\3\1") + far, false);
  moving.animated = true;
  moving.loop_count = 259;
  moving.frames.reset();
  moving.color_space = ColorSpace::kYcbcr;
}

void AddBitmaps(Collector& all) {
  auto add = [&](const std::string& name, uint32_t header, int32_t w, int32_t h,
                 uint16_t bits) -> ImageInfo& {
    ImageInfo& info = all.Add("bmp, " + name, Bmp(header, w, h, bits), Format::kBmp, w, h < 0 ? -h : h);
    info.frames = 1;
    info.bit_depth = bits == 16 ? 5 : 8;
    info.channels = bits == 8 ? 1 : 3;
    info.has_alpha = false;
    info.has_icc = false;
    info.color_space = bits == 8 ? ColorSpace::kPalette : ColorSpace::kRgb;
    return info;
  };
  add("OS/2 1.x", 12, 40, 27, 24);
  add("OS/2 1.x, more than 32767 wide", 12, 40000, 27, 8);
  add("OS/2 2.x, short", 16, 40, 27, 24);
  add("OS/2 2.x", 64, 40, 27, 24);
  add("Windows 3", 40, 40, 27, 8);
  add("from the top down", 40, 40, -27, 24);
  add("version 4", 108, 40, 27, 32);
  add("version 5", 124, 40, 27, 16);
  all.Add("ico, largest in the middle", Ico(1, {{16, 16}, {48, 64}, {32, 32}}), Format::kIco, 48, 64)
      .variants = {{16, 16, 32, 50}, {48, 64, 32, 50}, {32, 32, 32, 50}};
  all.Add("ico, 0 means 256", Ico(1, {{255, 255}, {0, 0}}), Format::kIco, 256, 256).variants = {
      {255, 255, 32, 50}, {256, 256, 32, 50}};
  // What says the depth in an icon is the place that one clicks with in a cursor.
  all.Add("cur", Ico(2, {{32, 32}}), Format::kCur, 32, 32).variants = {{32, 32, 0, 50}};
}

void AddHeifs(Collector& all) {
  auto add = [&](const std::string& name, const HeifFile& file, Format format, uint32_t w, uint32_t h,
                 uint8_t orientation = 1) -> ImageInfo& {
    ImageInfo& info = all.Add("heif, " + name, Heif(file), format, w, h, orientation);
    info.frames = file.items.size();
    info.has_icc = false;
    info.has_alpha = false;
    return info;
  };
  HeifFile file;
  // A thumbnail and a larger depth map before the primary item.
  file.primary = 3;
  file.items = {{1, "hvc1", {1}}, {2, "hvc1", {2}}, {3, "hvc1", {3}}};
  file.properties = {Ispe(160, 120), Ispe(9000, 9000), Ispe(1440, 960), Irot(1),
                     Irot(2),        Irot(3),          Imir(0),         Imir(1)};
  add("the primary item, not the first or largest", file, Format::kHeic, 1440, 960);
  const uint8_t kOrientationOfTurn[] = {8, 3, 6};
  for (uint8_t turns = 1; turns <= 3; ++turns) {
    file.items[2].properties = {3, static_cast<uint8_t>(3 + turns)};
    add("irot " + std::to_string(turns), file, Format::kHeic, 1440, 960, kOrientationOfTurn[turns - 1]);
  }
  file.items[2].properties = {3, 7};
  add("imir, top and bottom", file, Format::kHeic, 1440, 960, 4);
  file.items[2].properties = {3, 8};
  add("imir, left and right", file, Format::kHeic, 1440, 960, 2);
  file.items[2].properties = {3, 6, 8};
  add("irot 3, then imir left and right", file, Format::kHeic, 1440, 960, 5);
  file.items[2].properties = {6, 8, 3, 1};
  add("properties before the size, and a second size", file, Format::kHeic, 1440, 960, 5);

  file.items[2].properties = {3};
  file.mdat_before_meta = 300000;
  add("meta behind the pixels", file, Format::kHeic, 1440, 960);
  file.mdat_before_meta = 0;
  file.items[2].type = "grid";
  add("a grid", file, Format::kHeic, 1440, 960);
  file.major = "mif1";
  file.brands = {"mif1", "miaf"};
  add("a grid, by its tiles", file, Format::kHeic, 1440, 960);
  file.items[2].type = "av01";
  add("AVIF by its item", file, Format::kAvif, 1440, 960);
  file.major = "avis";
  file.brands = {"avis", "avif", "mif1"};
  ImageInfo& sequence = add("AVIF sequence", file, Format::kAvif, 1440, 960);
  sequence.animated = true;
  sequence.frames.reset();

  HeifFile cropped;
  cropped.items = {{1, "hvc1", {1, 2, 3}}};
  cropped.properties = {Ispe(124, 456), Clap(246, 912, 2), Irot(3)};
  ImageInfo& crop = add("clap, then irot", cropped, Format::kHeic, 124, 456, 6);
  crop.display_width = 456;
  crop.display_height = 123;
  cropped.properties.push_back(IsoFullBox("pixi", 0, "\3\12\12\12"));
  cropped.items[0].properties = {1, 4};
  ImageInfo& deep = add("pixi", cropped, Format::kHeic, 124, 456);
  deep.channels = 3;
  deep.bit_depth = 10;
  deep.color_space = ColorSpace::kYcbcr;
  HeifFile coded;
  coded.items = {{1, "hvc1", {1, 2}}};
  coded.properties = {Ispe(64, 48), IsoBox("hvcC", std::string(16, '\1') + "\xfc\xfa" + "more")};
  ImageInfo& grey = add("hvcC, monochrome of 10 bits", coded, Format::kHeic, 64, 48);
  grey.channels = 1;
  grey.bit_depth = 10;
  grey.color_space = ColorSpace::kGray;
  coded.items[0].type = "av01";
  coded.properties[1] = IsoBox("av1C", std::string("\x81\0\x60\0", 4));
  ImageInfo& twelve = add("av1C of 12 bits", coded, Format::kAvif, 64, 48);
  twelve.channels = 3;
  twelve.bit_depth = 12;
  twelve.color_space = ColorSpace::kYcbcr;

  const std::string tkhd = IsoFullBox("tkhd", 7, std::string(72, '\0') + Be32(159u << 16) + Be32(120u << 16));
  all.Add("heif, sequence without meta",
          IsoBox("ftyp", "avis" + Be32(0) + "avismsf1") + IsoBox("free", std::string(50000, 'f')) +
              IsoBox("moov", IsoFullBox("mvhd", 0, std::string(96, '\0')) + IsoBox("trak", tkhd)),
          Format::kAvif, 159, 120)
      .animated = true;
  // A box with a 64-bit size on the way.
  HeifFile last;
  last.items = {{1, "hvc1", {1}}};
  last.properties = {Ispe(64, 48)};
  std::string wide = Heif(last);
  wide.insert(8 + 16, Be32(1) + "mdat" + Be64(16 + 5) + "12345");
  ImageInfo& info = all.Add("heif, a 64-bit box size", wide, Format::kHeic, 64, 48);
  info.frames = 1;
  info.has_icc = false;
  info.has_alpha = false;
}

void AddTiffs(Collector& all) {
  const TiffKind kinds[] = {TiffKind::kLittle, TiffKind::kBig, TiffKind::kBigTiffLittle,
                            TiffKind::kBigTiffBig};
  for (TiffKind kind : kinds) {
    for (size_t gap : {0, 100000}) {
      const std::vector<TiffField> fields = {{256, 3, {333}}, {257, 4, {225}}, {258, 3, {16, 16, 16, 16, 16}},
                                             {274, 3, {5}},   {277, 3, {5}},   {338, 3, {2, 0}}};
      ImageInfo& info = all.Add(
          "tiff, kind " + std::to_string(static_cast<int>(kind)) + (gap ? ", directory far behind" : ""),
          Tiff(kind, fields, gap), Format::kTiff, 333, 225, 5);
      info.bit_depth = 16;
      info.channels = 5;
      info.has_alpha = true;
      info.has_icc = false;
      info.frames = 1;
    }
  }
}
}  // namespace

std::vector<Sample> AllSamples() {
  Collector all;
  AddJpegs(all);
  AddPngs(all);
  AddGifs(all);
  AddWebps(all);
  AddBitmaps(all);
  AddSvgSamples(all);
  AddHeifs(all);
  AddTiffs(all);
  for (Sample& sample : FieldSamples()) all.samples.push_back(std::move(sample));
  AddCodestreamSamples(all);
  AddEncodedSamples(all);
  AddPlainSamples(all);
  AddOddSamples(all);
  return std::move(all.samples);
}

}  // namespace imgfleet::image
