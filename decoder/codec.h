// Image files to rasters: which formats, by which library, within which limits.
//
// The libraries are used directly, one small file each, rather than through libvips: what runs is then a handful of
// decoders and nothing else (libvips brings glib, threads, caches and loaders for everything from FITS to PDF), the
// process starts in milliseconds and has one thread, and libjpeg-turbo and libwebp scale while they decode.
//
//   jpeg       libjpeg-turbo, scaled by its DCT     avif       libavif (dav1d)
//   png        libpng                               heic       libheif (libde265)
//   gif        giflib                               jxl        libjxl
//   webp       libwebp, scaled while decoding       tiff       libtiff
//                                                   jp2, j2k   OpenJPEG
//
// Of an animation the first frame is decoded, of a file with several images the first or primary one. However small the
// raster, the compressed data of that image is read to its end.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "decoder/format.h"
#include "decoder/raster.h"

namespace imgfleet::decoder {

struct DecodeLimits {
  uint64_t pixels = kMaxPixels;
  // Memory that a codec may need at a time, as far as the header tells; what it tells not, the sandbox bounds.
  uint64_t bytes = 448u << 20;
};

struct Decoded {
  Raster raster;
  // The codec has turned the raster as it is to be shown.
  bool oriented = false;
  // ICC profile of the raster's RGB values; empty: sRGB, or unknown.
  std::string icc;
};

// Every pixel of the image, or
//   UNIMPLEMENTED       a variant that the library does not decode
//   RESOURCE_EXHAUSTED  more pixels than the limits, or more memory than there is
//   OUT_OF_RANGE        the file ends before the image does
//   DATA_LOSS           it is damaged: the library had to guess at pixels, or gave up
// with what the library said. Not thread-safe.
absl::StatusOr<Decoded> Decode(Format format, absl::string_view file, const DecodeLimits& limits);

// Has each library do once what it does at its first image only.
void WarmUp();

}  // namespace imgfleet::decoder
