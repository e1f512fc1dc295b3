// JPEG: a chain of marker segments up to the frame header (SOFn), which holds the size. What stands behind
// the frame header is not read, save for the DNL marker of a frame that leaves its height open.
#include <cstring>

#include "absl/strings/str_cat.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kSoi = 0xD8, kEoi = 0xD9, kSos = 0xDA, kDnl = 0xDC, kDhp = 0xDE, kApp1 = 0xE1, kApp2 = 0xE2,
                  kJpegLs = 0xF7;
// Behind the segments that are jumped over come quantisation tables, a colour profile, and the frame header.
constexpr uint64_t kAfterJump = 4096;

bool StandsAlone(uint8_t marker) {
  return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7) || marker == kSoi;
}

// SOF0 to SOF15 are C0 to CF, save DHT (C4), JPG (C8) and DAC (CC). DHP heads a hierarchical image and, laid
// out like a frame header, gives the size of the whole, where the frames behind it are the smaller ones.
bool GivesSize(uint8_t marker) {
  if (marker == kDhp) return true;
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

class JpegReader {
 public:
  explicit JpegReader(Source& source) : source_(source) { info_.format = Format::kJpeg; }
  ProbeResult Read();

 private:
  enum class Step { kGo, kDone };

  // Leaves at_ behind the next marker's code, skipping fill bytes and, like all decoders, stray bytes between
  // segments.
  Step NextMarker(uint8_t* marker);
  Step App1(uint64_t begin, uint64_t end);
  ProbeResult Frame(uint8_t marker, uint64_t begin, uint64_t end);
  // Finds the DNL segment that ends the first scan.
  ProbeResult HeightBehindScan(uint64_t at);
  Step Done(ProbeResult result) {
    result_ = std::move(result);
    return Step::kDone;
  }

  Source& source_;
  ImageInfo info_;
  ProbeResult result_;
  uint64_t at_ = 2;
  uint8_t orientation_ = 1;
  bool exif_seen_ = false;
  bool several_pictures_ = false;
};

JpegReader::Step JpegReader::NextMarker(uint8_t* marker) {
  for (;;) {
    if (!source_.Has(at_, 2)) return Done(source_.Missing(Format::kJpeg, at_, 2, kAfterJump));
    if (source_.U8(at_) != 0xFF) {
      const absl::string_view run = source_.Run(at_);
      const void* hit = std::memchr(run.data(), 0xFF, run.size());
      at_ += hit ? static_cast<const char*>(hit) - run.data() : run.size();
      continue;
    }
    *marker = source_.U8(at_ + 1);
    if (*marker == 0xFF) {
      ++at_;  // A fill byte.
      continue;
    }
    at_ += 2;
    if (*marker != 0) return Step::kGo;
  }
}

JpegReader::Step JpegReader::App1(uint64_t begin, uint64_t end) {
  constexpr absl::string_view kExif("Exif\0\0", 6);
  if (exif_seen_ || end - begin < kExif.size()) return Step::kGo;
  if (!source_.Has(begin, kExif.size()))
    return Done(source_.Missing(Format::kJpeg, begin, kExif.size(), kAfterJump));
  if (!source_.Equals(begin, kExif)) return Step::kGo;
  exif_seen_ = true;
  const ExifOrientation exif = ReadExifOrientation(source_, begin, end);
  if (!exif.known) return Done(source_.Missing(Format::kJpeg, exif.need_offset, exif.need_size));
  orientation_ = exif.orientation;
  return Step::kGo;
}

ProbeResult JpegReader::Frame(uint8_t marker, uint64_t begin, uint64_t end) {
  if (end - begin < 6) return Corrupt(Format::kJpeg, "JPEG: the frame header is too short");
  if (!source_.Has(begin, 6)) return source_.Missing(Format::kJpeg, begin, 6);
  info_.bit_depth = source_.U8(begin);
  info_.height = source_.Be16(begin + 1);
  info_.width = source_.Be16(begin + 3);
  info_.channels = source_.U8(begin + 5);
  if (*info_.channels == 0) return Corrupt(Format::kJpeg, "JPEG: the frame header names no components");
  if (end - begin < 6 + 3u * *info_.channels) {
    return Corrupt(Format::kJpeg, "JPEG: the frame header is too short for its components");
  }
  if (*info_.bit_depth < 2 || *info_.bit_depth > 16) {
    return Corrupt(Format::kJpeg, absl::StrCat("JPEG: samples of ", *info_.bit_depth, " bits"));
  }
  if (info_.width == 0) return Corrupt(Format::kJpeg, "JPEG: the frame header gives a width of 0");
  info_.has_alpha = false;
  // The second half of each quartet of SOFs is progressive: C2, C6, CA, CE. A hierarchical image's DHP does
  // not say.
  if (marker != kDhp) info_.progressive = (marker & 3) == 2;
  if (!several_pictures_) info_.frames = 1;
  if (info_.height == 0) return HeightBehindScan(end);
  SetOrientation(info_, orientation_);
  return Ok(info_);
}

ProbeResult JpegReader::HeightBehindScan(uint64_t at) {
  at_ = at;
  bool in_scan = false;
  for (;;) {
    uint8_t marker = 0;
    if (NextMarker(&marker) == Step::kDone) return result_;
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
      SetOrientation(info_, orientation_);
      return Ok(info_);
    }
    in_scan = in_scan || marker == kSos;
    at_ += length;
  }
  return Corrupt(Format::kJpeg, "JPEG: the frame header gives a height of 0 and no DNL segment corrects it");
}

ProbeResult JpegReader::Read() {
  for (;;) {
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
    if (marker == kApp1 && App1(begin, end) == Step::kDone) return result_;
    if (marker == kApp2 && length >= 6) {
      // The multi-picture index of an MPO: further JPEGs follow this one.
      if (!source_.Has(begin, 4)) return source_.Missing(Format::kJpeg, begin, 4, kAfterJump);
      several_pictures_ = several_pictures_ || source_.Equals(begin, absl::string_view("MPF\0", 4));
    }
    at_ = end;
  }
}

}  // namespace

ProbeResult ReadJpeg(Source& source) { return JpegReader(source).Read(); }

}  // namespace imgfleet::image
