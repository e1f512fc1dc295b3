// JPEG 2000: the codestream (J2K), whose SIZ segment follows its first marker, and the file of boxes around it (JP2,
// JPX, JPH), whose header box says the same and more: palette, colours, opacity, resolution. The image is what the
// reference grid leaves right of and below its offset: Xsiz - XOsiz by Ysiz - YOsiz.
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "worker/image/box.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint32_t kMaxComponents = 16384;
constexpr uint64_t kHint = 1024;

// Component depths, one byte each: the number of bits less one, and a sign. Unset where they differ.
std::optional<uint8_t> CommonDepth(Source& source, uint64_t at, uint32_t count, uint64_t stride) {
  const uint8_t bits = source.U8(at) & 0x7F;
  for (uint32_t i = 1; i < count; ++i) {
    if ((source.U8(at + i * stride) & 0x7F) != bits) return std::nullopt;
  }
  return static_cast<uint8_t>(bits + 1);
}

void SetChannels(uint32_t count, ImageInfo& info) {
  if (count <= 255) info.channels = static_cast<uint8_t>(count);
}

// SOC and SIZ at `begin`.
ProbeResult ReadSize(Source& source, uint64_t begin, Format format) {
  constexpr uint64_t kFixed = 42;
  if (!source.Has(begin, kFixed)) return source.Missing(format, begin, kFixed, kHint);
  const uint32_t components = source.Be16(begin + 40);
  if (source.Be32(begin) != 0xFF4FFF51 || components == 0 || components > kMaxComponents ||
      source.Be16(begin + 4) != 38 + 3 * components) {
    return Corrupt(format, "JPEG 2000: the codestream does not begin with a size segment");
  }
  if (!source.Has(begin + kFixed, 3 * components)) {
    return source.Missing(format, begin + kFixed, 3 * components);
  }
  ImageInfo info;
  info.format = format;
  uint32_t* const sides[2] = {&info.width, &info.height};
  for (uint64_t axis = 0; axis < 2; ++axis) {
    const uint64_t at = begin + 8 + 4 * axis;
    const uint32_t size = source.Be32(at), offset = source.Be32(at + 8);
    const uint64_t tile = source.Be32(at + 16), tile_offset = source.Be32(at + 24);
    if (offset >= size || tile_offset > offset || tile_offset + tile <= offset) {
      return Corrupt(format, "JPEG 2000: the image or its tiles lie outside of the grid");
    }
    *sides[axis] = size - offset;
  }
  SetChannels(components, info);
  info.bit_depth = CommonDepth(source, begin + kFixed, components, 3);
  info.frames = 1;
  SetOrientation(info, 1);
  return Ok(info);
}

ColorSpace ColorSpaceOfNumber(uint32_t number) {
  switch (number) {
    case 0:   // Bi-level
    case 15:  // Bi-level, the other way round
    case 17:
      return ColorSpace::kGray;
    case 1:
    case 3:
    case 4:
    case 18:  // sYCC
    case 24:  // e-sYCC
      return ColorSpace::kYcbcr;
    case 12:
      return ColorSpace::kCmyk;
    case 13:
      return ColorSpace::kYcck;
    case 14:
      return ColorSpace::kLab;
    case 16:  // sRGB
    case 20:  // e-sRGB
    case 21:  // ROMM-RGB
      return ColorSpace::kRgb;
    default:
      return ColorSpace::kUnknown;
  }
}

ColorSpace ColorSpaceOfProfile(uint32_t signature) {
  switch (signature) {
    case BoxType("GRAY"):
      return ColorSpace::kGray;
    case BoxType("RGB "):
      return ColorSpace::kRgb;
    case BoxType("CMYK"):
      return ColorSpace::kCmyk;
    case BoxType("YCbr"):
      return ColorSpace::kYcbcr;
    case BoxType("Lab "):
      return ColorSpace::kLab;
    default:
      return ColorSpace::kUnknown;
  }
}

uint32_t ColorsOf(ColorSpace space) {
  switch (space) {
    case ColorSpace::kUnknown:
      return 0;
    case ColorSpace::kGray:
      return 1;
    case ColorSpace::kCmyk:
    case ColorSpace::kYcck:
      return 4;
    default:
      return 3;
  }
}

