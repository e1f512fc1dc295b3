// TIFF and BigTIFF: the first directory, wherever in the file it lies. Raw files of cameras that use TIFF as
// their container are not measured where they can be told: their first directory describes a preview.
#include "absl/strings/str_cat.h"
#include "worker/image/exif.h"
#include "worker/image/ifd.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint16_t kSubfileType = 254, kWidth = 256, kHeight = 257, kBitsPerSample = 258, kPhotometric = 262,
                   kOrientation = 274, kSamplesPerPixel = 277, kSubdirectories = 330, kExtraSamples = 338,
                   kIccProfile = 34675, kDngVersion = 50706;

struct Fields {
  std::optional<uint64_t> width, height, samples, photometric;
  std::optional<uint64_t> bits = 1;
  uint8_t orientation = 1;
  bool reduced = false;         // A smaller version of another image in the file.
  bool subdirectories = false;  // Which those may hold.
  std::optional<bool> alpha = false;
  bool icc = false;
  ResolutionTags resolution;
};

ColorSpace ToColorSpace(uint64_t photometric) {
  switch (photometric) {
    case 0:
    case 1:
      return ColorSpace::kGray;
    case 2:
      return ColorSpace::kRgb;
    case 3:
      return ColorSpace::kPalette;
    case 5:
      return ColorSpace::kCmyk;
    case 6:
      return ColorSpace::kYcbcr;
    case 8:   // CIELab
    case 9:   // ICCLab
    case 10:  // ITULab
      return ColorSpace::kLab;
    default:
      return ColorSpace::kUnknown;  // Masks, filter arrays of cameras, logarithms.
  }
}

class TiffReader {
 public:
  explicit TiffReader(Source& source) : source_(source), ifd_(source, 0, kMaxOffset) {}
  ProbeResult Read();

 private:
  // False: see result_.
  bool ReadEntry(uint16_t tag, const IfdEntry& entry);
  bool CountDirectories();
  bool Missing(uint64_t offset, uint64_t size) {
    result_ = source_.Missing(Format::kTiff, offset, size, 32);
    return false;
  }
  // The first of the values of an entry of SHORTs: all samples have the same depth in what can be decoded at all.
  // `value` is left empty where it would cost a fetch, or is of another type.
  bool FirstShort(const IfdEntry& entry, std::optional<uint64_t>* value);

  Source& source_;
  Ifd ifd_;
  Fields fields_;
  std::optional<uint32_t> directories_;
  ProbeResult result_;
};

bool TiffReader::FirstShort(const IfdEntry& entry, std::optional<uint64_t>* value) {
  value->reset();
  if (entry.type != 3 || entry.count == 0) return true;
  const Place place = ifd_.Find(entry, 2);
  if (place == Place::kMissing) return Missing(entry.values, 2);
  if (place == Place::kAtHand) *value = ifd_.U16(entry.values);
  return true;
}

bool TiffReader::ReadEntry(uint16_t tag, const IfdEntry& entry) {
  switch (tag) {
    case kWidth:
      fields_.width = ifd_.Unsigned(entry);
      return true;
    case kHeight:
      fields_.height = ifd_.Unsigned(entry);
      return true;
    case kBitsPerSample:
      return FirstShort(entry, &fields_.bits);
    case kPhotometric:
      fields_.photometric = ifd_.Unsigned(entry);
      return true;
    case kOrientation: {
      const uint64_t value = ifd_.Unsigned(entry).value_or(1);
      if (value >= 1 && value <= 8) fields_.orientation = static_cast<uint8_t>(value);
      return true;
    }
    case kSamplesPerPixel:
      fields_.samples = ifd_.Unsigned(entry);
      return true;
    case kExtraSamples: {
      // 1 and 2 are alpha; 0 is what nobody specified.
      std::optional<uint64_t> kind;
      if (!FirstShort(entry, &kind)) return false;
      fields_.alpha = kind.has_value() ? std::optional<bool>(*kind == 1 || *kind == 2) : std::nullopt;
      return true;
    }
    case kIccProfile:
      fields_.icc = entry.count > 0;
      return true;
    case kSubfileType:
      fields_.reduced = (ifd_.Unsigned(entry).value_or(0) & 1) != 0;
      return true;
    case kSubdirectories:
      fields_.subdirectories = true;
      return true;
    case kDngVersion:
      result_ = Unsupported(Format::kUnknown, "DNG raw");
      return false;
    default:
      if (!ResolutionTags::Wants(tag) || fields_.resolution.Note(ifd_, entry)) return true;
      return Missing(entry.values, 8);
  }
}

