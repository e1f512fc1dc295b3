// Apple icons: entries one behind the other, each a type that stands for a size, a length, and the pixels. The answer is
// the largest by area, and of equals the first, as for ICO. A table of contents, where the file has one, comes first and
// spares the walk over the entries.
#include "worker/image/box.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kEntryHeader = 8;
// More entries than all types that exist; bounds the work.
constexpr int kMaxEntries = 512;

struct IconType {
  uint32_t type;
  uint16_t width, height;
  // 0: the picture inside (PNG, JPEG 2000) decides.
  uint8_t bit_depth;
};
constexpr IconType kTypes[] = {
    {BoxType("ICON"), 32, 32, 1},    {BoxType("ICN#"), 32, 32, 1},
    {BoxType("icm#"), 16, 12, 1},    {BoxType("icm4"), 16, 12, 4},
    {BoxType("icm8"), 16, 12, 8},    {BoxType("ics#"), 16, 16, 1},
    {BoxType("ics4"), 16, 16, 4},    {BoxType("ics8"), 16, 16, 8},
    {BoxType("is32"), 16, 16, 24},   {BoxType("icl4"), 32, 32, 4},
    {BoxType("icl8"), 32, 32, 8},    {BoxType("il32"), 32, 32, 24},
    {BoxType("ich#"), 48, 48, 1},    {BoxType("ich4"), 48, 48, 4},
    {BoxType("ich8"), 48, 48, 8},    {BoxType("ih32"), 48, 48, 24},
    {BoxType("it32"), 128, 128, 24}, {BoxType("icp4"), 16, 16, 0},
    {BoxType("icp5"), 32, 32, 0},    {BoxType("icp6"), 64, 64, 0},
    {BoxType("ic04"), 16, 16, 32},   {BoxType("ic05"), 32, 32, 32},
    {BoxType("ic07"), 128, 128, 0},  {BoxType("ic08"), 256, 256, 0},
    {BoxType("ic09"), 512, 512, 0},  {BoxType("ic10"), 1024, 1024, 0},
    {BoxType("ic11"), 32, 32, 0},  // 16 at two pixels a point, and so on.
    {BoxType("ic12"), 64, 64, 0},    {BoxType("ic13"), 256, 256, 0},
    {BoxType("ic14"), 512, 512, 0},  {BoxType("icsb"), 18, 18, 32},
    {BoxType("icsB"), 36, 36, 0},    {BoxType("sb24"), 24, 24, 0},
    {BoxType("SB24"), 48, 48, 0},
};

// Masks, names, versions and what else is no icon are passed over.
void AddEntry(uint32_t type, uint64_t size, ImageInfo& info) {
  for (const IconType& known : kTypes) {
    if (known.type != type) continue;
    if (info.variants.size() < ImageInfo::kMaxVariants)
      info.variants.push_back({known.width, known.height, known.bit_depth, size - kEntryHeader});
    if (uint32_t{known.width} * known.height <= info.width * info.height) return;
    info.width = known.width;
    info.height = known.height;
    return;
  }
}

}  // namespace

ProbeResult ReadIcns(Source& source) {
  if (!source.Has(0, 8 + kEntryHeader)) return source.Missing(Format::kIcns, 0, 8 + kEntryHeader, 1024);
  ImageInfo info;
  info.format = Format::kIcns;
  uint64_t at = 8;
  uint64_t end = source.Be32(4);
  const uint64_t first_size = source.Be32(at + 4);
  if (end < at + kEntryHeader || first_size < kEntryHeader || first_size > end - at) {
    return NotAnImage("begins with icns, but no icons follow");
  }
  const bool listed = source.Be32(at) == BoxType("TOC ");
  if (listed) {
    at += kEntryHeader;
    end = 8 + first_size;
  }
  for (int entries = 0; at < end; ++entries) {
    if (entries >= kMaxEntries) return Corrupt(Format::kIcns, "ICNS: more than 512 entries");
    if (end - at < kEntryHeader) break;  // Padding.
    if (!source.Has(at, kEntryHeader)) return source.Missing(Format::kIcns, at, kEntryHeader, 1024);
    const uint64_t size = source.Be32(at + 4);
    if (size < kEntryHeader || (!listed && size > end - at)) {
      return Corrupt(Format::kIcns, "ICNS: an entry has an impossible size");
    }
    AddEntry(source.Be32(at), size, info);
    at += listed ? kEntryHeader : size;
  }
  if (info.width == 0) return Unsupported(Format::kIcns, "ICNS without an icon of a known type");
  SetOrientation(info, 1);
  return Ok(info);
}

}  // namespace imgfleet::image
