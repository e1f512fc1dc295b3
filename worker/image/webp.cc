// WebP: a RIFF container whose first chunk gives the size: VP8 and VP8L the image's, VP8X the canvas'. Where
// VP8X announces Exif, its orientation is part of the answer and is fetched, wherever it stands; of an animation
// it is sought at the file's end, as no chunk tells where the frames end. Frames are counted where all of them
// lie in the file's first bytes.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/image/exif.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kAnimation = 0x02, kExif = 0x08, kAlpha = 0x10, kIcc = 0x20;
constexpr uint64_t kAfterJump = 1024;
// An animation's Exif is sought in so many bytes at the end: first in few, where it mostly is, then in more, for XMP as
// long as some editors' histories may follow it.
constexpr uint64_t kTails[] = {16 << 10, 256 << 10};

ProbeResult ReadVp8(Source& source, uint64_t data, ImageInfo& info) {
  if (!source.Has(data, 10)) return source.Missing(Format::kWebp, data, 10);
  if ((source.U8(data) & 1) != 0 || !source.Equals(data + 3, "\x9d\x01\x2a")) {
    return Corrupt(Format::kWebp, "WebP: the VP8 data do not begin with a key frame");
  }
  info.width = source.Le16(data + 6) & 0x3FFF;
  info.height = source.Le16(data + 8) & 0x3FFF;
  if (info.width == 0 || info.height == 0) return Corrupt(Format::kWebp, "WebP: an image without area");
  info.frames = 1;
  info.has_alpha = false;
  info.channels = 3;
  info.has_icc = false;
  info.color_space = ColorSpace::kYcbcr;
  SetOrientation(info, 1);
  return Ok(info);
}

ProbeResult ReadVp8l(Source& source, uint64_t data, ImageInfo& info) {
  if (!source.Has(data, 5)) return source.Missing(Format::kWebp, data, 5);
  const uint32_t bits = source.Le32(data + 1);
  if (source.U8(data) != 0x2F || bits >> 29 != 0)
    return Corrupt(Format::kWebp, "WebP: the VP8L header is none");
  info.width = (bits & 0x3FFF) + 1;
  info.height = (bits >> 14 & 0x3FFF) + 1;
  info.has_alpha = (bits >> 28 & 1) != 0;
  info.channels = *info.has_alpha ? 4 : 3;
  info.has_icc = false;
  info.color_space = ColorSpace::kRgb;
  info.frames = 1;
  SetOrientation(info, 1);
  return Ok(info);
}

// The chunks behind VP8X, of which each file has some: a colour profile (ICCP), how an animation plays (ANIM) and
// its frames (ANMF), or one picture (VP8 or VP8L, before a VP8 perhaps its ALPH), then EXIF and XMP.
class Vp8xReader {
 public:
  // `end` is where the container says that it ends.
  Vp8xReader(Source& source, uint64_t end, ImageInfo& info) : source_(source), end_(end), info_(info) {}
  ProbeResult Read(uint64_t data, uint64_t length);

 private:
  enum class Step { kGo, kDone };

  // Looks at the chunk at at_. kDone with result_ set where all is known or more is needed.
  Step Chunk(uint64_t length);
  Step Exif(uint64_t begin, uint64_t end);
  // An animation's Exif lies behind all frames; the container's size tells where to look for it.
  ProbeResult ExifAtTheEnd();
  // kDone with result_ set where it is found in [tail, end_), which is at hand.
  Step SeekExif(uint64_t tail);
  Step Done(ProbeResult result) {
    result_ = std::move(result);
    return Step::kDone;
  }

  Source& source_;
  const uint64_t end_;
  ImageInfo& info_;
  ProbeResult result_;
  uint64_t at_ = 0;
  bool wants_exif_ = false;
  uint32_t frames_ = 0;
};

Vp8xReader::Step Vp8xReader::Exif(uint64_t begin, uint64_t end) {
  const ExifTags exif = ReadExif(source_, begin, end);
  if (!exif.known) return Done(source_.Missing(Format::kWebp, exif.need_offset, exif.need_size));
  SetOrientation(info_, exif.orientation);
  info_.dpi_x = exif.dpi_x;
  info_.dpi_y = exif.dpi_y;
  wants_exif_ = false;
  return Step::kGo;
}

Vp8xReader::Step Vp8xReader::Chunk(uint64_t length) {
  if (source_.Equals(at_, "ANMF")) {
    ++frames_;
  } else if (source_.Equals(at_, "ANIM")) {
    // Background colour (4), then how often it is shown.
    const Place place = length >= 6 ? source_.Find(at_ + 8, 6) : Place::kFar;
    if (place == Place::kMissing) return Done(source_.Missing(Format::kWebp, at_ + 8, 6, kAfterJump));
    if (place == Place::kAtHand && info_.animated) info_.loop_count = source_.Le16(at_ + 12);
  } else if (source_.Equals(at_, "VP8L")) {
    info_.color_space = ColorSpace::kRgb;
  } else if (source_.Equals(at_, "VP8 ") || source_.Equals(at_, "ALPH")) {
    info_.color_space = ColorSpace::kYcbcr;
  } else if (source_.Equals(at_, "EXIF") && wants_exif_) {
    return Exif(at_ + 8, at_ + 8 + length);
  }
  return Step::kGo;
}

