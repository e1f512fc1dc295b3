// The answer comes from the primary item (pitm) and the properties associated with it (ipma), never from the
// first or the largest ispe: thumbnails, tiles and depth maps have their own. Properties decide the
// orientation; Exif is not asked, as HEIF demands.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/image/heif.h"
#include "worker/image/orientation.h"

namespace imgfleet::image {
namespace {

// More properties on one item than any writer makes; bounds the work.
constexpr size_t kMaxProperties = 64;
// A meta box is read as one; this much of it is asked for beyond what is missing.
constexpr uint64_t kHint = 4096;

class MetaReader {
 public:
  MetaReader(Source& source, Format fallback, bool sequence) : source_(source), fallback_(fallback) {
    info_.format = fallback;
    info_.animated = sequence;
  }
  ProbeResult Read(uint64_t begin, uint64_t end);

 private:
  struct Property {
    uint16_t index = 0;  // From 1, in the order of ipco.
    Box box;
  };

  // Each of these returns false after setting result_.
  bool FindChildren(uint64_t begin, uint64_t end);
  bool ReadPrimaryId();
  bool ReadItemTypes();
  bool ReadProperties();
  bool ReadAssociations(const Box& ipma);
  bool LocateProperties(const Box& ipco);
  bool ApplyProperties();
  bool ApplySize(const Box& box);
  bool ApplyCrop(const Box& box);
  void ApplyTurn(uint8_t orientation);
  bool ApplyCodecSamples(const Box& box);

  bool Need(const Box& box, uint64_t size) {
    if (box.end - box.begin < size) return Fail("HEIF: a box is too short for what it holds");
    if (source_.Has(box.begin, size)) return true;
    return Missing(box.begin, size);
  }
  bool Missing(uint64_t offset, uint64_t size) {
    result_ =
        source_.Missing(info_.format, offset, size, std::max(size, std::min(kHint, meta_end_ - offset)));
    return false;
  }
  bool Fail(absl::string_view message) {
    result_ = Corrupt(info_.format, message);
    return false;
  }
  bool Stopped(BoxWalk::Step step, const BoxWalk& walk) {
    if (step == BoxWalk::Step::kMissing) return Missing(walk.need_offset(), walk.need_size());
    return Fail("HEIF: a box has an impossible size");
  }

  Source& source_;
  const Format fallback_;
  ImageInfo info_;
  ProbeResult result_;
  uint64_t meta_end_ = 0;
  std::optional<Box> pitm_, iinf_, iprp_;
  uint32_t primary_ = 0;
  std::array<Property, kMaxProperties> properties_;
  size_t property_count_ = 0;
  bool associated_ = false;
};

bool MetaReader::FindChildren(uint64_t begin, uint64_t end) {
  meta_end_ = end;
  // A FullBox: version and flags come first. QuickTime writes meta as a plain box; its children begin at
  // once.
  if (!Need({0, begin, end}, 8)) return false;
  if (source_.Be32(begin + 4) != BoxType("hdlr")) begin += 4;
  BoxWalk walk(source_, begin, end);
  Box box;
  BoxWalk::Step step;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("pitm") && !pitm_) pitm_ = box;
    if (box.type == BoxType("iinf") && !iinf_) iinf_ = box;
    if (box.type == BoxType("iprp") && !iprp_) iprp_ = box;
    if (pitm_ && iinf_ && iprp_) return true;
  }
  if (step != BoxWalk::Step::kEnd) return Stopped(step, walk);
  return Fail("HEIF: the meta box lacks the primary item, the items or their properties");
}

bool MetaReader::ReadPrimaryId() {
  if (!Need(*pitm_, 6)) return false;
  const bool wide = source_.U8(pitm_->begin) != 0;
  if (wide && !Need(*pitm_, 8)) return false;
  primary_ = wide ? source_.Be32(pitm_->begin + 4) : source_.Be16(pitm_->begin + 4);
  return true;
}

