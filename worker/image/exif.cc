#include "worker/image/exif.h"

#include <cmath>

namespace imgfleet::image {
namespace {
constexpr uint16_t kOrientation = 274;
constexpr uint16_t kRational = 5;
}  // namespace

std::optional<float> ToDpi(double value, PerLength unit) {
  const double factor = unit == PerLength::kInch ? 1 : unit == PerLength::kCentimetre ? 2.54 : 0.0254;
  const float dpi = static_cast<float>(value * factor);
  if (!std::isfinite(dpi) || dpi <= 0) return std::nullopt;
  return dpi;
}

bool ResolutionTags::Note(Ifd& ifd, const IfdEntry& entry) {
  if (entry.tag == kUnit) {
    unit_ = ifd.Unsigned(entry).value_or(unit_);
    return true;
  }
  if (entry.type != kRational || entry.count == 0) return true;
  const Place place = ifd.Find(entry, 8);
  if (place == Place::kFar) return true;
  if (place == Place::kMissing) return false;
  const double denominator = ifd.U32(entry.values + 4);
  const double value = denominator == 0 ? 0 : ifd.U32(entry.values) / denominator;
  (entry.tag == kX ? x_ : y_) = value;
  return true;
}

std::optional<float> ResolutionTags::ToDpi(double value) const {
  if (unit_ == 2) return image::ToDpi(value, PerLength::kInch);
  if (unit_ == 3) return image::ToDpi(value, PerLength::kCentimetre);
  return std::nullopt;
}

ExifTags ReadExif(Source& source, uint64_t begin, uint64_t end) {
  ExifTags result;
  auto need = [&](uint64_t offset, uint64_t size) {
    result.known = false;
    result.need_offset = offset;
    result.need_size = size;
    return result;
  };
  if (end < begin || end - begin < 8) return result;
  if (!source.Has(begin, 8)) return need(begin, 8);
  if (source.Equals(begin, absl::string_view("Exif\0\0", 6))) begin += 6;
  Ifd ifd(source, begin, end);
  switch (ifd.Open()) {
    case Ifd::State::kBad:
      return result;
    case Ifd::State::kMissing:
      return need(ifd.need_offset(), ifd.need_size());
    case Ifd::State::kOpen:
      break;
  }
  ResolutionTags resolution;
  bool oriented = false;
  for (uint64_t i = 0; i < ifd.size(); ++i) {
    const uint16_t tag = ifd.tag(i);
    if (tag == kOrientation && !oriented) {
      oriented = true;
      const uint64_t value = ifd.Unsigned(ifd.entry(i)).value_or(1);
      if (value >= 1 && value <= 8) result.orientation = static_cast<uint8_t>(value);
    } else if (ResolutionTags::Wants(tag)) {
      const IfdEntry entry = ifd.entry(i);
      if (!resolution.Note(ifd, entry)) return need(entry.values, 8);
    }
  }
  result.dpi_x = resolution.dpi_x();
  result.dpi_y = resolution.dpi_y();
  return result;
}

}  // namespace imgfleet::image
