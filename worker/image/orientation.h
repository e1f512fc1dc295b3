// Which way up an image is shown: the eight orientations of Exif, and how they combine.
#pragma once

#include <cstdint>

#include "worker/image/probe.h"

namespace imgfleet::image {

// The orientation that comes of showing an image by `first` and what comes out by `then`.
uint8_t CombineOrientations(uint8_t first, uint8_t then);

// Orientations 5 to 8 lay the image on its side.
inline bool SwapsSides(uint8_t orientation) { return orientation >= 5; }

// Sets orientation, and the displayed size from the stored one.
void SetOrientation(ImageInfo& info, uint8_t orientation);

}  // namespace imgfleet::image
