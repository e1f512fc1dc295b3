// ICO and CUR: a directory of images; the answer is the largest by area, and of equals the first. A side of 0
// in the directory means 256.
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
    const uint32_t width = source.U8(at) == 0 ? 256 : source.U8(at);
    const uint32_t height = source.U8(at + 1) == 0 ? 256 : source.U8(at + 1);
    if (info.variants.size() < ImageInfo::kMaxVariants)
      info.variants.push_back({width, height, Depth(source, at, info.format), size});
    if (width * height <= info.width * info.height) continue;
    info.width = width;
    info.height = height;
  }
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
