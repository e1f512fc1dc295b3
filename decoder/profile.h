// ICC profiles, by Little CMS: a raster's colours to sRGB. It works on the raster, not on the image: cheap, and the same
// but for rounding.
#pragma once

#include "absl/strings/string_view.h"
#include "decoder/raster.h"

namespace imgfleet::decoder {

// Leaves the raster as it is where the profile is of no use: damaged, or not of RGB.
void ToSrgb(absl::string_view icc, Raster* raster);

}  // namespace imgfleet::decoder
