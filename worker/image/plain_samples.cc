// Files whose header is a row of fixed fields or lines of text, and what must be read from each.
#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {

std::string One(uint8_t value) { return std::string(1, static_cast<char>(value)); }

// The fields that all of these headers tell.
ImageInfo& Set(ImageInfo& info, uint8_t bits, uint8_t channels, bool alpha, ColorSpace space) {
  info.frames = 1;
  info.bit_depth = bits;
  info.channels = channels;
  info.has_alpha = alpha;
  info.color_space = space;
  return info;
}

std::string PsdResource(uint16_t number, const std::string& name, const std::string& data) {
  const std::string pascal = One(name.size()) + name + (name.size() % 2 ? "" : std::string(1, '\0'));
  return "8BIM" + Be16(number) + pascal + Be32(data.size()) + data + (data.size() % 2 ? "." : "");
}

void AddPsds(Collector& all) {
  const std::string resolution =
      PsdResource(0x03ED, "", Be32(0x01288000) + Be32(0x00010001) + Be32(0x00480000) + Be32(0x00010001));
  auto add = [&](const std::string& name, const std::string& bytes) -> ImageInfo& {
    return all.Add("psd, " + name, bytes, Format::kPsd, 640, 400);
  };
  auto resolved = [](ImageInfo& info) -> ImageInfo& {
    info.dpi_x = 296.5;
    info.dpi_y = 72;
    return info;
  };
  ImageInfo& rgb = add(
      "RGB, a profile and a resolution",
      Psd(1, 3, 8, 3, "",
          PsdResource(0x03E8, "name", "12345") + resolution + PsdResource(0x040F, "x", std::string(301, 'i')),
          Be32(0)));
  resolved(Set(rgb, 8, 3, false, ColorSpace::kRgb));
  rgb.has_icc = true;
  for (bool wide : {false, true}) {
    const std::string layers = wide ? Be64(100) + Be64(90) : Be32(100) + Be32(90);
    ImageInfo& info = add(wide ? "PSB, layers and transparency" : "layers and transparency",
                          Psd(wide ? 2 : 1, 4, 16, 3, "", resolution, layers + Be16(0xFFFE) + "layers"));
    resolved(Set(info, 16, 4, true, ColorSpace::kRgb)).has_icc = false;
  }
  ImageInfo& mask = add("a fifth channel that is no transparency",
                        Psd(1, 5, 8, 4, "", resolution, Be32(100) + Be32(90) + Be16(2) + "layers"));
  resolved(Set(mask, 8, 5, false, ColorSpace::kCmyk));
  mask.has_alpha.reset();
  mask.has_icc = false;
  Set(add("indexed", Psd(1, 1, 8, 2, std::string(768, 'p'), "", Be32(0))), 8, 1, false, ColorSpace::kPalette)
      .has_icc = false;
  Set(add("bitmap", Psd(1, 1, 1, 0, "", "", Be32(0))), 1, 1, false, ColorSpace::kGray).has_icc = false;
  Set(add("Lab of 32 bits, a long thumbnail before the profile",
          Psd(1, 3, 32, 9, "",
              resolution + PsdResource(0x040C, "", std::string(60000, 't')) + PsdResource(0x040F, "", "icc"),
              Be32(0))),
      32, 3, false, ColorSpace::kLab);
  resolved(all.samples.back().expected);
  Set(add("multichannel", Psd(1, 2, 8, 7, "", "", Be32(0))), 8, 2, false, ColorSpace::kUnknown)
      .has_alpha.reset();
  all.samples.back().expected.has_icc = false;
}

// A pixel format of `flags`, `code`, `bits` and masks; `extended` is what follows the header.
std::string Dds(uint32_t flags, const std::string& code, uint32_t bits, const std::vector<uint32_t>& masks,
                uint32_t capabilities = 0, const std::string& extended = "") {
  std::string file = "DDS " + Le32(124) + Le32(0x1007) + Le32(298) + Le32(690) + std::string(56, '\0') +
                     Le32(32) + Le32(flags) + code + Le32(bits);
  for (uint32_t mask : masks) file += Le32(mask);
  return file + Le32(0x1000) + Le32(capabilities) + std::string(12, '\0') + extended + "pixels";
}
std::string Dx10(uint32_t format, uint32_t array = 1, uint32_t alpha = 0) {
  return Dds(4, "DX10", 0, {0, 0, 0, 0}, 0, Le32(format) + Le32(3) + Le32(0) + Le32(array) + Le32(alpha));
}

