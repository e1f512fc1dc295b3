// The answer comes from the primary item (pitm) and the properties associated with it (ipma), never from the
// first or the largest ispe: thumbnails, tiles and depth maps have their own. Properties decide the
// orientation; Exif is not asked, as HEIF demands. Transparency is an item of its own that refers to the primary
// one (iref).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/image/heif.h"
#include "worker/image/orientation.h"

namespace imgfleet::image {
namespace {

// More properties on one item than any writer makes; bounds the work.
constexpr size_t kMaxProperties = 64;
// A meta box is read as one; this much of it is asked for beyond what is missing.
constexpr uint64_t kHint = 4096;
// A meta box of up to this size is read to its end, for what only the references tell. They may stand anywhere in it.
constexpr uint64_t kSmallMeta = 12288;
// Pictures of one file that are told apart; files with more have no count.
constexpr size_t kMaxPictures = 64;

bool IsDerived(uint32_t type) {
  return type == BoxType("grid") || type == BoxType("iovl") || type == BoxType("iden");
}

class MetaReader {
 public:
  MetaReader(Source& source, Format fallback, bool sequence) : source_(source), fallback_(fallback) {
    info_.format = fallback;
    info_.has_icc = false;
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
  bool ReadReferences();
  void NotAPicture(uint32_t id);
  bool ReadProperties();
  bool ReadAssociations(const Box& ipma);
  bool Associate(uint64_t at, uint64_t count, uint64_t index_size, bool primary);
  bool LocateProperties(const Box& ipco);
  bool ApplyProperties();
  bool ApplySize(const Box& box);
  bool ApplyCrop(const Box& box);
  void ApplyTurn(uint8_t orientation);
  bool ApplyCodecSamples(const Box& box);
  bool ApplyColors(const Box& box);
  bool ApplyAuxiliary(const Box& box);

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
  bool small_ = false;
  std::optional<Box> pitm_, iinf_, iprp_, iref_;
  uint32_t primary_ = 0;
  // Items that are to be seen, and those that say to be auxiliary to the primary one.
  std::array<uint32_t, kMaxPictures> pictures_;
  size_t picture_count_ = 0;
  bool too_many_pictures_ = false;
  std::array<uint32_t, 8> auxiliaries_;
  size_t auxiliary_count_ = 0;
  bool identity_matrix_ = false;
  std::array<Property, kMaxProperties> properties_;
  size_t property_count_ = 0;
  // Of the auxiliary items.
  std::array<Property, kMaxProperties> aux_properties_;
  size_t aux_property_count_ = 0;
  bool associated_ = false;
};

bool MetaReader::FindChildren(uint64_t begin, uint64_t end) {
  meta_end_ = end;
  small_ = end - begin <= kSmallMeta;
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
    if (box.type == BoxType("iref") && !iref_) iref_ = box;
    if (pitm_ && iinf_ && iprp_ && (iref_ || !small_)) return true;
  }
  if (step == BoxWalk::Step::kMissing) return Stopped(step, walk);
  if (pitm_ && iinf_ && iprp_) return true;
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
    const Format coded = HeifFormatOfCoding(type);
    if (first_coded == Format::kUnknown) first_coded = coded;
    const bool hidden = (source_.U8(box.begin + 3) & 1) != 0;
    if (!hidden && (coded != Format::kUnknown || IsDerived(type))) {
      too_many_pictures_ = too_many_pictures_ || picture_count_ == kMaxPictures;
      if (!too_many_pictures_) pictures_[picture_count_++] = id;
    }
    if (id != primary_) continue;
    primary_type = type;
    if (coded != Format::kUnknown && !small_) break;
  }
  if (step == BoxWalk::Step::kMissing || step == BoxWalk::Step::kBad) return Stopped(step, walk);
  if (!primary_type) return Fail("HEIF: the primary item does not exist");
  Format format = HeifFormatOfCoding(*primary_type);
  if (IsDerived(*primary_type)) format = fallback_ != Format::kUnknown ? fallback_ : first_coded;
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

void MetaReader::NotAPicture(uint32_t id) {
  const auto end = pictures_.begin() + picture_count_;
  const auto found = std::find(pictures_.begin(), end, id);
  if (found == end || id == primary_) return;
  *found = *(end - 1);
  --picture_count_;
}

// iref: boxes named by what is said of an item: its id, a count, and the ids of those it is said to. A thumbnail or an
// auxiliary item is no picture of its own, nor is what a picture is put together from.
bool MetaReader::ReadReferences() {
  if (!small_) return true;
  if (iref_) {
    if (!Need(*iref_, 4)) return false;
    const uint64_t id_size = source_.U8(iref_->begin) == 0 ? 2 : 4;
    auto id_at = [&](uint64_t at) { return id_size == 2 ? source_.Be16(at) : source_.Be32(at); };
    BoxWalk walk(source_, iref_->begin + 4, iref_->end);
    Box box;
    BoxWalk::Step step;
    while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
      const bool auxiliary = box.type == BoxType("auxl"), thumbnail = box.type == BoxType("thmb");
      const bool parts = box.type == BoxType("dimg");
      if (!auxiliary && !thumbnail && !parts) continue;
      if (!Need(box, id_size + 2)) return false;
      const uint64_t count = source_.Be16(box.begin + id_size);
      if (!Need(box, id_size + 2 + count * id_size)) return false;
      const uint32_t from = id_at(box.begin);
      if (!parts) NotAPicture(from);
      for (uint64_t i = 0; i < count; ++i) {
        const uint32_t to = id_at(box.begin + id_size + 2 + i * id_size);
        if (parts) NotAPicture(to);
        const bool room = auxiliary_count_ < auxiliaries_.size();
        if (auxiliary && to == primary_ && room) auxiliaries_[auxiliary_count_++] = from;
      }
    }
    if (step != BoxWalk::Step::kEnd) return Stopped(step, walk);
  }
  info_.has_alpha = false;
  if (!too_many_pictures_ && !info_.animated) info_.frames = std::max<uint32_t>(1, picture_count_);
  return true;
}

bool MetaReader::ReadProperties() {
  BoxWalk walk(source_, iprp_->begin, iprp_->end);
  Box box;
  BoxWalk::Step step;
  std::optional<Box> ipco;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("ipco") && !ipco) ipco = box;
    const bool wanted = !associated_ || auxiliary_count_ > 0;
    if (box.type == BoxType("ipma") && wanted && !ReadAssociations(box)) return false;
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
    const bool primary = id == primary_ && !associated_;
    const auto aux_end = auxiliaries_.begin() + auxiliary_count_;
    const bool auxiliary = std::find(auxiliaries_.begin(), aux_end, id) != aux_end;
    if ((primary || auxiliary) && !Associate(at, count, index_size, primary)) return false;
    if (associated_ && auxiliary_count_ == 0) return true;
    at += count * index_size;
  }
  return true;
}

