// DirectDraw surface: a header of 128 bytes, with "DX10" as its code 20 more. What a pixel holds is told by a code, by
// masks, or by the number of a DXGI format.
#include <bit>

#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kHeader = 128, kExtended = 148;
// Of the pixel format.
constexpr uint32_t kAlphaPixels = 0x1, kAlphaOnly = 0x2, kFourCc = 0x4, kPalette8 = 0x20, kRgb = 0x40,
                   kLuminance = 0x20000;
// Of the second capabilities: there are six faces, or many slices.
constexpr uint32_t kCubeMap = 0x200, kVolume = 0x200000;

enum class Alpha : uint8_t { kNo, kYes, kNotTold };

// What a pixel holds once it is unpacked; 0: not told.
struct Samples {
  uint8_t channels = 0;
  uint8_t bits = 0;
  Alpha alpha = Alpha::kNotTold;
};

// DXGI formats from `first` on, up to the next entry.
struct DxgiRange {
  uint8_t first;
  Samples samples;
};
constexpr Alpha kNo = Alpha::kNo, kYes = Alpha::kYes, kMaybe = Alpha::kNotTold;
constexpr DxgiRange kDxgi[] = {
    {0, {}},
    {1, {4, 32, kYes}},    // R32G32B32A32
    {5, {3, 32, kNo}},     // R32G32B32
    {9, {4, 16, kYes}},    // R16G16B16A16
    {15, {2, 32, kNo}},    // R32G32
    {19, {}},              // Depth and stencil
    {23, {4, 10, kYes}},   // R10G10B10A2
    {26, {3, 11, kNo}},    // R11G11B10
    {27, {4, 8, kYes}},    // R8G8B8A8
    {33, {2, 16, kNo}},    // R16G16
    {39, {1, 32, kNo}},    // R32
    {44, {}},              // Depth and stencil
    {48, {2, 8, kNo}},     // R8G8
    {53, {1, 16, kNo}},    // R16
    {60, {1, 8, kNo}},     // R8
    {65, {1, 8, kYes}},    // A8
    {66, {1, 1, kNo}},     // R1
    {67, {3, 9, kNo}},     // R9G9B9E5
    {68, {3, 8, kNo}},     // R8G8_B8G8, G8R8_G8B8
    {70, {0, 8, kMaybe}},  // BC1: each block chooses whether one of its colours is transparent.
    {73, {4, 8, kYes}},    // BC2
    {76, {4, 8, kYes}},    // BC3
    {79, {1, 8, kNo}},     // BC4
    {82, {2, 8, kNo}},     // BC5
    {85, {3, 0, kNo}},     // B5G6R5
    {86, {4, 0, kYes}},    // B5G5R5A1
    {87, {4, 8, kYes}},    // B8G8R8A8
    {88, {3, 8, kNo}},     // B8G8R8X8
    {89, {4, 10, kYes}},   // R10G10B10_XR_BIAS_A2
    {90, {4, 8, kYes}},    // B8G8R8A8
    {92, {3, 8, kNo}},     // B8G8R8X8
    {94, {3, 16, kNo}},    // BC6H
    {97, {4, 8, kYes}},    // BC7
    {100, {}},             // Video
    {115, {4, 4, kYes}},   // B4G4R4A4
    {116, {}},
};

Samples SamplesOfDxgi(uint32_t number) {
  Samples samples;
  for (const DxgiRange& range : kDxgi) {
    if (range.first > number) break;
    samples = range.samples;
  }
  return samples;
}

constexpr uint32_t Code(const char (&text)[5]) {
  return static_cast<uint32_t>(text[0]) | static_cast<uint32_t>(text[1]) << 8 |
         static_cast<uint32_t>(text[2]) << 16 | static_cast<uint32_t>(text[3]) << 24;
}

