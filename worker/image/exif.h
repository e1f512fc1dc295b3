// What is wanted of the tags that TIFF and Exif share: which way up an image is shown, and its resolution.
#pragma once

#include <cstdint>
#include <optional>

#include "worker/image/ifd.h"
#include "worker/image/source.h"

namespace imgfleet::image {

// Pixels per inch of `value`, given per inch, per centimetre or per metre; nothing where that is no resolution.
enum class PerLength : uint8_t { kInch, kCentimetre, kMetre };
std::optional<float> ToDpi(double value, PerLength unit);

// Collects XResolution, YResolution and ResolutionUnit while a directory's entries pass by.
class ResolutionTags {
 public:
  // False: the 8 bytes at entry.values are needed first.
  bool Note(Ifd& ifd, const IfdEntry& entry);
  // Where no unit is stated, inches are meant. Nothing where the unit says that only the ratio counts.
  std::optional<float> dpi_x() const { return ToDpi(x_); }
  std::optional<float> dpi_y() const { return ToDpi(y_); }

  static bool Wants(uint16_t tag) { return tag == kX || tag == kY || tag == kUnit; }

 private:
  static constexpr uint16_t kX = 282, kY = 283, kUnit = 296;
  std::optional<float> ToDpi(double value) const;

  double x_ = 0, y_ = 0;
  uint64_t unit_ = 2;
};

struct ExifTags {
  // False: [need_offset, need_offset + need_size) is needed first.
  bool known = true;
  // 1 where the block says nothing, or nothing valid.
  uint8_t orientation = 1;
  std::optional<float> dpi_x, dpi_y;
  uint64_t need_offset = 0;
  uint64_t need_size = 0;
};

// Reads an Exif block (a TIFF structure, with or without "Exif\0\0" before it) that lies at [begin, end). Damaged
// blocks say nothing, as in every viewer.
ExifTags ReadExif(Source& source, uint64_t begin, uint64_t end);

}  // namespace imgfleet::image