bool MetaReader::Associate(uint64_t at, uint64_t count, uint64_t index_size, bool primary) {
  if (primary && count > kMaxProperties) return Fail("HEIF: the primary item has more than 64 properties");
  for (uint64_t k = 0; k < count; ++k, at += index_size) {
    const uint16_t index = index_size == 2 ? source_.Be16(at) & 0x7FFF : source_.U8(at) & 0x7F;
    if (primary) {
      properties_[property_count_++] = {index, {}};
    } else if (aux_property_count_ < aux_properties_.size()) {
      aux_properties_[aux_property_count_++] = {index, {}};
    }
  }
  associated_ = associated_ || primary;
  return true;
}

bool MetaReader::LocateProperties(const Box& ipco) {
  uint16_t last = 0, last_aux = 0;
  for (size_t k = 0; k < property_count_; ++k) last = std::max(last, properties_[k].index);
  for (size_t k = 0; k < aux_property_count_; ++k) last_aux = std::max(last_aux, aux_properties_[k].index);
  BoxWalk walk(source_, ipco.begin, ipco.end);
  Box box;
  for (uint16_t index = 1; index <= std::max(last, last_aux); ++index) {
    const BoxWalk::Step step = walk.Next(&box);
    if (step != BoxWalk::Step::kBox && step != BoxWalk::Step::kMissing && index > last) return true;
    if (step == BoxWalk::Step::kEnd) return Fail("HEIF: the primary item has a property that does not exist");
    if (step != BoxWalk::Step::kBox) return Stopped(step, walk);
    for (size_t k = 0; k < property_count_; ++k) {
      if (properties_[k].index == index) properties_[k].box = box;
    }
    for (size_t k = 0; k < aux_property_count_; ++k) {
      if (aux_properties_[k].index == index) aux_properties_[k].box = box;
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

// colr: "nclx" gives numbers, of which the matrix 0 means that nothing was done to RGB; else a colour profile.
bool MetaReader::ApplyColors(const Box& box) {
  if (!Need(box, 4)) return false;
  const uint32_t kind = source_.Be32(box.begin);
  if (kind == BoxType("prof") || kind == BoxType("rICC")) info_.has_icc = true;
  if (kind != BoxType("nclx")) return true;
  if (!Need(box, 10)) return false;
  identity_matrix_ = source_.Be16(box.begin + 8) == 0;
  return true;
}

// auxC says what an auxiliary item is, by a name that ends with a zero.
bool MetaReader::ApplyAuxiliary(const Box& box) {
  for (const absl::string_view name : {absl::string_view("urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"),
                                       absl::string_view("urn:mpeg:hevc:2015:auxid:1")}) {
    const uint64_t size = 4 + name.size() + 1;
    if (box.end - box.begin < size) continue;
    if (!Need(box, size)) return false;
    if (source_.Equals(box.begin + 4, name) && source_.U8(box.begin + size - 1) == 0) info_.has_alpha = true;
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
    if (box.type == BoxType("colr") && !ApplyColors(box)) return false;
  }
  for (size_t k = 0; k < aux_property_count_; ++k) {
    const Box& box = aux_properties_[k].box;
    if (box.type == BoxType("auxC") && !ApplyAuxiliary(box)) return false;
  }
  if (info_.channels.has_value()) {
    if (*info_.channels == 1) info_.color_space = ColorSpace::kGray;
    if (*info_.channels == 3) info_.color_space = identity_matrix_ ? ColorSpace::kRgb : ColorSpace::kYcbcr;
    // The alpha plane is a sample of each pixel, wherever it is stored.
    if (info_.has_alpha.value_or(false) && *info_.channels < 255) ++*info_.channels;
  }
  return true;
}

ProbeResult MetaReader::Read(uint64_t begin, uint64_t end) {
  const bool read =
      FindChildren(begin, end) && ReadPrimaryId() && ReadItemTypes() && ReadReferences() && ReadProperties();
  if (read) return Ok(info_);
  return result_;
}

}  // namespace

ProbeResult ReadHeifMeta(Source& source, uint64_t begin, uint64_t end, Format fallback, bool sequence) {
  return MetaReader(source, fallback, sequence).Read(begin, end);
}

}  // namespace imgfleet::image