// By the DXGI format that each of them became; the small numbers are Direct3D 9's.
uint32_t DxgiOfCode(uint32_t code) {
  switch (code) {
    case Code("DXT1"):
      return 71;
    case Code("DXT2"):
    case Code("DXT3"):
      return 74;
    case Code("DXT4"):
    case Code("DXT5"):
      return 77;
    case Code("ATI1"):
    case Code("BC4U"):
    case Code("BC4S"):
      return 80;
    case Code("ATI2"):
    case Code("BC5U"):
    case Code("BC5S"):
      return 83;
    case Code("RGBG"):
    case Code("GRGB"):
      return 68;
    case 36:   // A16B16G16R16
    case 110:  // Q16W16V16U16
    case 113:  // A16B16G16R16F
      return 10;
    case 111:  // R16F
      return 54;
    case 112:  // G16R16F
      return 34;
    case 114:  // R32F
      return 41;
    case 115:  // G32R32F
      return 16;
    case 116:  // A32B32G32R32F
      return 2;
    default:
      return 0;
  }
}

// Bits of one sample, where all masks that are set have the same number.
uint8_t BitsOfMasks(Source& source, bool alpha) {
  const int bits = std::popcount(source.Le32(92));
  for (uint64_t at = 96; at < (alpha ? 108 : 104); at += 4) {
    if (std::popcount(source.Le32(at)) != bits) return 0;
  }
  return static_cast<uint8_t>(bits);
}

Samples SamplesOfMasks(Source& source, uint32_t flags, ImageInfo& info) {
  const bool alpha = flags & kAlphaPixels;
  if (flags & kPalette8) {
    info.color_space = ColorSpace::kPalette;
    return {1, 8, alpha ? kYes : kMaybe};
  }
  if (flags & kLuminance) {
    info.color_space = ColorSpace::kGray;
    const auto bits = static_cast<uint8_t>(std::popcount(source.Le32(92)));
    return {static_cast<uint8_t>(alpha ? 2 : 1), bits, alpha ? kYes : kNo};
  }
  if (flags & kRgb) {
    return {static_cast<uint8_t>(alpha ? 4 : 3), BitsOfMasks(source, alpha), alpha ? kYes : kNo};
  }
  if (flags & kAlphaOnly) return {1, static_cast<uint8_t>(std::popcount(source.Le32(104))), kYes};
  return {};
}

}  // namespace

ProbeResult ReadDds(Source& source) {
  if (!source.Has(0, kHeader)) return source.Missing(Format::kDds, 0, kHeader, kExtended);
  if (source.Le32(4) != 124) return NotAnImage("begins with DDS, but no header of that format follows");
  ImageInfo info;
  info.format = Format::kDds;
  info.height = source.Le32(12);
  info.width = source.Le32(16);
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kDds, "DDS: a surface without area");
  const uint32_t flags = source.Le32(80);
  const uint32_t code = source.Le32(84);
  bool many = source.Le32(112) & (kCubeMap | kVolume);
  Samples samples;
  if ((flags & kFourCc) && code == Code("DX10")) {
    if (!source.Has(kHeader, kExtended - kHeader)) {
      return source.Missing(Format::kDds, kHeader, kExtended - kHeader);
    }
    samples = SamplesOfDxgi(source.Le32(128));
    many = many || source.Le32(140) > 1;
    constexpr uint32_t kOpaque = 3;
    if ((source.Le32(144) & 7) == kOpaque) samples.alpha = kNo;
  } else if (flags & kFourCc) {
    samples = SamplesOfDxgi(DxgiOfCode(code));
    if (flags & kAlphaPixels) samples.alpha = kYes;
  } else {
    samples = SamplesOfMasks(source, flags, info);
  }
  if (samples.channels > 0) info.channels = samples.channels;
  if (samples.bits > 0) info.bit_depth = samples.bits;
  if (samples.alpha != Alpha::kNotTold) info.has_alpha = samples.alpha == kYes;
  if (samples.channels >= 3) info.color_space = ColorSpace::kRgb;
  if (!many) info.frames = 1;
  info.has_icc = false;
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
