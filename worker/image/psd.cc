// Photoshop: PSD (version 1) and PSB (version 2). A header of 26 bytes, then sections that each begin with their
// length: colour mode data, image resources (resolution, profile), layers.
//
// Everything but the size stands somewhere in those sections, which thumbnails and metadata may make long: the file's first
// bytes (kFieldReach) are walked, and what they do not hold stays unset.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/image/orientation.h"
#include "worker/image/readers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kHeader = 26;
constexpr uint32_t kMaxSide = 300000;
constexpr uint16_t kResolution = 0x03ED, kProfile = 0x040F;

// The colour modes, with the samples that colour takes; 0: not told.
struct Mode {
  ColorSpace color_space = ColorSpace::kUnknown;
  uint8_t samples = 0;
};
constexpr Mode kModes[] = {
    {ColorSpace::kGray, 1},                                         // Bitmap
    {ColorSpace::kGray, 1},                                         // Greyscale
    {ColorSpace::kPalette, 1},                                      // Indexed
    {ColorSpace::kRgb, 3},     {ColorSpace::kCmyk, 4}, {}, {}, {},  // Multichannel
    {ColorSpace::kGray, 1},  // Duotone: shown as grey by those who do not know the inks.
    {ColorSpace::kLab, 3}};

// Walks the sections as far as they lie before `limit`.
class Sections {
 public:
  Sections(Source& source, uint64_t limit, bool wide, ImageInfo& info)
      : source_(source), limit_(limit), wide_(wide), info_(info) {}

  // False where a byte before the limit is not at hand: need_offset().
  bool Walk();
  uint64_t need_offset() const { return at_; }

 private:
  // The next `size` bytes lie before the limit and are at hand; else the walk is over.
  bool There(uint64_t size) {
    if (at_ + size > limit_) return false;
    missing_ = !source_.Has(at_, size);
    return !missing_;
  }
  bool WalkResources(uint64_t end);
  void ReadResolution(uint64_t data);
  void ReadLayers();

  Source& source_;
  const uint64_t limit_;
  const bool wide_;
  ImageInfo& info_;
  uint64_t at_ = kHeader;
  bool missing_ = false;
};

bool Sections::Walk() {
  if (!There(4)) return !missing_;
  at_ += 4 + uint64_t{source_.Be32(at_)};
  if (!There(4)) return !missing_;
  const uint64_t resources_end = at_ + 4 + source_.Be32(at_);
  at_ += 4;
  if (!WalkResources(resources_end)) return !missing_;
  if (!info_.has_icc.has_value()) info_.has_icc = false;
  at_ = resources_end;
  ReadLayers();
  return !missing_;
}

// True once all of them were seen.
bool Sections::WalkResources(uint64_t end) {
  while (at_ < end) {
    // Signature, number, a name (its length first, padded to even), the length, the data (padded to even).
    if (!There(7)) return false;
    const uint16_t number = source_.Be16(at_ + 4);
    const uint64_t name = (uint64_t{source_.U8(at_ + 6)} + 2) & ~uint64_t{1};
    if (!There(6 + name + 4)) return false;
    const uint64_t size = source_.Be32(at_ + 6 + name);
    const uint64_t data = at_ + 6 + name + 4;
    if (data + size > end) return false;  // No resource: whatever is here tells nothing.
    if (number == kProfile) info_.has_icc = true;
    if (number == kResolution && size >= 16) {
      if (!There(data + 16 - at_)) return false;
      ReadResolution(data);
    }
    at_ = data + ((size + 1) & ~uint64_t{1});
  }
  return at_ == end || at_ == end + 1;
}

// 16.16 fixed point, always per inch; the unit behind it is only what is shown to the user.
void Sections::ReadResolution(uint64_t data) {
  const uint32_t x = source_.Be32(data), y = source_.Be32(data + 8);
  if (x == 0 || y == 0) return;
  info_.dpi_x = static_cast<float>(x / 65536.0);
  info_.dpi_y = static_cast<float>(y / 65536.0);
}

// A negative number of layers says that the first channel behind the colours is the transparency of the whole.
void Sections::ReadLayers() {
  const uint64_t length = wide_ ? 8 : 4;
  if (info_.has_alpha.has_value() || !There(2 * length + 2)) return;
  const uint64_t layers = wide_ ? source_.Be64(at_ + length) : source_.Be32(at_ + length);
  if (layers < 2) return;
  if (static_cast<int16_t>(source_.Be16(at_ + 2 * length)) < 0) info_.has_alpha = true;
}

}  // namespace

ProbeResult ReadPsd(Source& source) {
  if (!source.Has(0, kHeader)) return source.Missing(Format::kPsd, 0, kHeader);
  const uint16_t version = source.Be16(4);
  if (version != 1 && version != 2) {
    return Unsupported(Format::kPsd, absl::StrCat("Photoshop (PSD) of version ", version));
  }
  ImageInfo info;
  info.format = Format::kPsd;
  const uint16_t channels = source.Be16(12);
  info.height = source.Be32(14);
  info.width = source.Be32(18);
  const uint16_t depth = source.Be16(22);
  const uint16_t number = source.Be16(24);
  if (info.width == 0 || info.height == 0 || info.width > kMaxSide || info.height > kMaxSide) {
    return Corrupt(Format::kPsd, absl::StrCat("Photoshop (PSD): a size of ", info.width, "x", info.height));
  }
  if (channels == 0 || channels > 56 || (depth != 1 && depth != 8 && depth != 16 && depth != 32)) {
    return Corrupt(Format::kPsd, "Photoshop (PSD): impossible channels or bits of one");
  }
  const Mode mode = number < std::size(kModes) ? kModes[number] : Mode();
  info.color_space = mode.color_space;
  info.channels = static_cast<uint8_t>(channels);
  info.bit_depth = static_cast<uint8_t>(depth);
  if (mode.samples > 0 && channels <= mode.samples) info.has_alpha = false;
  info.frames = 1;
  SetOrientation(info, 1);

  const uint64_t limit = std::min(kFieldReach, source.total().value_or(kFieldReach));
  Sections sections(source, limit, version == 2, info);
  if (!sections.Walk()) {
    return source.Missing(Format::kPsd, sections.need_offset(), 1, limit - sections.need_offset());
  }
  return Ok(info);
}

}  // namespace imgfleet::image
