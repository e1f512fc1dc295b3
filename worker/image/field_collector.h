// Gathers the files of FieldSamples (samples.h), which several sources make.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/image/samples.h"

namespace imgfleet::image {

class Fields {
 public:
  // Adds a file; returns what is expected of it, to be completed.
  ImageInfo& Add(const std::string& name, std::string bytes, ImageInfo info, uint32_t width,
                 uint32_t height) {
    info.width = info.display_width = width;
    info.height = info.display_height = height;
    samples.push_back(
        {std::string(FormatName(info.format)) + ", " + name, std::move(bytes), std::move(info)});
    return samples.back().expected;
  }
  std::vector<Sample> samples;
};

inline ImageInfo Plain(Format format, uint8_t bits, uint8_t channels, ColorSpace colors) {
  ImageInfo info;
  info.format = format;
  info.bit_depth = bits;
  info.channels = channels;
  info.color_space = colors;
  info.has_alpha = false;
  info.has_icc = false;
  info.frames = 1;
  return info;
}

inline ImageInfo& Dpi(ImageInfo& info, float x, float y) {
  info.dpi_x = x;
  info.dpi_y = y;
  return info;
}

// HEIF, AVIF and TIFF.
void AddHeifFields(Fields& all);
void AddTiffFields(Fields& all);

}  // namespace imgfleet::image
