// JPEG: a chain of marker segments up to the frame header (SOFn), which holds the size. What stands before the
// frame header tells the rest: resolution and orientation (JFIF, Exif), colour profile, colour transform
// (Adobe), further pictures (MPF). What stands behind it is not read, save for the DNL marker of a frame that
// leaves its height open.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "worker/image/exif.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA, kDnl = 0xDC, kDhp = 0xDE, kApp0 = 0xE0, kApp1 = 0xE1,
                  kApp2 = 0xE2, kApp14 = 0xEE, kJpegLs = 0xF7;
// Behind the segments that are jumped over come quantisation tables, a colour profile, and the frame header.
constexpr uint64_t kAfterJump = 4096;
// A height that stands behind the first scan is sought so far behind the frame header, and asked for in steps.
constexpr uint64_t kMaxScan = 1 << 20;
constexpr uint64_t kScanStep = 64 << 10;
// What is no segment is passed over, like all decoders do, up to so many bytes in all.
constexpr uint64_t kMaxStray = 1 << 20;

bool StandsAlone(uint8_t marker) {
  return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7) || marker == kSoi;
}

// SOF0 to SOF15 are C0 to CF, save DHT (C4), JPG (C8) and DAC (CC). DHP heads a hierarchical image and, laid
// out like a frame header, gives the size of the whole, where the frames behind it are the smaller ones.
bool GivesSize(uint8_t marker) {
  if (marker == kDhp) return true;
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// SOF3, SOF7, SOF11 and SOF15.
bool IsLossless(uint8_t marker) { return marker != kDhp && (marker & 3) == 3; }

class JpegReader {
 public:
  explicit JpegReader(Source& source) : source_(source) {
    info_.format = Format::kJpeg;
    info_.has_icc = false;
    info_.frames = 1;
  }
  ProbeResult Read();

 private:
  enum class Step { kGo, kDone };

  // Leaves at_ behind the next marker's code, skipping fill bytes and, like all decoders, stray bytes between
  // segments.
  Step NextMarker(uint8_t* marker, uint64_t hint = kAfterJump);
  // Segments of applications, their content at [begin, end).
  Step Application(uint8_t marker, uint64_t begin, uint64_t end);
  Step Jfif(uint64_t begin, uint64_t end);
  Step Exif(uint64_t begin, uint64_t end);
  Step Adobe(uint64_t begin, uint64_t end);
  Step MultiPicture(uint64_t begin, uint64_t end);
  // The segment's content begins with `name`; false, after setting result_, where that cannot be said yet.
  bool IsNamed(absl::string_view name, uint64_t begin, uint64_t end, bool* named);
  ProbeResult Frame(uint8_t marker, uint64_t begin, uint64_t end);
  ColorSpace FrameColors(uint8_t marker, uint64_t begin);
  // Finds the DNL segment that ends the first scan.
  ProbeResult HeightBehindScan(uint64_t at);
  ProbeResult Measured();
  Step Done(ProbeResult result) {
    result_ = std::move(result);
    return Step::kDone;
  }

  Source& source_;
  ImageInfo info_;
  ProbeResult result_;
  uint64_t at_ = 2;
  uint64_t stray_ = 0;
  uint8_t orientation_ = 1;
  bool jfif_seen_ = false;
  std::optional<uint8_t> adobe_transform_;
  std::optional<ExifTags> exif_;
  bool index_seen_ = false;
};

JpegReader::Step JpegReader::NextMarker(uint8_t* marker, uint64_t hint) {
  for (;;) {
    if (!source_.Has(at_, 2)) return Done(source_.Missing(Format::kJpeg, at_, 2, hint));
    const uint16_t code = source_.Be16(at_);
    if (code > 0xFF00 && code < 0xFFFF) {
      *marker = static_cast<uint8_t>(code);
      at_ += 2;
      return Step::kGo;
    }
    uint64_t strays = code == 0xFFFF ? 1 : 2;  // A fill byte; an FF that is data.
    if (code < 0xFF00) {
      const absl::string_view run = source_.Run(at_);
      const void* hit = std::memchr(run.data(), 0xFF, run.size());
      strays = hit ? static_cast<const char*>(hit) - run.data() : run.size();
    }
    at_ += strays;
    stray_ += strays;
    if (stray_ > kMaxStray) return Done(Corrupt(Format::kJpeg, "JPEG: a MiB of what are no segments"));
  }
}

bool JpegReader::IsNamed(absl::string_view name, uint64_t begin, uint64_t end, bool* named) {
  *named = false;
  if (end - begin < name.size()) return true;
  if (!source_.Has(begin, name.size())) {
    Done(source_.Missing(Format::kJpeg, begin, name.size(), kAfterJump));
    return false;
  }
  *named = source_.Equals(begin, name);
  return true;
}

JpegReader::Step JpegReader::Application(uint8_t marker, uint64_t begin, uint64_t end) {
  bool named = false;
  switch (marker) {
    case kApp0:
      if (!IsNamed(absl::string_view("JFIF\0", 5), begin, end, &named)) return Step::kDone;
      return named && !jfif_seen_ ? Jfif(begin, end) : Step::kGo;
    case kApp1:
      if (exif_.has_value()) return Step::kGo;
      if (!IsNamed(absl::string_view("Exif\0\0", 6), begin, end, &named)) return Step::kDone;
      return named ? Exif(begin, end) : Step::kGo;
    case kApp2:
      if (!IsNamed(absl::string_view("ICC_PROFILE\0", 12), begin, end, &named)) return Step::kDone;
      if (named) info_.has_icc = true;
      if (named || index_seen_) return Step::kGo;
      if (!IsNamed(absl::string_view("MPF\0", 4), begin, end, &named)) return Step::kDone;
      return named ? MultiPicture(begin + 4, end) : Step::kGo;
    case kApp14:
      if (!IsNamed("Adobe", begin, end, &named)) return Step::kDone;
      return named ? Adobe(begin, end) : Step::kGo;
  }
  return Step::kGo;
}

// Name, version (2), unit (1: per inch, 2: per centimetre, else only the ratio counts), density across and down.
JpegReader::Step JpegReader::Jfif(uint64_t begin, uint64_t end) {
  // A shorter one has no room for its last field and is none to libjpeg.
  if (end - begin < 14) return Step::kGo;
  jfif_seen_ = true;
  if (!source_.Has(begin, 12)) return Done(source_.Missing(Format::kJpeg, begin, 12, kAfterJump));
  const uint8_t unit = source_.U8(begin + 7);
  if (unit != 1 && unit != 2) return Step::kGo;
  const PerLength length = unit == 1 ? PerLength::kInch : PerLength::kCentimetre;
  info_.dpi_x = ToDpi(source_.Be16(begin + 8), length);
  info_.dpi_y = ToDpi(source_.Be16(begin + 10), length);
  return Step::kGo;
}

JpegReader::Step JpegReader::Exif(uint64_t begin, uint64_t end) {
  exif_ = ReadExif(source_, begin, end);
  if (!exif_->known) return Done(source_.Missing(Format::kJpeg, exif_->need_offset, exif_->need_size));
  orientation_ = exif_->orientation;
  return Step::kGo;
}

// Name, version (2), flags (2 and 2), the colour transform.
JpegReader::Step JpegReader::Adobe(uint64_t begin, uint64_t end) {
  if (end - begin < 12) return Step::kGo;
  if (!source_.Has(begin, 12)) return Done(source_.Missing(Format::kJpeg, begin, 12, kAfterJump));
  adobe_transform_ = source_.U8(begin + 11);
  return Step::kGo;
}

// CIPA DC-007: the index of an MPO, a TIFF structure, counts the JPEGs of the file.
JpegReader::Step JpegReader::MultiPicture(uint64_t begin, uint64_t end) {
  constexpr uint16_t kNumberOfImages = 0xB001;
  index_seen_ = true;
  info_.frames.reset();
  Ifd ifd(source_, begin, end);
  const Ifd::State state = ifd.Open();
  if (state == Ifd::State::kMissing)
    return Done(source_.Missing(Format::kJpeg, ifd.need_offset(), ifd.need_size()));
  if (state == Ifd::State::kBad) return Step::kGo;
  for (uint64_t i = 0; i < ifd.size(); ++i) {
    if (ifd.tag(i) != kNumberOfImages) continue;
    const uint64_t images = ifd.Unsigned(ifd.entry(i)).value_or(0);
    if (images >= 1 && images <= 65535) info_.frames = static_cast<uint32_t>(images);
    break;
  }
  return Step::kGo;
}

// As libjpeg decides it: markers first, then the components' names.
ColorSpace JpegReader::FrameColors(uint8_t marker, uint64_t begin) {
  switch (*info_.channels) {
    case 1:
      return ColorSpace::kGray;
    case 3: {
      if (jfif_seen_) return ColorSpace::kYcbcr;
      if (adobe_transform_.has_value()) return *adobe_transform_ == 0 ? ColorSpace::kRgb : ColorSpace::kYcbcr;
      const uint8_t names[3] = {source_.U8(begin + 6), source_.U8(begin + 9), source_.U8(begin + 12)};
      if (names[0] == 'R' && names[1] == 'G' && names[2] == 'B') return ColorSpace::kRgb;
      const bool counted = names[0] == 1 && names[1] == 2 && names[2] == 3;
      return counted && IsLossless(marker) ? ColorSpace::kRgb : ColorSpace::kYcbcr;
    }
    case 4:
      return adobe_transform_.value_or(0) == 0 ? ColorSpace::kCmyk : ColorSpace::kYcck;
    default:
      return ColorSpace::kUnknown;
  }
}

ProbeResult JpegReader::Frame(uint8_t marker, uint64_t begin, uint64_t end) {
  if (end - begin < 6) return Corrupt(Format::kJpeg, "JPEG: the frame header is too short");
  if (!source_.Has(begin, 6)) return source_.Missing(Format::kJpeg, begin, 6);
  info_.bit_depth = source_.U8(begin);
  info_.height = source_.Be16(begin + 1);
  info_.width = source_.Be16(begin + 3);
  info_.channels = source_.U8(begin + 5);
  if (*info_.channels == 0) return Corrupt(Format::kJpeg, "JPEG: the frame header names no components");
  const uint64_t size = 6 + 3u * *info_.channels;
  if (end - begin < size) {
    return Corrupt(Format::kJpeg, "JPEG: the frame header is too short for its components");
  }
  if (*info_.bit_depth < 2 || *info_.bit_depth > 16) {
    return Corrupt(Format::kJpeg, absl::StrCat("JPEG: samples of ", *info_.bit_depth, " bits"));
  }
  if (info_.width == 0) return Corrupt(Format::kJpeg, "JPEG: the frame header gives a width of 0");
  if (!source_.Has(begin, size)) return source_.Missing(Format::kJpeg, begin, size);
  info_.has_alpha = false;
  // The third of each quartet of SOFs is progressive: C2, C6, CA, CE. A hierarchical image's DHP does not say.
  if (marker != kDhp) info_.progressive = (marker & 3) == 2;
  info_.color_space = FrameColors(marker, begin);
  if (info_.height == 0) return HeightBehindScan(end);
  return Measured();
}

ProbeResult JpegReader::Measured() {
  SetOrientation(info_, orientation_);
  if (exif_.has_value() && !info_.dpi_x && !info_.dpi_y) {
    info_.dpi_x = exif_->dpi_x;
    info_.dpi_y = exif_->dpi_y;
  }
  return Ok(info_);
}

ProbeResult JpegReader::HeightBehindScan(uint64_t at) {
  at_ = at;
  const uint64_t limit = at + kMaxScan;
  bool in_scan = false;
  for (;;) {
    uint8_t marker = 0;
    const Step step = NextMarker(&marker, kScanStep);
    if (at_ > limit) {
      return Unsupported(Format::kJpeg,
                         "JPEG whose height stands behind more than a MiB of its pixels (DNL)");
    }
    if (step == Step::kDone) return result_;
    if (marker == kEoi) break;
    if (StandsAlone(marker)) continue;
    if (in_scan && marker != kDnl) break;
    if (!source_.Has(at_, 2)) return source_.Missing(Format::kJpeg, at_, 2);
    const uint64_t length = source_.Be16(at_);
    if (length < 2) return Corrupt(Format::kJpeg, "JPEG: a segment shorter than its own length");
    if (marker == kDnl) {
      if (length != 4) return Corrupt(Format::kJpeg, "JPEG: a DNL segment of the wrong length");
      if (!source_.Has(at_, 4)) return source_.Missing(Format::kJpeg, at_, 4);
      info_.height = source_.Be16(at_ + 2);
      if (info_.height == 0) break;
      return Measured();
    }
    in_scan = in_scan || marker == kSos;
    at_ += length;
  }
  return Corrupt(Format::kJpeg, "JPEG: the frame header gives a height of 0 and no DNL segment corrects it");
}

ProbeResult JpegReader::Read() {
  for (uint32_t markers = 0;; ++markers) {
    if (markers > kMaxParts) return Corrupt(Format::kJpeg, "JPEG: more than 65536 segments");
    uint8_t marker = 0;
    if (NextMarker(&marker) == Step::kDone) return result_;
    if (StandsAlone(marker)) continue;
    if (marker == kEoi || marker == kSos)
      return Corrupt(Format::kJpeg, "JPEG: no frame header before the image data");
    if (marker == kJpegLs) return Unsupported(Format::kUnknown, "JPEG-LS");
    if (!source_.Has(at_, 2)) return source_.Missing(Format::kJpeg, at_, 2, kAfterJump);
    const uint64_t length = source_.Be16(at_);
    if (length < 2) return Corrupt(Format::kJpeg, "JPEG: a segment shorter than its own length");
    const uint64_t begin = at_ + 2;
    const uint64_t end = at_ + length;
    if (GivesSize(marker)) return Frame(marker, begin, end);
    if (Application(marker, begin, end) == Step::kDone) return result_;
    at_ = end;
  }
}

}  // namespace

ProbeResult ReadJpeg(Source& source) { return JpegReader(source).Read(); }

}  // namespace imgfleet::image
