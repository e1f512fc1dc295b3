// HEIFs and TIFFs that tell something beside their size.
#include "worker/image/field_collector.h"

namespace imgfleet::image {
namespace {

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

}  // namespace

void AddHeifFields(Fields& all) {
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

void AddTiffFields(Fields& all) {
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

}  // namespace imgfleet::image
