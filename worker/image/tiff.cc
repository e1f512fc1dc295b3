// TIFF and BigTIFF: the first directory, wherever in the file it lies. Raw files of cameras that use TIFF as
// their container are not measured where they can be told: their first directory describes a preview.
#include "absl/strings/str_cat.h"
#include "worker/image/ifd.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint16_t kWidth = 256, kHeight = 257, kBitsPerSample = 258, kOrientation = 274,
                   kSamplesPerPixel = 277, kExtraSamples = 338, kDngVersion = 50706;
// Values that the directory only points at are read where they cost no fetch of their own: so far into the
// file, or so far behind the directory.
constexpr uint64_t kNear = 4096;

struct Fields {
  std::optional<uint64_t> width, height, samples, bits;
  uint8_t orientation = 1;
  std::optional<bool> alpha = false;
};

// The first of the values of an entry of SHORTs: all samples have the same depth in what can be decoded at
// all. Empty where it would cost a fetch, or is of another type; sets `missing` where it must be fetched
// first.
std::optional<uint64_t> FirstShort(Source& source, Ifd& ifd, const IfdEntry& entry, uint64_t* missing) {
  if (entry.type != 3 || entry.count == 0) return std::nullopt;
  const bool in_place = entry.values >= ifd.directory_begin() && entry.values < ifd.directory_end();
  const bool at_start = entry.values < kNear;
  const bool close_behind = entry.values >= ifd.directory_end() && entry.values - ifd.directory_end() < kNear;
  if (!in_place && !at_start && !close_behind) return std::nullopt;
  if (source.EndsBefore(entry.values + 1)) return std::nullopt;
  if (!source.Has(entry.values, 2)) {
    *missing = entry.values;
    return std::nullopt;
  }
  return ifd.U16(entry.values);
}

}  // namespace

ProbeResult ReadTiff(Source& source) {
  if (!source.Has(0, 10)) return source.Missing(Format::kTiff, 0, 10, 16);
  if (source.Equals(8, "CR") && source.Equals(0, "II*"))
    return Unsupported(Format::kUnknown, "Canon CR2 raw");
  Ifd ifd(source, 0, kMaxOffset);
  switch (ifd.Open()) {
    case Ifd::State::kBad:
      return Corrupt(Format::kTiff, absl::StrCat("TIFF: ", ifd.problem()));
    case Ifd::State::kMissing:
      return source.Missing(Format::kTiff, ifd.need_offset(), ifd.need_size(), 1024);
    case Ifd::State::kOpen:
      break;
  }
  Fields fields;
  for (uint64_t i = 0; i < ifd.size(); ++i) {
    const IfdEntry entry = ifd.entry(i);
    uint64_t missing = 0;
    switch (entry.tag) {
      case kWidth:
        fields.width = ifd.Unsigned(entry);
        break;
      case kHeight:
        fields.height = ifd.Unsigned(entry);
        break;
      case kBitsPerSample:
        fields.bits = FirstShort(source, ifd, entry, &missing);
        break;
      case kOrientation: {
        const uint64_t value = ifd.Unsigned(entry).value_or(1);
        if (value >= 1 && value <= 8) fields.orientation = static_cast<uint8_t>(value);
        break;
      }
      case kSamplesPerPixel:
        fields.samples = ifd.Unsigned(entry);
        break;
      case kExtraSamples: {
        const std::optional<uint64_t> kind = FirstShort(source, ifd, entry, &missing);
        fields.alpha = kind.has_value() ? std::optional<bool>(*kind == 1 || *kind == 2) : std::nullopt;
        break;
      }
      case kDngVersion:
        return Unsupported(Format::kUnknown, "DNG raw");
    }
    if (missing != 0) return source.Missing(Format::kTiff, missing, 2, 32);
  }
  ImageInfo info;
  info.format = Format::kTiff;
  constexpr uint64_t kMaxSide = 0xFFFFFFFF;
  const uint64_t width = fields.width.value_or(0), height = fields.height.value_or(0);
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) {
    return Corrupt(Format::kTiff, "TIFF: the first directory gives no size");
  }
  info.width = static_cast<uint32_t>(width);
  info.height = static_cast<uint32_t>(height);
  const uint64_t samples = fields.samples.value_or(1);
  if (samples >= 1 && samples <= 255) info.channels = static_cast<uint8_t>(samples);
  const uint64_t bits = fields.bits.value_or(0);
  if (bits >= 1 && bits <= 64) info.bit_depth = static_cast<uint8_t>(bits);
  info.has_alpha = fields.alpha;
  if (!ifd.has_next()) info.frames = 1;
  SetOrientation(info, fields.orientation);
  return Ok(info);
}

}  // namespace imgfleet::image
