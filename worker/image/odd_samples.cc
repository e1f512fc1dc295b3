// Files as few programs write them, but some do: what the specifications allow and readers get wrong.
#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {

void AddJpegs(Collector& all) {
  // libjpeg takes a JFIF segment for one only if it has room for all fields; then the components' names decide.
  const std::string frame = "\x08" + Be16(20) + Be16(10) + "\3R\x11" + std::string(1, '\0') + "G\x11" +
                            std::string(1, '\0') + "B\x11" + std::string(1, '\0');
  for (const bool whole : {false, true}) {
    const std::string jfif =
        std::string("JFIF\0\1\2\1", 8) + Be16(300) + Be16(300) + std::string(whole ? 2 : 1, '\0');
    ImageInfo& info =
        all.Add(whole ? "jpeg, JFIF over names" : "jpeg, names over a short JFIF",
                Jpeg(JpegSegment(0xE0, jfif) + JpegSegment(0xC0, frame)), Format::kJpeg, 10, 20);
    info.channels = 3;
    info.bit_depth = 8;
    info.frames = 1;
    info.has_alpha = info.has_icc = info.progressive = false;
    info.color_space = whole ? ColorSpace::kYcbcr : ColorSpace::kRgb;
    if (whole) info.dpi_x = info.dpi_y = 300;
  }
}

void AddGifs(Collector& all) {
  ImageInfo& info = all.Add("gif, a second image behind 10 KB",
                            Gif(99, 66, GifImage(10000) + GifImage(10) + ";"), Format::kGif, 99, 66);
  info.channels = 1;
  info.bit_depth = 2;
  info.color_space = ColorSpace::kPalette;
  info.animated = true;
  info.frames = 2;
  info.loop_count = 1;
  info.has_icc = info.has_alpha = info.progressive = false;
}

void AddWebps(Collector& all) {
  ImageInfo& info =
      all.Add("webp, animation whose Exif lies before a long history",
              Webp(Vp8x(0x0E, 550, 368) + RiffChunk("ANMF", std::string(40001, 'f')) +
                   RiffChunk("EXIF", ExifBlock(6, true)) + RiffChunk("XMP ", std::string(20001, 'x'))),
              Format::kWebp, 550, 368, 6);
  info.animated = true;
  info.bit_depth = 8;
  info.channels = 3;
  info.has_alpha = info.has_icc = false;
}

void AddTiffs(Collector& all) {
  auto add = [&](const std::string& name, const std::vector<TiffField>& fields) -> ImageInfo& {
    ImageInfo& info = all.Add("tiff, " + name, Tiff(TiffKind::kLittle, fields, 0), Format::kTiff, 333, 225);
    info.bit_depth = 1;
    info.channels = 1;
    info.frames = 1;
    info.has_alpha = info.has_icc = false;
    return info;
  };
  // BitsPerSample is 1 where it is not written.
  add("one bit", {{256, 3, {333}}, {257, 3, {225}}, {262, 3, {0}}}).color_space = ColorSpace::kGray;
  add("a page with smaller versions of itself", {{256, 3, {333}}, {257, 3, {225}}, {330, 4, {8}}});
  add("a smaller version alone", {{254, 4, {1}}, {256, 3, {333}}, {257, 3, {225}}});
  // Signed numbers, as libtiff takes them too. Two bytes (SSHORT) lie like a SHORT, four (SLONG) like a LONG.
  std::string bytes = Tiff(TiffKind::kLittle, {{256, 3, {333}}, {257, 4, {225}}}, 0);
  bytes[8 + 2 + 2] = 8;
  bytes[8 + 2 + 12 + 2] = 9;
  ImageInfo& signed_sides = add("signed sides", {});
  all.samples.back().bytes = bytes;
  signed_sides.bit_depth = 1;
}

struct WideItem {
  uint32_t id;
  std::string type;
  std::vector<uint16_t> properties;
};

