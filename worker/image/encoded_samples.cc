// Files as an encoder wrote them (cjxl 0.7, pictures of 40x30 in one colour), and what its own reader (jxlinfo) says of
// each: so that a mistake which the writers of the other samples share with the reader cannot hide.
#include "worker/image/collector.h"

namespace imgfleet::image {
namespace {

std::string FromHex(const char* hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (; *hex != 0; hex += 2) bytes += static_cast<char>(digit(hex[0]) << 4 | digit(hex[1]));
  return bytes;
}

constexpr char kLossy[] =
    "ff0ae83090505c08001288020004015de5120000152aa38c1bbc9cebf9f24387c5b48deb0c6db56d6149a2c8383649277048"
    "126b20eee64205008020e60500001c0200c00405008861233400002a4900";
constexpr char kAlphaLosslessBoxes[] =
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000326a786c63ff0ae830b0a0b8100808"
    "100070004b188b1500d41963d04c5e400200420201004012c8c1812910be5607";
constexpr char kAnimated[] =
    "ff0ae830410016149704080800000068004b188b1500d41963d0c4bc8004008204495090820353207f373c08084000007000"
    "4b188b1500d413e3c43813e70212000486200008cc004880a9582d5c";
constexpr char kGray16Lossless[] =
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000096a786c6c0a000000246a786c63ff"
    "0ae830fc00c5850802010038004b188b1580ddf97f00ef80eac173";
constexpr char kIccLossless[] =
    "ff0ae83010c25bc380149a07e0ed75e8b709c639a4d33caea44d5fdb7ca95936dac4ac6db1c12973ca5176be58745010a484"
    "7766dd98ef4c89d5de2859ad565ba31c40d6d1d61901bee2dc3557ecb1a69a0a0003fe2f2cadf89ac152d7895db69d953c14"
    "0a14ad4d65a56f33d5e5b7fbfe92f1a3ba906d1ddf02475f617365534f51e9b2026b67cb024d654b4b5973e8bd57c6a72ae9"
    "6d8ca5029cfacd9f3ff92d4ff42410bf91fcf9d307ca9f3f7e4770b40b0d3ed6be0d417174381a81923c70dd02f4961014b3"
    "40b60cb01996e3d1999a9ad07926b83483771a85959ba3a8b22d1f0e80445941ca1d646242986ea046f37191030802010064"
    "004b188b1500d41963d0c4bc4004008704280082049053fcdd20";

}  // namespace

void AddEncodedSamples(Collector& all) {
  auto add = [&](const std::string& name, const char* hex, uint8_t bits, uint8_t channels,
                 ColorSpace space) -> ImageInfo& {
    ImageInfo& info = all.Add("jxl, encoded: " + name, FromHex(hex), Format::kJxl, 40, 30);
    info.frames = 1;
    info.bit_depth = bits;
    info.channels = channels;
    info.has_alpha = info.has_icc = false;
    info.color_space = space;
    return info;
  };
  add("lossy", kLossy, 8, 3, ColorSpace::kXyb);
  add("with alpha, in boxes", kAlphaLosslessBoxes, 8, 4, ColorSpace::kRgb).has_alpha = true;
  add("grey", kGray16Lossless, 16, 1, ColorSpace::kGray);
  add("with a profile", kIccLossless, 8, 3, ColorSpace::kRgb).has_icc = true;
  ImageInfo& animated = add("animated, for ever", kAnimated, 8, 4, ColorSpace::kRgb);
  animated.animated = true;
  animated.has_alpha = true;
  animated.frames.reset();
  animated.loop_count = 0;
}

}  // namespace imgfleet::image
