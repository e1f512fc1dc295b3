// The measuring task: fetches as much of an image as its job's depth asks for, and says what it is in an outcome.
#pragma once

#include <memory>

#include "worker/fetch/engine.h"
#include "worker/task/task.h"

namespace imgfleet::task {

// An image whose header promises more is TOO_MANY_PIXELS: 46,340 pixels square, the most that decoders which count
// pixels in 31 bits can take.
inline constexpr uint64_t kMaxPixels = (uint64_t{1} << 31) - 1;

// What the item's job asks for.
v1::Depth DepthOf(const Item& item);
// Whether MeasureRequest knows that depth; deeper than it goes PixelsRequest (pixels.h).
bool CanMeasure(v1::Depth depth);

// The fetch of one item of a measuring job; `item.done` is called at its end.
fetch::Request MeasureRequest(Item item);

}  // namespace imgfleet::task