// A HEIF whose ids take 32 bits and whose property indices take 16: version 1 of pitm, iref and ipma, 3 of infe.
std::string WideHeif(uint32_t primary, const std::vector<WideItem>& items, const std::string& properties,
                     const std::string& references = "") {
  std::string entries, associations;
  for (const WideItem& item : items) {
    entries += IsoFullBox("infe", 3u << 24, Be32(item.id) + Be16(0) + item.type + std::string(1, '\0'));
    associations += Be32(item.id) + static_cast<char>(item.properties.size());
    for (const uint16_t index : item.properties) associations += Be16(0x8000 | index);
  }
  constexpr uint32_t kVersion1 = 1u << 24, kWideIndices = 1;
  return IsoBox("ftyp", "mif1" + Be32(0) + "mif1heic") +
         IsoFullBox(
             "meta", 0,
             IsoFullBox("hdlr", 0, Be32(0) + "pict" + std::string(13, '\0')) +
                 IsoFullBox("pitm", kVersion1, Be32(primary)) +
                 IsoFullBox("iinf", kVersion1, Be32(items.size()) + entries) +
                 IsoFullBox("iref", kVersion1, references) +
                 IsoBox("iprp", IsoBox("ipco", properties) + IsoFullBox("ipma", kVersion1 | kWideIndices,
                                                                        Be32(items.size()) + associations)));
}

void AddHeifs(Collector& all) {
  auto add = [&](const std::string& name, const std::string& bytes, uint32_t w, uint32_t h,
                 uint8_t orientation = 1) -> ImageInfo& {
    ImageInfo& info = all.Add("heif, " + name, bytes, Format::kHeic, w, h, orientation);
    info.frames = 1;
    info.has_icc = info.has_alpha = false;
    return info;
  };
  const std::string sizes = Ispe(160, 120) + Ispe(1440, 960) + Irot(1);
  add("ids of 32 bits", WideHeif(70001, {{1, "hvc1", {1}}, {70001, "hvc1", {2, 3}}}, sizes), 1440, 960, 8)
      .frames = 2;
  // An overlay's size is its canvas', whatever lies on it; what it is made of may be turned for itself.
  const std::string made_of = IsoBox("dimg", Be32(70001) + Be16(1) + Be32(1));
  add("an overlay", WideHeif(70001, {{1, "hvc1", {1, 3}}, {70001, "iovl", {2}}}, sizes, made_of), 1440, 960);
  add("an image derived from another as it is",
      WideHeif(70001, {{1, "hvc1", {1}}, {70001, "iden", {2, 3}}}, sizes, made_of), 1440, 960, 8);
  add("a grid whose tiles have the profile",
      WideHeif(70001, {{1, "hvc1", {1, 4}}, {70001, "grid", {2}}},
               sizes + IsoBox("colr", "prof" + std::string(90, 'p')), made_of),
      1440, 960)
      .has_icc = true;
  HeifFile turned;
  turned.items = {{1, "hvc1", {1, 3, 2}}};
  turned.properties = {Ispe(124, 456), Clap(200, 100, 1), Irot(1)};
  // Only the sides that the image has can be cut.
  ImageInfo& crop = add("irot, then a wider clap", Heif(turned), 124, 456, 8);
  crop.display_width = 200;
  crop.display_height = 100;

  // The meta box of a sequence may be about anything: a picture beside the tracks is not demanded.
  const std::string tkhd = IsoFullBox("tkhd", 7, std::string(72, '\0') + Be32(159u << 16) + Be32(120u << 16));
  const std::string about =
      IsoFullBox("meta", 0, IsoFullBox("hdlr", 0, Be32(0) + "ID32" + std::string(13, '\0')));
  ImageInfo& sequence =
      all.Add("heif, sequence with a meta box about something else",
              IsoBox("ftyp", "msf1" + Be32(0) + "msf1hevc") + about + IsoBox("moov", IsoBox("trak", tkhd)),
              Format::kHeic, 159, 120);
  sequence.animated = true;
}

}  // namespace

void AddOddSamples(Collector& all) {
  AddJpegs(all);
  AddGifs(all);
  AddWebps(all);
  AddTiffs(all);
  AddHeifs(all);
}

}  // namespace imgfleet::image