void AddDdss(Collector& all) {
  auto add = [&](const std::string& name, const std::string& bytes) -> ImageInfo& {
    ImageInfo& info = all.Add("dds, " + name, bytes, Format::kDds, 690, 298);
    info.has_icc = false;
    info.frames = 1;
    return info;
  };
  const std::string none(4, '\0');
  add("DXT1", Dds(4, "DXT1", 0, {0, 0, 0, 0})).bit_depth = 8;
  Set(add("DXT5", Dds(4, "DXT5", 0, {0, 0, 0, 0})), 8, 4, true, ColorSpace::kRgb);
  Set(add("ATI2", Dds(4, "ATI2", 0, {0, 0, 0, 0})), 8, 2, false, ColorSpace::kUnknown);
  Set(add("Direct3D 9's number", Dds(4, Le32(113), 0, {0, 0, 0, 0})), 16, 4, true, ColorSpace::kRgb);
  Set(add("masks, with alpha", Dds(0x41, none, 32, {0xFF, 0xFF00, 0xFF0000, 0xFF000000})), 8, 4, true,
      ColorSpace::kRgb);
  Set(add("masks of unlike width", Dds(0x40, none, 16, {0xF800, 0x07E0, 0x001F, 0})), 0, 3, false,
      ColorSpace::kRgb)
      .bit_depth.reset();
  Set(add("luminance", Dds(0x20000, none, 8, {0xFF, 0, 0, 0})), 8, 1, false, ColorSpace::kGray);
  Set(add("luminance and alpha", Dds(0x20001, none, 16, {0xFF, 0, 0, 0xFF00})), 8, 2, true,
      ColorSpace::kGray);
  Set(add("palette", Dds(0x20, none, 8, {0, 0, 0, 0})), 8, 1, false, ColorSpace::kPalette).has_alpha.reset();
  Set(add("cube map", Dds(0x40, none, 24, {0xFF, 0xFF00, 0xFF0000, 0}, 0xFE00)), 8, 3, false,
      ColorSpace::kRgb)
      .frames.reset();
  Set(add("DX10, BC7", Dx10(98)), 8, 4, true, ColorSpace::kRgb);
  Set(add("DX10, BC7 that is opaque", Dx10(98, 1, 3)), 8, 4, false, ColorSpace::kRgb);
  Set(add("DX10, BC6H", Dx10(95)), 16, 3, false, ColorSpace::kRgb);
  Set(add("DX10, R16 in an array", Dx10(56, 6)), 16, 1, false, ColorSpace::kUnknown).frames.reset();
  add("DX10, a format of tomorrow", Dx10(4000));
}

void AddIcons(Collector& all) {
  auto add = [&](const std::string& name, const std::vector<IcnsEntry>& entries, bool contents,
                 uint32_t side) {
    all.Add("icns, " + name, Icns(entries, contents), Format::kIcns, side, side).variants.clear();
    return &all.samples.back().expected.variants;
  };
  *add("old ones with masks", {{"ICN#", 256}, {"is32", 300}, {"s8mk", 256}, {"it32", 5000}, {"t8mk", 128}},
       false, 128) = {{32, 32, 1, 256}, {16, 16, 24, 300}, {128, 128, 24, 5000}};
  *add("pictures far apart", {{"ic10", 50000}, {"ic13", 50000}, {"name", 4}, {"ic04", 77}}, false, 1024) = {
      {1024, 1024, 0, 50000}, {256, 256, 0, 50000}, {16, 16, 32, 77}};
  *add("a table of contents", {{"ic11", 90000}, {"ic14", 90000}, {"ic08", 10}}, true, 512) = {
      {32, 32, 0, 90000}, {512, 512, 0, 90000}, {256, 256, 0, 10}};
}

