// JPEG XL and JPEG 2000 files, and what must be read from each.
#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {

// Bits as JPEG XL writes them: the lowest of each byte first.
class Bits {
 public:
  Bits& Put(uint64_t value, int count) {
    for (int i = 0; i < count; ++i, ++used_) {
      if (used_ % 8 == 0) bytes_ += '\0';
      bytes_.back() = static_cast<char>(bytes_.back() | (value >> i & 1) << used_ % 8);
    }
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  int used_ = 0;
};

// `way` of 0 to 3 chooses 9, 13, 18 or 30 bits.
void PutSide(Bits& bits, uint32_t side, int way) {
  constexpr int kBits[4] = {9, 13, 18, 30};
  bits.Put(way, 2).Put(side - 1, kBits[way]);
}
void PutSize(Bits& bits, uint32_t width, uint32_t height, int way = 1) {
  bits.Put(0, 1);
  PutSide(bits, height, way);
  bits.Put(0, 3);
  PutSide(bits, width, way);
}
// Metadata as long as it can be until the fields that tell nothing to us; each of these steps adds to it.
void PutOrientation(Bits& bits, uint8_t orientation) { bits.Put(0, 1).Put(1, 1).Put(orientation - 1, 3); }
void PutDepth8(Bits& bits) { bits.Put(0, 1).Put(0, 2); }

std::string Naked(const Bits& bits) { return "\xff\x0a" + bits.bytes() + "and then the pixels"; }

std::string JxlFile(const std::string& boxes) {
  return IsoBox("JXL ", "\r\n\x87\n") + IsoBox("ftyp", "jxl " + Be32(0) + "jxl ") + boxes;
}

ImageInfo& AddJxl(Collector& all, const std::string& name, const std::string& bytes, uint32_t w, uint32_t h,
                  uint8_t orientation = 1) {
  ImageInfo& info = all.Add("jxl, " + name, bytes, Format::kJxl, w, h, orientation);
  info.frames = 1;
  info.channels = 3;
  info.bit_depth = 8;
  info.has_alpha = info.has_icc = false;
  info.color_space = ColorSpace::kXyb;
  return info;
}

void AddJxlSizes(Collector& all) {
  AddJxl(all, "multiples of 8", Naked(Bits().Put(1, 1).Put(5, 5).Put(0, 3).Put(7, 5).Put(1, 1)), 64, 48);
  constexpr uint32_t kWidths[8] = {0, 1000, 1200, 1333, 1500, 1777, 1250, 2000};
  for (uint32_t ratio = 1; ratio <= 7; ++ratio) {
    Bits bits;
    bits.Put(0, 1);
    PutSide(bits, 1000, 1);
    AddJxl(all, "ratio " + std::to_string(ratio), Naked(bits.Put(ratio, 3).Put(1, 1)), kWidths[ratio], 1000);
  }
  constexpr uint32_t kSides[4] = {512, 8192, 262144, 1u << 30};
  for (int way = 0; way < 4; ++way) {
    Bits bits;
    PutSize(bits, kSides[way], kSides[way] - 7, way);
    AddJxl(all, "size of kind " + std::to_string(way), Naked(bits.Put(1, 1)), kSides[way], kSides[way] - 7);
  }
  for (uint8_t orientation = 1; orientation <= 8; ++orientation) {
    Bits bits;
    PutSize(bits, 300, 200);
    PutOrientation(bits, orientation);
    PutDepth8(bits.Put(0, 3));
    bits.Put(1, 1).Put(0, 2).Put(1, 1).Put(1, 1);
    AddJxl(all, "orientation " + std::to_string(orientation), Naked(bits), 300, 200, orientation);
  }
}

// Every field that may stand before the colours.
Bits EverythingJxl() {
  Bits bits;
  PutSize(bits, 300, 200);
  PutOrientation(bits, 6);
  bits.Put(1, 1).Put(1, 1).Put(3, 5).Put(1, 3);             // Shown on pages as 32x32.
  bits.Put(1, 1).Put(0, 1).Put(1, 2).Put(99, 8).Put(0, 3);  // A preview, 164 high
  bits.Put(3, 2).Put(777, 12);                              // and 2122 wide.
  bits.Put(1, 1).Put(2, 2).Put(24, 10).Put(0, 2);           // 25 frames a second,
  bits.Put(1, 2).Put(5, 3).Put(1, 1);                       // shown five times.
  bits.Put(1, 1).Put(1, 2).Put(4, 4);                       // 16 bits, floating point.
  bits.Put(0, 1).Put(2, 2).Put(2, 4);                       // Four more channels:
  bits.Put(1, 1);                                           // opacity,
  bits.Put(0, 1).Put(2, 2).Put(2, 4);                       // black,
  PutDepth8(bits);
  bits.Put(0, 2).Put(1, 2).Put(3, 4).Put(0x636261, 24);              // called "abc",
  bits.Put(0, 1).Put(2, 2).Put(0, 4).Put(0, 1).Put(3, 2).Put(0, 6);  // a spot colour of one bit,
  bits.Put(3, 2).Put(5, 3).Put(3, 2).Put(9, 10);                     // with a name of 57 letters,
  for (int i = 0; i < 57; ++i) bits.Put('n', 8);
  bits.Put(0x3c003c003c003c00, 64);
  bits.Put(0, 1).Put(2, 2).Put(3, 4);  // a colour filter array.
  PutDepth8(bits);
  bits.Put(0, 2).Put(0, 2).Put(2, 2).Put(7, 4);
  bits.Put(0, 1).Put(0, 1).Put(1, 1).Put(0, 2);  // Not XYB; a profile, RGB.
  return bits;
}

void AddJxlKinds(Collector& all) {
  auto everything = [&](const std::string& name, const std::string& bytes) {
    ImageInfo& info = AddJxl(all, name, bytes, 300, 200, 6);
    info.animated = true;
    info.frames.reset();
    info.loop_count = 5;
    info.bit_depth = 16;
    info.channels = 7;
    info.has_alpha = info.has_icc = true;
    info.color_space = ColorSpace::kCmyk;
  };
  const std::string codestream = Naked(EverythingJxl());
  everything("all fields", codestream);
  Bits grey;
  PutSize(grey, 300, 200);
  grey.Put(0, 1).Put(0, 1).Put(0, 1).Put(2, 2).Put(1, 1).Put(0, 2);  // 12 bits, no other channel,
  grey.Put(0, 1).Put(0, 1).Put(0, 1).Put(1, 2);                      // not XYB, no profile, grey.
  ImageInfo& info = AddJxl(all, "grey", Naked(grey), 300, 200);
  info.channels = 1;
  info.bit_depth = 12;
  info.color_space = ColorSpace::kGray;

  everything("in a box", JxlFile(IsoBox("jxll", "\x0a") + IsoBox("Exif", Be32(0) + ExifBlock(3, true)) +
                                 IsoBox("jxlc", codestream) + IsoBox("xml ", "<x/>")));
  everything("in a box to the end of the file", JxlFile(Be32(0) + "jxlc" + codestream));
  everything("in a box of 64 bits, far behind", JxlFile(IsoBox("jbrd", std::string(100000, 'j')) + Be32(1) +
                                                        "jxlc" + Be64(16 + codestream.size()) + codestream));
  // A byte in each piece, empty pieces and other boxes between them; the rest in a last one.
  std::string pieces;
  uint32_t number = 0;
  for (size_t i = 0; i < 40; ++i) {
    pieces += IsoBox("jxlp", Be32(number++) + codestream[i]);
    if (i % 7 == 0) pieces += IsoBox("jxlp", Be32(number++));
    if (i % 11 == 0) pieces += IsoBox("free", "in between");
  }
  everything("in pieces",
             JxlFile(pieces + IsoBox("jxlp", Be32(0x80000000 | number) + codestream.substr(40))));
  everything("in two pieces far apart", JxlFile(IsoBox("jxlp", Be32(0) + codestream.substr(0, 2)) +
                                                IsoBox("jbrd", std::string(100000, 'j')) + Be32(0) + "jxlp" +
                                                Be32(0x80000001) + codestream.substr(2)));
}

std::string Jp2File(const std::string& boxes, const std::string& brand = "jp2 ") {
  return IsoBox("jP  ", "\r\n\x87\n") + IsoBox("ftyp", brand + Be32(0) + brand) + boxes;
}
std::string Ihdr(uint32_t w, uint32_t h, uint16_t components, uint8_t depth) {
  return IsoBox(
      "ihdr", Be32(h) + Be32(w) + Be16(components) + static_cast<char>(depth) + "\7" + std::string(2, '\0'));
}
std::string Colr(uint32_t number) { return IsoBox("colr", std::string("\1\0\0", 3) + Be32(number)); }
std::string Profile(const std::string& space) {
  return IsoBox("colr", std::string("\2\0\0", 3) + std::string(16, 'i') + space + std::string(400, 'i'));
}
std::string Cdef(const std::vector<uint16_t>& kinds) {
  std::string entries;
  for (size_t i = 0; i < kinds.size(); ++i) entries += Be16(i) + Be16(kinds[i]) + Be16(i + 1);
  return IsoBox("cdef", Be16(kinds.size()) + entries);
}

void AddJ2ks(Collector& all) {
  auto add = [&](const std::string& name, const std::string& bytes, uint32_t w, uint32_t h) -> ImageInfo& {
    ImageInfo& info = all.Add("j2k, " + name, bytes, Format::kJ2k, w, h);
    info.frames = 1;
    info.bit_depth = 8;
    info.channels = 3;
    return info;
  };
  add("no offset", J2k(640, 480, 0, 0, {7, 7, 7}), 640, 480);
  add("an offset on the grid", J2k(640, 480, 140, 80, {7, 7, 7}), 500, 400);
  ImageInfo& mixed = add("components of unlike depth", J2k(640, 480, 0, 1, {7, 0x8B}), 640, 479);
  mixed.channels = 2;
  mixed.bit_depth.reset();
  ImageInfo& many = add("400 signed components", J2k(9, 8, 1, 0, std::vector<uint8_t>(400, 0x8B)), 8, 8);
  many.channels.reset();
  many.bit_depth = 12;
}

void AddJp2s(Collector& all) {
  const std::string codestream = J2k(640, 480, 140, 80, {7, 7, 7});
  const std::string pixels = IsoBox("jp2c", codestream);
  auto add = [&](const std::string& name, const std::string& boxes) -> ImageInfo& {
    ImageInfo& info = all.Add("jp2, " + name, Jp2File(boxes), Format::kJp2, 500, 400);
    info.frames = 1;
    info.bit_depth = 8;
    info.channels = 3;
    info.has_alpha = info.has_icc = false;
    info.color_space = ColorSpace::kRgb;
    return info;
  };
  const std::string rgb = Ihdr(500, 400, 3, 7) + Colr(16);
  add("RGB", IsoBox("jp2h", rgb) + pixels);
  add("the header far behind other boxes",
      IsoBox("uuid", std::string(100000, 'u')) + IsoBox("jp2h", rgb) + pixels);
  add("a header of 64 bits", Be32(1) + "jp2h" + Be64(16 + rgb.size()) + rgb + pixels);
  ImageInfo& alpha =
      add("RGB and opacity", IsoBox("jp2h", Ihdr(500, 400, 4, 7) + Colr(16) + Cdef({0, 0, 0, 1})) + Be32(0) +
                                 "jp2c" + codestream);
  alpha.channels = 4;
  alpha.has_alpha = true;
  add("a fourth component that nothing explains", IsoBox("jp2h", Ihdr(500, 400, 4, 15) + Colr(18)) + pixels);
  ImageInfo& unknown = all.samples.back().expected;
  unknown.channels = 4;
  unknown.bit_depth = 16;
  unknown.has_alpha.reset();
  unknown.color_space = ColorSpace::kYcbcr;
  ImageInfo& palette = add(
      "a palette", IsoBox("jp2h", Ihdr(500, 400, 1, 7) + Colr(16) + IsoBox("pclr", Be16(1) + "\3\7\7\7rgb") +
                                      IsoBox("cmap", std::string(12, '\0'))) +
                       pixels);
  palette.channels = 1;
  palette.color_space = ColorSpace::kPalette;
  ImageInfo& deep = add("depths of their own, a profile, CMYK",
                        IsoBox("jp2h", Ihdr(500, 400, 4, 255) + IsoBox("bpcc", "\x0b\x0b\x0b\x0b") +
                                           Profile("CMYK") + Colr(16)) +
                            pixels);
  deep.channels = 4;
  deep.bit_depth = 12;
  deep.has_icc = true;
  deep.color_space = ColorSpace::kCmyk;
  auto resolution = [](const std::string& type, uint16_t per_metre, uint8_t power) {
    return IsoBox(type, Be16(per_metre) + Be16(1) + Be16(2 * per_metre) + Be16(1) +
                            std::string(2, static_cast<char>(power)));
  };
  ImageInfo& dpi =
      add("resolution",
          IsoBox("jp2h", Ihdr(500, 400, 1, 0) + Colr(17) +
                             IsoBox("res ", resolution("resd", 100, 0) + resolution("resc", 1000, 1) +
                                                resolution("resd", 100, 0))) +
              pixels);
  dpi.channels = dpi.bit_depth = 1;
  dpi.color_space = ColorSpace::kGray;
  dpi.dpi_x = 508;
  dpi.dpi_y = 254;
  ImageInfo& bare = add("a codestream before any header", pixels + IsoBox("jp2h", rgb));
  bare.has_alpha.reset();
  bare.has_icc.reset();
  bare.color_space = ColorSpace::kUnknown;
}

}  // namespace

std::string J2k(uint32_t x, uint32_t y, uint32_t x_offset, uint32_t y_offset,
                const std::vector<uint8_t>& depths) {
  std::string size = Be16(0) + Be32(x) + Be32(y) + Be32(x_offset) + Be32(y_offset) + Be32(x) + Be32(y) +
                     Be32(0) + Be32(0) + Be16(depths.size());
  for (uint8_t depth : depths) size += std::string(1, static_cast<char>(depth)) + "\1\1";
  return "\xff\x4f\xff\x51" + Be16(size.size() + 2) + size + "\xff\x52 and so on";
}

void AddCodestreamSamples(Collector& all) {
  AddJxlSizes(all);
  AddJxlKinds(all);
  AddJ2ks(all);
  AddJp2s(all);
}

}  // namespace imgfleet::image
