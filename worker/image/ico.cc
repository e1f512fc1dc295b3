// ICO and CUR: a directory of images; the answer is the largest by area, and of equals the first. A side of 0
// in the directory means 256, unless the image's own header says otherwise and lies in the file's first bytes: there
// are icons whose directory just holds no size, and PNGs inside may be larger.
#include <bit>

#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {

namespace {
// Bits of a pixel by the entry at `at`: what it says, or what its number of colours takes; 0 where it says
// neither. A cursor has the place that one clicks with there.
uint32_t Depth(Source& source, uint64_t at, Format format) {
  const uint16_t bits = format == Format::kIco ? source.Le16(at + 6) : 0;
  if (bits >= 1 && bits <= 32) return bits;
  const uint8_t colors = source.U8(at + 2);
  return colors >= 2 ? std::bit_width(colors - 1u) : 0;
}

// The size of the PNG or bitmap at `offset`, if there is one within reach. False: 24 bytes there are needed first.
bool ReadOwnSize(Source& source, uint64_t offset, uint32_t* width, uint32_t* height) {
  constexpr uint64_t kEnough = 24;
  if (offset + kEnough > kFieldReach) return true;
  if (!source.Has(offset, kEnough)) return false;  // Where the file ends before that, it is cut.
  uint32_t own_width = 0, own_height = 0;
  if (source.Equals(offset, "\x89PNG\r\n\x1a\n")) {
    own_width = source.Be32(offset + 16);
    own_height = source.Be32(offset + 20);
  } else if (source.Le32(offset) == 40) {
    own_width = source.Le32(offset + 4);
    own_height = source.Le32(offset + 8) / 2;  // The mask lies under the picture and counts.
  }
  constexpr uint32_t kMost = 65535;
  if (own_width == 0 || own_height == 0 || own_width > kMost || own_height > kMost) return true;
  *width = own_width;
  *height = own_height;
  return true;
}

}  // namespace

ProbeResult ReadIco(Source& source) {
  constexpr uint64_t kHeader = 6, kEntry = 16;
  if (!source.Has(0, kHeader)) return source.Missing(Format::kUnknown, 0, kHeader, 512);
  ImageInfo info;
  info.format = source.U8(2) == 2 ? Format::kCur : Format::kIco;
  const uint64_t count = source.Le16(4);
  if (count == 0) return NotAnImage("begins like an icon, but names no image");
  const uint64_t images = kHeader + count * kEntry;
  for (uint64_t at = kHeader; at < images; at += kEntry) {
    if (!source.Has(at, kEntry)) return source.Missing(info.format, at, kEntry, images - at);
    const uint64_t size = source.Le32(at + 8);
    const uint64_t offset = source.Le32(at + 12);
    if (offset < images || size == 0) {
      if (at == kHeader) return NotAnImage("begins like an icon, but its directory is none");
      return Corrupt(info.format, "ICO: the directory points at no image");
    }
    uint32_t width = source.U8(at), height = source.U8(at + 1);
    const bool open = width == 0 || height == 0;
    if (width == 0) width = 256;
    if (height == 0) height = 256;
    if (open && !ReadOwnSize(source, offset, &width, &height)) return source.Missing(info.format, offset, 24);
    if (info.variants.size() < ImageInfo::kMaxVariants)
      info.variants.push_back({width, height, Depth(source, at, info.format), size});
    if (uint64_t{width} * height <= uint64_t{info.width} * info.height) continue;
    info.width = width;
    info.height = height;
  }
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