// The header box (jp2h).
class HeaderBox {
 public:
  explicit HeaderBox(Source& source) : source_(source) { info_.format = Format::kJp2; }
  ProbeResult Read(const Box& box);

 private:
  // Each of these returns false after setting result_.
  bool ReadChild(const Box& box);
  bool ReadImageHeader(const Box& box);
  bool ReadDepths(const Box& box);
  bool ReadColor(const Box& box);
  bool ReadChannelKinds(const Box& box);
  bool ReadResolutions(const Box& box);

  bool Need(const Box& box, uint64_t size) {
    if (box.end - box.begin < size) return Fail("JPEG 2000: a box is too short for what it holds");
    if (source_.Has(box.begin, size)) return true;
    result_ = source_.Missing(Format::kJp2, box.begin, size, kHint);
    return false;
  }
  bool Fail(absl::string_view message) {
    result_ = Corrupt(Format::kJp2, message);
    return false;
  }
  // Every box until the end of what contains them.
  template <typename Visit>
  bool ForEach(const Box& parent, Visit visit) {
    BoxWalk walk(source_, parent.begin, parent.end);
    Box box;
    BoxWalk::Step step;
    while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
      if (!visit(box)) return false;
    }
    if (step == BoxWalk::Step::kEnd) return true;
    if (step == BoxWalk::Step::kBad) return Fail(absl::StrCat("JPEG 2000: ", walk.problem()));
    result_ = source_.Missing(Format::kJp2, walk.need_offset(), walk.need_size(), kHint);
    return false;
  }

  Source& source_;
  ImageInfo info_;
  ProbeResult result_;
  uint32_t components_ = 0;
  // Samples once the palette is applied.
  uint32_t columns_ = 0;
  bool depths_told_ = false, opacity_told_ = false, resolution_told_ = false;
  bool captured_ = false;  // The resolution is that of the capture, which goes before that of the display.
};

bool HeaderBox::ReadImageHeader(const Box& box) {
  if (!Need(box, 14)) return false;
  info_.height = source_.Be32(box.begin);
  info_.width = source_.Be32(box.begin + 4);
  components_ = source_.Be16(box.begin + 8);
  if (info_.width == 0 || info_.height == 0 || components_ == 0 || components_ > kMaxComponents) {
    return Fail("JPEG 2000: an image without area or components");
  }
  SetChannels(components_, info_);
  constexpr uint8_t kDiffer = 255;  // A bpcc box tells.
  const uint8_t depth = source_.U8(box.begin + 10);
  if (depth != kDiffer) info_.bit_depth = static_cast<uint8_t>((depth & 0x7F) + 1);
  return true;
}

bool HeaderBox::ReadDepths(const Box& box) {
  depths_told_ = true;
  const uint64_t count = box.end - box.begin;
  if (count != components_) return Fail("JPEG 2000: the component depths are not one for each component");
  if (!Need(box, count)) return false;
  info_.bit_depth = CommonDepth(source_, box.begin, components_, 1);
  return true;
}

bool HeaderBox::ReadColor(const Box& box) {
  if (!Need(box, 3)) return false;
  const uint8_t method = source_.U8(box.begin);
  ColorSpace space = ColorSpace::kUnknown;
  if (method == 1) {
    if (!Need(box, 7)) return false;
    space = ColorSpaceOfNumber(source_.Be32(box.begin + 3));
  } else if (method == 2 || method == 3) {
    info_.has_icc = true;
    if (!Need(box, 3 + 20)) return false;
    space = ColorSpaceOfProfile(source_.Be32(box.begin + 3 + 16));
  }
  if (info_.color_space == ColorSpace::kUnknown) info_.color_space = space;
  return true;
}

bool HeaderBox::ReadChannelKinds(const Box& box) {
  if (!Need(box, 2)) return false;
  const uint64_t count = source_.Be16(box.begin);
  if (!Need(box, 2 + 6 * count)) return false;
  opacity_told_ = true;
  info_.has_alpha = false;
  for (uint64_t i = 0; i < count; ++i) {
    const uint16_t kind = source_.Be16(box.begin + 2 + 6 * i + 2);
    if (kind == 1 || kind == 2) info_.has_alpha = true;  // Opacity, opacity that is multiplied in.
  }
  return true;
}