bool MetaReader::ReadItemTypes() {
  if (!Need(*iinf_, 6)) return false;
  const bool wide_count = source_.U8(iinf_->begin) != 0;
  BoxWalk walk(source_, iinf_->begin + (wide_count ? 8 : 6), iinf_->end);
  Box box;
  BoxWalk::Step step;
  std::optional<uint32_t> primary_type;
  Format first_coded = Format::kUnknown;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type != BoxType("infe")) continue;
    if (!Need(box, 4)) return false;
    const uint8_t version = source_.U8(box.begin);
    if (version < 2) continue;  // Of before items had types.
    const uint64_t id_size = version == 2 ? 2 : 4;
    if (!Need(box, 4 + id_size + 6)) return false;
    const uint32_t id = id_size == 2 ? source_.Be16(box.begin + 4) : source_.Be32(box.begin + 4);
    const uint32_t type = source_.Be32(box.begin + 4 + id_size + 2);
    if (first_coded == Format::kUnknown) first_coded = HeifFormatOfCoding(type);
    if (id != primary_) continue;
    primary_type = type;
    if (HeifFormatOfCoding(type) != Format::kUnknown) break;
  }
  if (step == BoxWalk::Step::kMissing || step == BoxWalk::Step::kBad) return Stopped(step, walk);
  if (!primary_type) return Fail("HEIF: the primary item does not exist");
  const bool derived = *primary_type == BoxType("grid") || *primary_type == BoxType("iovl") ||
                       *primary_type == BoxType("iden");
  Format format = HeifFormatOfCoding(*primary_type);
  if (derived) format = fallback_ != Format::kUnknown ? fallback_ : first_coded;
  if (format != Format::kUnknown) {
    info_.format = format;
    return true;
  }
  std::string coding;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const char c = static_cast<char>(*primary_type >> shift);
    coding += c >= ' ' && c <= '~' ? c : '?';
  }
  result_ = Unsupported(Format::kUnknown, absl::StrCat("HEIF with an image coded as '", coding, "'"));
  return false;
}

bool MetaReader::ReadProperties() {
  BoxWalk walk(source_, iprp_->begin, iprp_->end);
  Box box;
  BoxWalk::Step step;
  std::optional<Box> ipco;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("ipco") && !ipco) ipco = box;
    if (box.type == BoxType("ipma") && !associated_ && !ReadAssociations(box)) return false;
  }
  if (step != BoxWalk::Step::kEnd) return Stopped(step, walk);
  if (!ipco || !associated_) return Fail("HEIF: the primary item has no properties");
  return LocateProperties(*ipco) && ApplyProperties();
}

bool MetaReader::ReadAssociations(const Box& ipma) {
  if (!Need(ipma, ipma.end - ipma.begin) || !Need(ipma, 8)) return false;
  const bool wide_ids = source_.U8(ipma.begin) != 0;
  const uint64_t index_size = source_.U8(ipma.begin + 3) & 1 ? 2 : 1;
  const uint64_t id_size = wide_ids ? 4 : 2;
  const uint32_t entries = source_.Be32(ipma.begin + 4);
  uint64_t at = ipma.begin + 8;
  for (uint32_t i = 0; i < entries; ++i) {
    if (ipma.end - at < id_size + 1) return Fail("HEIF: the property associations break off");
    const uint32_t id = wide_ids ? source_.Be32(at) : source_.Be16(at);
    const uint64_t count = source_.U8(at + id_size);
    at += id_size + 1;
    if (ipma.end - at < count * index_size) return Fail("HEIF: the property associations break off");
    if (id != primary_) {
      at += count * index_size;
      continue;
    }
    if (count > kMaxProperties) return Fail("HEIF: the primary item has more than 64 properties");
    for (uint64_t k = 0; k < count; ++k, at += index_size) {
      const uint16_t index = index_size == 2 ? source_.Be16(at) & 0x7FFF : source_.U8(at) & 0x7F;
      properties_[property_count_++].index = index;
    }
    associated_ = true;
    return true;
  }
  return true;
}

bool MetaReader::LocateProperties(const Box& ipco) {
  uint16_t last = 0;
  for (size_t k = 0; k < property_count_; ++k) last = std::max(last, properties_[k].index);
  BoxWalk walk(source_, ipco.begin, ipco.end);
  Box box;
  for (uint16_t index = 1; index <= last; ++index) {
    const BoxWalk::Step step = walk.Next(&box);
    if (step == BoxWalk::Step::kEnd) return Fail("HEIF: the primary item has a property that does not exist");
    if (step != BoxWalk::Step::kBox) return Stopped(step, walk);
    for (size_t k = 0; k < property_count_; ++k) {
      if (properties_[k].index == index) properties_[k].box = box;
    }
  }
  return true;
}

