#include "worker/image/orientation.h"

#include "worker/image/ifd.h"

namespace imgfleet::image {
namespace {
constexpr uint16_t kOrientationTag = 274;

// Where the stored x and y axes point on the screen, x right and y down.
struct Axes {
  int xx, xy, yx, yy;
  bool operator==(const Axes&) const = default;
};
constexpr Axes kAxes[9] = {{},           {1, 0, 0, 1},  {-1, 0, 0, 1},  {-1, 0, 0, -1}, {1, 0, 0, -1},
                           {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, -1, 0}, {0, 1, -1, 0}};
}  // namespace

ExifOrientation ReadExifOrientation(Source& source, uint64_t begin, uint64_t end) {
  ExifOrientation result;
  auto need = [&](uint64_t offset, uint64_t size) {
    result.known = false;
    result.need_offset = offset;
    result.need_size = size;
    return result;
  };
  if (end < begin || end - begin < 8) return result;
  if (!source.Has(begin, 8)) return need(begin, 8);
  if (source.Equals(begin, absl::string_view("Exif\0\0", 6))) begin += 6;
  Ifd ifd(source, begin, end);
  switch (ifd.Open()) {
    case Ifd::State::kBad:
      return result;
    case Ifd::State::kMissing:
      return need(ifd.need_offset(), ifd.need_size());
    case Ifd::State::kOpen:
      break;
  }
  for (uint64_t i = 0; i < ifd.size(); ++i) {
    const IfdEntry entry = ifd.entry(i);
    if (entry.tag != kOrientationTag) continue;
    const uint64_t value = ifd.Unsigned(entry).value_or(1);
    if (value >= 1 && value <= 8) result.orientation = static_cast<uint8_t>(value);
    break;
  }
  return result;
}

uint8_t CombineOrientations(uint8_t first, uint8_t then) {
  const Axes& a = kAxes[then];
  const Axes& b = kAxes[first];
  const Axes combined = {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy,  //
                         a.yx * b.xx + a.yy * b.yx, a.yx * b.xy + a.yy * b.yy};
  for (uint8_t i = 1; i <= 8; ++i) {
    if (kAxes[i] == combined) return i;
  }
  return 1;
}

void SetOrientation(ImageInfo& info, uint8_t orientation) {
  info.orientation = orientation;
  info.display_width = SwapsSides(orientation) ? info.height : info.width;
  info.display_height = SwapsSides(orientation) ? info.width : info.height;
}

}  // namespace imgfleet::image