void AddTgas(Collector& all) {
  auto add = [&](const std::string& name, uint8_t kind, uint8_t bits, uint8_t descriptor,
                 const std::string& map = std::string(5, '\0')) -> ImageInfo& {
    const std::string file = One(3) + One(map[4] != 0) + One(kind) + map + Le16(0) + Le16(0) + Le16(350) +
                             Le16(280) + One(bits) + One(descriptor) + "id." + "pixels";
    ImageInfo& info = all.Add("tga, " + name, file, Format::kTga, 350, 280);
    info.has_icc = false;
    return info;
  };
  const std::string map = Le16(0) + Le16(256) + One(24);
  Set(add("palette", 1, 8, 0, map), 8, 1, false, ColorSpace::kPalette);
  Set(add("palette with alpha, packed", 9, 8, 0, Le16(0) + Le16(256) + One(32)), 8, 1, false,
      ColorSpace::kPalette)
      .has_alpha.reset();
  Set(add("24 bits", 2, 24, 0x20), 8, 3, false, ColorSpace::kRgb);
  Set(add("24 bits and a palette", 10, 24, 0, map), 8, 3, false, ColorSpace::kRgb);
  Set(add("32 bits", 10, 32, 8), 8, 4, true, ColorSpace::kRgb);
  Set(add("32 bits, no alpha said", 2, 32, 0), 8, 4, true, ColorSpace::kRgb).has_alpha.reset();
  Set(add("16 bits", 2, 16, 0), 5, 3, false, ColorSpace::kRgb);
  Set(add("16 bits, one of them alpha", 10, 16, 1), 5, 4, true, ColorSpace::kRgb);
  Set(add("grey", 3, 8, 0x30), 8, 1, false, ColorSpace::kGray);
  Set(add("grey and alpha", 11, 16, 8), 8, 2, true, ColorSpace::kGray);
  ImageInfo& sixteen = add("grey of 16 bits, or not", 3, 16, 0);
  sixteen.frames = 1;
  sixteen.color_space = ColorSpace::kGray;
}

void AddNetpbms(Collector& all) {
  auto add = [&](const std::string& text, uint32_t w, uint32_t h) -> ImageInfo& {
    return all.Add("pnm, " + text.substr(0, 60), text + "pixels, pixels", Format::kPnm, w, h);
  };
  auto moving = [](ImageInfo& info) { info.frames.reset(); };
  Set(add("P1\n# a comment\n24 7\n", 24, 7), 1, 1, false, ColorSpace::kGray);
  Set(add("P2 24\t7 15\n", 24, 7), 4, 1, false, ColorSpace::kGray);
  Set(add("P3#5\r#6 7\n24#8\n 7\r\n\r\n255\n", 24, 7), 8, 3, false, ColorSpace::kRgb);
  moving(Set(add("P4\n1234567 1\n", 1234567, 1), 1, 1, false, ColorSpace::kGray));
  moving(Set(add("P5\n24 7\n65535\n", 24, 7), 16, 1, false, ColorSpace::kGray));
  moving(Set(add("P6\n24\n7\n256\n", 24, 7), 9, 3, false, ColorSpace::kRgb));
  moving(Set(add("P6\n#" + std::string(20000, '#') + "\n24 7 255\n", 24, 7), 8, 3, false, ColorSpace::kRgb));
  Set(add("PF\n24 7\n-1.000000\n", 24, 7), 32, 3, false, ColorSpace::kRgb);
  Set(add("Pf\n24 7\n1e3\n", 24, 7), 32, 1, false, ColorSpace::kGray);
  moving(Set(
      add("P7\nWIDTH 24\n# a comment\nHEIGHT 7\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n", 24, 7), 8,
      4, true, ColorSpace::kRgb));
  moving(Set(add("P7\n\nTUPLTYPE BLACKANDWHITE\nMAXVAL 1\nHEIGHT  7 \r\nWIDTH\t24\nDEPTH 1\nENDHDR\n", 24, 7),
             1, 1, false, ColorSpace::kGray));
  ImageInfo& own =
      Set(add("P7\nWIDTH 24\nHEIGHT 7\nDEPTH 300\nMAXVAL 7\nTUPLTYPE of my own\nENDHDR\n", 24, 7), 3, 0,
          false, ColorSpace::kUnknown);
  moving(own);
  own.channels.reset();
  own.has_alpha.reset();
}