// Follows the chain of directories as far as it lies in the file's first bytes. Directories that others name as
// theirs (SubIFDs) are no pages and not on it.
bool TiffReader::CountDirectories() {
  constexpr uint32_t kMost = 1024;  // More directories do not fit there: the chain goes round.
  uint32_t count = 1;
  for (uint64_t at = ifd_.next(); at != 0; ++count) {
    if (count == kMost) return true;
    auto far = [&](uint64_t offset, uint64_t size, bool* missing) {
      const Place place = source_.Find(offset, size);
      *missing = place == Place::kMissing;
      if (*missing) Missing(offset, size);
      return place != Place::kAtHand;
    };
    bool missing = false;
    if (far(at, ifd_.count_size(), &missing)) return !missing;
    const bool big = ifd_.count_size() == 8;
    const uint64_t entries = big ? ifd_.U64(at) : ifd_.U16(at);
    if (entries == 0 || entries > kFieldReach) return true;
    const uint64_t link = at + ifd_.count_size() + entries * ifd_.entry_size();
    if (far(link, ifd_.link_size(), &missing)) return !missing;
    at = big ? ifd_.U64(link) : ifd_.U32(link);
  }
  directories_ = count;
  return true;
}

ProbeResult TiffReader::Read() {
  switch (ifd_.Open()) {
    case Ifd::State::kBad:
      return Corrupt(Format::kTiff, absl::StrCat("TIFF: ", ifd_.problem()));
    case Ifd::State::kMissing:
      return source_.Missing(Format::kTiff, ifd_.need_offset(), ifd_.need_size(), Ifd::kCloseBehind);
    case Ifd::State::kOpen:
      break;
  }
  for (uint64_t i = 0; i < ifd_.size(); ++i) {
    if (!ReadEntry(ifd_.tag(i), ifd_.entry(i))) return result_;
  }
  if (fields_.reduced && fields_.subdirectories)
    return Unsupported(Format::kUnknown,
                       "TIFF that begins with a preview of what it holds (raw files of cameras)");
  ImageInfo info;
  info.format = Format::kTiff;
  constexpr uint64_t kMaxSide = 0xFFFFFFFF;
  const uint64_t width = fields_.width.value_or(0), height = fields_.height.value_or(0);
  if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide) {
    return Corrupt(Format::kTiff, "TIFF: the first directory gives no size");
  }
  info.width = static_cast<uint32_t>(width);
  info.height = static_cast<uint32_t>(height);
  const uint64_t samples = fields_.samples.value_or(1);
  if (samples >= 1 && samples <= 255) info.channels = static_cast<uint8_t>(samples);
  const uint64_t bits = fields_.bits.value_or(0);
  if (bits >= 1 && bits <= 64) info.bit_depth = static_cast<uint8_t>(bits);
  info.has_alpha = fields_.alpha;
  info.has_icc = fields_.icc;
  if (fields_.photometric) info.color_space = ToColorSpace(*fields_.photometric);
  info.dpi_x = fields_.resolution.dpi_x();
  info.dpi_y = fields_.resolution.dpi_y();
  if (!CountDirectories()) return result_;
  info.frames = directories_;
  SetOrientation(info, fields_.orientation);
  return Ok(info);
}

}  // namespace

ProbeResult ReadTiff(Source& source) {
  if (!source.Has(0, 10)) return source.Missing(Format::kTiff, 0, 10, 16);
  if (source.Equals(8, "CR") && source.Equals(0, "II*"))
    return Unsupported(Format::kUnknown, "Canon CR2 raw");
  return TiffReader(source).Read();
}

}  // namespace imgfleet::image