bool MetaReader::ApplySize(const Box& box) {
  if (!Need(box, 12)) return false;
  info_.width = source_.Be32(box.begin + 4);
  info_.height = source_.Be32(box.begin + 8);
  if (info_.width == 0 || info_.height == 0) return Fail("HEIF: the primary item has no area");
  SetOrientation(info_, 1);
  return true;
}

// Clean aperture: the size that is left of the image; where in it does not matter here.
bool MetaReader::ApplyCrop(const Box& box) {
  if (!Need(box, 32)) return false;
  uint32_t* const sides[2] = {&info_.display_width, &info_.display_height};
  for (int i = 0; i < 2; ++i) {
    const uint64_t numerator = source_.Be32(box.begin + 8 * i);
    const uint64_t denominator = source_.Be32(box.begin + 8 * i + 4);
    if (denominator == 0) return Fail("HEIF: a clean aperture divided by 0");
    const uint64_t side = (numerator + denominator / 2) / denominator;
    if (side == 0) return Fail("HEIF: a clean aperture without area");
    *sides[i] = static_cast<uint32_t>(std::min<uint64_t>(side, *sides[i]));
  }
  return true;
}

void MetaReader::ApplyTurn(uint8_t orientation) {
  if (SwapsSides(orientation)) std::swap(info_.display_width, info_.display_height);
  info_.orientation = CombineOrientations(info_.orientation, orientation);
}

// The decoder's configuration knows depth and channels too; pixi, where it stands, is the container's own word.
bool MetaReader::ApplyCodecSamples(const Box& box) {
  if (info_.bit_depth.has_value()) return true;
  if (box.type == BoxType("hvcC")) {
    if (!Need(box, 18)) return false;
    info_.channels = (source_.U8(box.begin + 16) & 3) == 0 ? 1 : 3;
    info_.bit_depth = static_cast<uint8_t>(8 + (source_.U8(box.begin + 17) & 7));
  } else {
    if (!Need(box, 3)) return false;
    const uint8_t flags = source_.U8(box.begin + 2);
    info_.channels = flags & 0x10 ? 1 : 3;
    info_.bit_depth = flags & 0x40 ? (flags & 0x20 ? 12 : 10) : 8;
  }
  return true;
}

bool MetaReader::ApplyProperties() {
  // The size first, wherever it stands in the list; then what transforms it, in the order of the list.
  for (size_t k = 0; k < property_count_ && info_.width == 0; ++k) {
    const Box& box = properties_[k].box;
    if (box.type == BoxType("ispe") && !ApplySize(box)) return false;
  }
  if (info_.width == 0) return Fail("HEIF: the primary item has no size (ispe)");
  for (size_t k = 0; k < property_count_; ++k) {
    const Box& box = properties_[k].box;
    if (box.type == BoxType("clap")) {
      if (!ApplyCrop(box)) return false;
    } else if (box.type == BoxType("irot")) {
      if (!Need(box, 1)) return false;
      constexpr uint8_t kTurns[4] = {1, 8, 3, 6};  // Quarter turns against the clock.
      ApplyTurn(kTurns[source_.U8(box.begin) & 3]);
    } else if (box.type == BoxType("imir")) {
      if (!Need(box, 1)) return false;
      ApplyTurn(source_.U8(box.begin) & 1 ? 2 : 4);  // Axis 1 exchanges left and right, 0 top and bottom.
    } else if (box.type == BoxType("pixi")) {
      if (!Need(box, 5)) return false;
      const uint8_t channels = source_.U8(box.begin + 4);
      if (channels == 0) continue;
      if (!Need(box, 5u + channels)) return false;
      info_.channels = channels;
      info_.bit_depth = source_.U8(box.begin + 5);
    }
  }
  for (size_t k = 0; k < property_count_; ++k) {
    const Box& box = properties_[k].box;
    const bool codec = box.type == BoxType("hvcC") || box.type == BoxType("av1C");
    if (codec && !ApplyCodecSamples(box)) return false;
  }
  return true;
}

ProbeResult MetaReader::Read(uint64_t begin, uint64_t end) {
  if (FindChildren(begin, end) && ReadPrimaryId() && ReadItemTypes() && ReadProperties()) return Ok(info_);
  return result_;
}

}  // namespace

ProbeResult ReadHeifMeta(Source& source, uint64_t begin, uint64_t end, Format fallback, bool sequence) {
  return MetaReader(source, fallback, sequence).Read(begin, end);
}

}  // namespace imgfleet::image