// Pixels per metre: vertical and horizontal, each a fraction and, behind both, its power of ten.
bool HeaderBox::ReadResolutions(const Box& parent) {
  resolution_told_ = true;
  return ForEach(parent, [this](const Box& box) {
    const bool capture = box.type == BoxType("resc");
    if ((!capture && box.type != BoxType("resd")) || captured_) return true;
    if (!Need(box, 10)) return false;
    float dpi[2];
    for (uint64_t i = 0; i < 2; ++i) {
      const double numerator = source_.Be16(box.begin + 4 * i);
      const double denominator = source_.Be16(box.begin + 4 * i + 2);
      if (numerator == 0 || denominator == 0) return true;
      const auto power = static_cast<int8_t>(source_.U8(box.begin + 8 + i));
      dpi[i] = static_cast<float>(numerator / denominator * std::pow(10.0, power) * 0.0254);
      if (!std::isnormal(dpi[i])) return true;
    }
    info_.dpi_y = dpi[0];
    info_.dpi_x = dpi[1];
    captured_ = capture;
    return true;
  });
}

// Of each kind the first counts: one of each is allowed, and more would be work without end.
bool HeaderBox::ReadChild(const Box& box) {
  switch (box.type) {
    case BoxType("ihdr"):
      return components_ > 0 || ReadImageHeader(box);
    case BoxType("bpcc"):
      return depths_told_ || ReadDepths(box);
    case BoxType("colr"):
      return ReadColor(box);
    case BoxType("pclr"):
      if (!Need(box, 3)) return false;
      columns_ = source_.U8(box.begin + 2);
      return true;
    case BoxType("cdef"):
      return opacity_told_ || ReadChannelKinds(box);
    case BoxType("res "):
      return resolution_told_ || ReadResolutions(box);
    default:
      return true;
  }
}

ProbeResult HeaderBox::Read(const Box& box) {
  if (!ForEach(box, [this](const Box& child) { return ReadChild(child); })) return result_;
  if (components_ == 0)
    return Corrupt(Format::kJp2, "JPEG 2000: the header does not hold the image's (ihdr)");
  const uint32_t colors = ColorsOf(info_.color_space);
  const uint32_t samples = columns_ > 0 ? columns_ : components_;
  if (!opacity_told_ && colors > 0 && samples <= colors) info_.has_alpha = false;
  if (!info_.has_icc.has_value()) info_.has_icc = false;
  if (columns_ > 0) info_.color_space = ColorSpace::kPalette;
  info_.frames = 1;
  SetOrientation(info_, 1);
  return Ok(info_);
}

}  // namespace

ProbeResult ReadJ2k(Source& source) { return ReadSize(source, 0, Format::kJ2k); }

ProbeResult ReadJp2(Source& source) {
  constexpr uint64_t kSignature = 12;
  // Not up to the known end of the file: where a cut file's boxes reach beyond it, that is told as cut.
  BoxWalk walk(source, kSignature, kMaxOffset);
  Box box;
  BoxWalk::Step step;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("ftyp")) {
      if (box.end - box.begin < 4) return Corrupt(Format::kJp2, "JPEG 2000: a file type that is none");
      if (!source.Has(box.begin, 4)) return source.Missing(Format::kJp2, box.begin, 4, kHint);
      const uint32_t brand = source.Be32(box.begin);
      if (brand == BoxType("mjp2") || brand == BoxType("jpm ")) {
        return Unsupported(Format::kUnknown, brand == BoxType("jpm ") ? "JPEG 2000 compound document (JPM)"
                                                                      : "Motion JPEG 2000");
      }
    }
    if (box.type == BoxType("jp2h")) return HeaderBox(source).Read(box);
    // A codestream before any header speaks for itself.
    if (box.type == BoxType("jp2c")) return ReadSize(source, box.begin, Format::kJp2);
  }
  if (step == BoxWalk::Step::kMissing) {
    return source.Missing(Format::kJp2, walk.need_offset(), walk.need_size(), kHint);
  }
  if (step == BoxWalk::Step::kEnd) return Corrupt(Format::kJp2, "JPEG 2000: neither header nor codestream");
  return Corrupt(Format::kJp2, absl::StrCat("JPEG 2000: ", walk.problem()));
}

}  // namespace imgfleet::image
