// Which way up an image is shown: the eight orientations of Exif, and how they combine.
#pragma once

#include <cstdint>

#include "worker/image/probe.h"
#include "worker/image/source.h"

namespace imgfleet::image {

struct ExifOrientation {
  // False: [need_offset, need_offset + need_size) is needed first.
  bool known = true;
  // 1 where the block says nothing, or nothing valid.
  uint8_t orientation = 1;
  uint64_t need_offset = 0;
  uint64_t need_size = 0;
};

// Reads the orientation from an Exif block (a TIFF structure, with or without "Exif\0\0" before it) that lies
// at [begin, end). Damaged blocks say nothing, as in every viewer.
ExifOrientation ReadExifOrientation(Source& source, uint64_t begin, uint64_t end);

// The orientation that comes of showing an image by `first` and what comes out by `then`.
uint8_t CombineOrientations(uint8_t first, uint8_t then);

// Orientations 5 to 8 lay the image on its side.
inline bool SwapsSides(uint8_t orientation) { return orientation >= 5; }

// Sets orientation, and the displayed size from the stored one.
void SetOrientation(ImageInfo& info, uint8_t orientation);

}  // namespace imgfleet::image
