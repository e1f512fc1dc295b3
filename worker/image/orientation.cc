#include "worker/image/orientation.h"

namespace imgfleet::image {
namespace {
// Where the stored x and y axes point on the screen, x right and y down.
struct Axes {
  int xx, xy, yx, yy;
  bool operator==(const Axes&) const = default;
};
constexpr Axes kAxes[9] = {{},           {1, 0, 0, 1},  {-1, 0, 0, 1},  {-1, 0, 0, -1}, {1, 0, 0, -1},
                           {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, -1, 0}, {0, 1, -1, 0}};
}  // namespace

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