ProbeResult Vp8xReader::Read(uint64_t data, uint64_t length) {
  if (!source_.Has(data, 10)) return source_.Missing(Format::kWebp, data, 10);
  const uint8_t flags = source_.U8(data);
  info_.width = source_.Le24(data + 4) + 1;
  info_.height = source_.Le24(data + 7) + 1;
  info_.animated = (flags & kAnimation) != 0;
  info_.has_alpha = (flags & kAlpha) != 0;
  info_.has_icc = (flags & kIcc) != 0;
  info_.channels = *info_.has_alpha ? 4 : 3;
  if (!info_.animated) info_.frames = 1;
  SetOrientation(info_, 1);
  wants_exif_ = (flags & kExif) != 0;

  at_ = data + length + (length & 1);
  for (uint32_t chunks = 0; at_ + 8 <= end_; ++chunks) {
    if (chunks > kMaxParts) return Corrupt(Format::kWebp, "WebP: more than 65536 chunks");
    const bool known = !wants_exif_ && info_.color_space != ColorSpace::kUnknown;
    if (!info_.animated && known) return Ok(info_);
    // A still's Exif is fetched, wherever it stands; all else only where it costs nothing.
    const Place place = source_.Find(at_, 8);
    const bool fetched = wants_exif_ && !info_.animated;
    if (place == Place::kFar && !fetched) break;
    if (!source_.Has(at_, 8)) return source_.Missing(Format::kWebp, at_, 8, kAfterJump);
    const uint64_t chunk = source_.Le32(at_ + 4);
    if (Chunk(chunk) == Step::kDone) return result_;
    at_ += 8 + chunk + (chunk & 1);
  }
  const bool walked = at_ + 8 > end_;
  if (!info_.animated) return Ok(info_);
  if (walked && frames_ > 0) info_.frames = frames_;
  return walked || !wants_exif_ ? Ok(info_) : ExifAtTheEnd();
}

ProbeResult Vp8xReader::ExifAtTheEnd() {
  for (const uint64_t reach : kTails) {
    // Chunks begin at even offsets.
    const uint64_t tail = std::max(at_, end_ - std::min(end_, reach) + (end_ & 1));
    if (!source_.Has(tail, end_ - tail)) return source_.Missing(Format::kWebp, tail, end_ - tail);
    if (SeekExif(tail) == Step::kDone) return result_;
  }
  return Ok(info_);
}

Vp8xReader::Step Vp8xReader::SeekExif(uint64_t tail) {
  // The container may or may not count the pad byte of its last chunk.
  auto ends_here = [&](uint64_t at) { return at == end_ || at == end_ + 1; };
  auto behind = [&](uint64_t at) {
    const uint64_t length = source_.Le32(at + 4);
    return at + 8 + length + (length & 1);
  };
  for (uint64_t at = tail; at + 8 <= end_; at += 2) {
    if (!source_.Equals(at, "EXIF")) continue;
    const uint64_t next = behind(at);
    const bool xmp_follows = next + 8 <= end_ && source_.Equals(next, "XMP ") && ends_here(behind(next));
    if (!ends_here(next) && !xmp_follows) continue;
    if (Exif(at + 8, std::min(at + 8 + source_.Le32(at + 4), end_)) == Step::kDone) return Step::kDone;
    return Done(Ok(info_));
  }
  return Step::kGo;
}

}  // namespace

ProbeResult ReadWebp(Source& source) {
  if (!source.Has(0, 20)) return source.Missing(Format::kWebp, 0, 20, 30);
  ImageInfo info;
  info.format = Format::kWebp;
  info.bit_depth = 8;
  const uint64_t end = uint64_t{8} + source.Le32(4);
  const uint64_t length = source.Le32(16);
  constexpr uint64_t kData = 20;
  if (source.Equals(12, "VP8 ")) return ReadVp8(source, kData, info);
  if (source.Equals(12, "VP8L")) return ReadVp8l(source, kData, info);
  if (source.Equals(12, "VP8X")) {
    if (length < 10) return Corrupt(Format::kWebp, "WebP: the VP8X chunk is too short");
    return Vp8xReader(source, end, info).Read(kData, length);
  }
  return Corrupt(Format::kWebp, "WebP: the first chunk is none of VP8, VP8L and VP8X");
}

}  // namespace imgfleet::image