void AddHdrs(Collector& all) {
  auto add = [&](const std::string& head, const std::string& size, uint8_t orientation) -> ImageInfo& {
    const std::string file = head + "\n" + size + "\npixels, pixels";
    ImageInfo& info = all.Add("hdr, " + size, file, Format::kHdr, 640, 480, orientation);
    Set(info, 0, 3, false, ColorSpace::kRgb).bit_depth.reset();
    return info;
  };
  const std::string head = "#?RADIANCE\n# a comment\nEXPOSURE= 1.5\nFORMAT=32-bit_rle_rgbe\n";
  const char* const kOrders[8] = {"-Y 480 +X 640", "-Y 480 -X 640", "+Y 480 -X 640", "+Y 480 +X 640",
                                  "+X 480 -Y 640", "-X 480 -Y 640", "-X 480 +Y 640", "+X 480 +Y 640"};
  for (uint8_t orientation = 1; orientation <= 8; ++orientation) {
    add(head, kOrders[orientation - 1], orientation);
  }
  add("#?RGBE\r\nFORMAT=32-bit_rle_xyze\r\n\r", "-Y 480  +X 640\r", 1).color_space = ColorSpace::kUnknown;
  add("#?RADIANCE\nSOFTWARE=" + std::string(20000, 'x') + "\n", "-Y 480 +X 640", 1).color_space =
      ColorSpace::kUnknown;
}

void AddPcxs(Collector& all) {
  auto add = [&](const std::string& name, uint8_t version, uint8_t bits, uint8_t planes, uint16_t dpi,
                 uint16_t palette = 1) -> ImageInfo& {
    const std::string file = "\x0a" + One(version) + "\1" + One(bits) + Le16(10) + Le16(20) + Le16(109) +
                             Le16(69) + Le16(dpi) + Le16(dpi) + std::string(48, 'p') + One(0) + One(planes) +
                             Le16(bits == 8 ? 100 : 52) + Le16(palette) + std::string(58, '\0') + "pixels";
    ImageInfo& info = all.Add("pcx, " + name, file, Format::kPcx, 100, 50);
    info.has_icc = false;
    return info;
  };
  Set(add("monochrome", 0, 1, 1, 0), 1, 1, false, ColorSpace::kGray);
  Set(add("16 colours in four planes", 2, 1, 4, 0), 4, 1, false, ColorSpace::kPalette);
  Set(add("16 colours", 3, 4, 1, 0), 4, 1, false, ColorSpace::kPalette);
  ImageInfo& colours = Set(add("256 colours", 5, 8, 1, 300), 8, 1, false, ColorSpace::kPalette);
  colours.dpi_x = colours.dpi_y = 300;
  Set(add("grey", 5, 8, 1, 0, 2), 8, 1, false, ColorSpace::kGray);
  Set(add("RGB", 5, 8, 3, 0), 8, 3, false, ColorSpace::kRgb);
  Set(add("RGB and alpha", 5, 8, 4, 0), 8, 4, true, ColorSpace::kRgb);
}

}  // namespace

std::string Psd(uint16_t version, uint16_t channels, uint16_t depth, uint16_t mode,
                const std::string& colours, const std::string& resources, const std::string& layers) {
  return "8BPS" + Be16(version) + std::string(6, '\0') + Be16(channels) + Be32(400) + Be32(640) +
         Be16(depth) + Be16(mode) + Be32(colours.size()) + colours + Be32(resources.size()) + resources +
         layers + std::string(100, 'l');
}

std::string Qoi(uint32_t width, uint32_t height, uint8_t channels) {
  return "qoif" + Be32(width) + Be32(height) + One(channels) + One(1) + "pixels";
}

std::string Icns(const std::vector<IcnsEntry>& entries, bool contents) {
  std::string list, icons;
  for (const IcnsEntry& entry : entries) {
    const std::string head = entry.type + Be32(8 + entry.bytes);
    list += head;
    icons += head + std::string(entry.bytes, 'i');
  }
  if (contents) icons = "TOC " + Be32(8 + list.size()) + list + icons;
  return "icns" + Be32(8 + icons.size()) + icons;
}

void AddPlainSamples(Collector& all) {
  AddPsds(all);
  for (uint8_t channels : {3, 4}) {
    Set(all.Add("qoi", Qoi(735, 588, channels), Format::kQoi, 735, 588), 8, channels, channels == 4,
        ColorSpace::kRgb)
        .has_icc = false;
  }
  AddDdss(all);
  AddIcons(all);
  AddTgas(all);
  AddNetpbms(all);
  AddHdrs(all);
  AddPcxs(all);
}

}  // namespace imgfleet::image
