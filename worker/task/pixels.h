// The measuring task to the depth of pixels: all that full depth tells, and what decoding the image tells, by a decoder
// process. An image that cannot be decoded keeps its measurement; why not stands in v1.PixelInfo.error.
#pragma once

#include "decoder/client.h"
#include "worker/fetch/engine.h"
#include "worker/task/task.h"

namespace imgfleet::task {

// The fetch of one item. Its body, and the share of the byte budget that counts it, are held until it is decoded;
// `item.done` is then called on a thread of `decoders`, which must outlive the engine.
fetch::Request PixelsRequest(Item item, decoder::Client* decoders);

// What decoding gave, in the words of v1.
void FillPixels(const decoder::Decoding& decoding, v1::PixelInfo* pixels);

}  // namespace imgfleet::task
