// Gathers the whole files of samples.h, which several sources make.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/image/samples.h"

namespace imgfleet::image {

class Collector {
 public:
  // Adds a file; returns what is expected of it, to be completed.
  ImageInfo& Add(const std::string& name, std::string bytes, Format format, uint32_t width, uint32_t height,
                 uint8_t orientation = 1) {
    ImageInfo info;
    info.format = format;
    info.width = width;
    info.height = height;
    info.orientation = orientation;
    info.display_width = orientation >= 5 ? height : width;
    info.display_height = orientation >= 5 ? width : height;
    samples.push_back({name, std::move(bytes), info});
    return samples.back().expected;
  }
  std::vector<Sample> samples;
};

void AddSvgSamples(Collector& all);
// JPEG XL and JPEG 2000.
void AddCodestreamSamples(Collector& all);
// JPEG XL as an encoder writes it.
void AddEncodedSamples(Collector& all);
// What specifications allow and few programs write.
void AddOddSamples(Collector& all);
// Formats with a header of fixed fields or of text: PSD, QOI, DDS, ICNS, TGA, Netpbm, HDR, PCX.
void AddPlainSamples(Collector& all);

}  // namespace imgfleet::image
