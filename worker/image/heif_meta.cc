// The answer comes from the primary item (pitm) and the properties associated with it (ipma), never from the
// first or the largest ispe: thumbnails, tiles and depth maps have their own. Properties decide the
// orientation; Exif is not asked, as HEIF demands. Transparency is an item of its own that refers to the primary
// one (iref).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/image/heif.h"
#include "worker/image/heif_properties.h"

namespace imgfleet::image {
namespace {

// A meta box of up to this size is read to its end, for what only the references tell. They may stand anywhere in it.
constexpr uint64_t kSmallMeta = 12288;
// Pictures of one file that are told apart; files with more have no count.
constexpr size_t kMaxPictures = 64;

bool IsDerived(uint32_t type) {
  return type == BoxType("grid") || type == BoxType("iovl") || type == BoxType("iden");
}

class MetaReader {
 public:
  // The box's content lies at [begin, end).
  MetaReader(Source& source, uint64_t begin, uint64_t end, Format fallback, bool sequence)
      : source_(source),
        fallback_(fallback),
        small_(end - begin <= kSmallMeta),
        answer_(source, info_, end),
        begin_(begin),
        end_(end) {
    info_.format = fallback;
    info_.has_icc = false;
    info_.animated = sequence;
  }
  ProbeResult Read();

 private:
  // Each of these returns false after setting answer_.
  bool FindChildren();
  bool ReadPrimaryId();
  bool ReadItemTypes();
  bool ReadReferences();
  void NotAPicture(uint32_t id);
  bool ReadProperties();
  bool ReadAssociations(const Box& ipma);
  bool Associate(uint64_t at, uint64_t count, uint64_t index_size, ItemProperties& properties);
  // Properties of other items than the primary one matter.
  bool WantsOthers() const { return auxiliary_count_ > 0 || tile_.has_value(); }
  bool Need(const Box& box, uint64_t size) { return answer_.Need(box, size); }
  bool LocateProperties(const Box& ipco);

  Source& source_;
  const Format fallback_;
  const bool small_;
  ImageInfo info_;
  MetaAnswer answer_;
  const uint64_t begin_, end_;
  std::optional<Box> pitm_, iinf_, iprp_, iref_;
  uint32_t primary_ = 0;
  // Items that are to be seen, and those that say to be auxiliary to the primary one.
  std::array<uint32_t, kMaxPictures> pictures_;
  size_t picture_count_ = 0;
  bool too_many_pictures_ = false;
  std::array<uint32_t, 8> auxiliaries_;
  size_t auxiliary_count_ = 0;
  // The first of those that the primary one is put together from.
  std::optional<uint32_t> tile_;
  ItemProperties properties_, tile_properties_, auxiliary_properties_;
  bool associated_ = false;
  uint32_t associations_ = 0;
};

bool MetaReader::FindChildren() {
  // A FullBox: version and flags come first. QuickTime writes meta as a plain box; its children begin at
  // once.
  if (!Need({0, begin_, end_}, 8)) return false;
  const bool full = source_.Be32(begin_ + 4) != BoxType("hdlr");
  BoxWalk walk(source_, begin_ + (full ? 4 : 0), end_);
  Box box;
  BoxWalk::Step step;
  while ((step = walk.Next(&box)) == BoxWalk::Step::kBox) {
    if (box.type == BoxType("pitm") && !pitm_) pitm_ = box;
    if (box.type == BoxType("iinf") && !iinf_) iinf_ = box;
    if (box.type == BoxType("iprp") && !iprp_) iprp_ = box;
    if (box.type == BoxType("iref") && !iref_) iref_ = box;
    if (pitm_ && iinf_ && iprp_ && (iref_ || !small_)) return true;
  }
  if (step == BoxWalk::Step::kMissing) return answer_.Stopped(step, walk);
  if (pitm_ && iinf_ && iprp_) return true;
  if (step != BoxWalk::Step::kEnd) return answer_.Stopped(step, walk);
  return answer_.Fail("HEIF: the meta box lacks the primary item, the items or their properties");
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
  if (step == BoxWalk::Step::kMissing || step == BoxWalk::Step::kBad) return answer_.Stopped(step, walk);
  if (!primary_type) return answer_.Fail("HEIF: the primary item does not exist");
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
  return answer_.End(
      Unsupported(Format::kUnknown, absl::StrCat("HEIF with an image coded as '", coding, "'")));
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
        if (parts && from == primary_ && !tile_.has_value()) tile_ = to;
        const bool room = auxiliary_count_ < auxiliaries_.size();
        if (auxiliary && to == primary_ && room) auxiliaries_[auxiliary_count_++] = from;
      }
    }
    if (step != BoxWalk::Step::kEnd) return answer_.Stopped(step, walk);
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
    const bool wanted = !associated_ || WantsOthers();
    if (box.type == BoxType("ipma") && wanted && !ReadAssociations(box)) return false;
  }
  if (step != BoxWalk::Step::kEnd) return answer_.Stopped(step, walk);
  if (!ipco || !associated_) return answer_.Fail("HEIF: the primary item has no properties");
  return LocateProperties(*ipco) &&
         ApplyItemProperties(source_, properties_, tile_properties_, auxiliary_properties_, answer_, info_);
}

bool MetaReader::ReadAssociations(const Box& ipma) {
  if (!Need(ipma, ipma.end - ipma.begin) || !Need(ipma, 8)) return false;
  const bool wide_ids = source_.U8(ipma.begin) != 0;
  const uint64_t index_size = source_.U8(ipma.begin + 3) & 1 ? 2 : 1;
  const uint64_t id_size = wide_ids ? 4 : 2;
  const uint32_t entries = source_.Be32(ipma.begin + 4);
  uint64_t at = ipma.begin + 8;
  for (uint32_t i = 0; i < entries; ++i) {
    if (++associations_ > kMaxParts) return answer_.Fail("HEIF: properties of more than 65536 items");
    if (ipma.end - at < id_size + 1) return answer_.Fail("HEIF: the property associations break off");
    const uint32_t id = wide_ids ? source_.Be32(at) : source_.Be16(at);
    const uint64_t count = source_.U8(at + id_size);
    at += id_size + 1;
    if (ipma.end - at < count * index_size) return answer_.Fail("HEIF: the property associations break off");
    const auto auxiliaries_end = auxiliaries_.begin() + auxiliary_count_;
    const bool auxiliary = std::find(auxiliaries_.begin(), auxiliaries_end, id) != auxiliaries_end;
    if (id == primary_ && !associated_) {
      associated_ = true;
      if (!Associate(at, count, index_size, properties_))
        return answer_.Fail("HEIF: the primary item has more than 64 properties");
    } else if (id == tile_) {
      Associate(at, count, index_size, tile_properties_);
    } else if (auxiliary) {
      Associate(at, count, index_size, auxiliary_properties_);
    }
    if (associated_ && !WantsOthers()) return true;
    at += count * index_size;
  }
  return true;
}

// False: not all of them find room.
bool MetaReader::Associate(uint64_t at, uint64_t count, uint64_t index_size, ItemProperties& properties) {
  for (uint64_t k = 0; k < count; ++k, at += index_size) {
    if (properties.full()) return false;
    properties.Add(index_size == 2 ? source_.Be16(at) & 0x7FFF : source_.U8(at) & 0x7F);
  }
  return true;
}

bool MetaReader::LocateProperties(const Box& ipco) {
  const uint16_t last = properties_.last_index();
  const uint16_t last_other = std::max(tile_properties_.last_index(), auxiliary_properties_.last_index());
  BoxWalk walk(source_, ipco.begin, ipco.end);
  Box box;
  for (uint16_t index = 1; index <= std::max(last, last_other); ++index) {
    const BoxWalk::Step step = walk.Next(&box);
    if (step == BoxWalk::Step::kMissing) return answer_.Stopped(step, walk);
    if (step != BoxWalk::Step::kBox && index > last) return true;
    if (step == BoxWalk::Step::kEnd)
      return answer_.Fail("HEIF: the primary item has a property that does not exist");
    if (step == BoxWalk::Step::kBad) return answer_.Stopped(step, walk);
    properties_.Locate(index, box);
    tile_properties_.Locate(index, box);
    auxiliary_properties_.Locate(index, box);
  }
  return true;
}

ProbeResult MetaReader::Read() {
  const bool read =
      FindChildren() && ReadPrimaryId() && ReadItemTypes() && ReadReferences() && ReadProperties();
  return read ? Ok(info_) : answer_.result();
}

}  // namespace

ProbeResult ReadHeifMeta(Source& source, uint64_t begin, uint64_t end, Format fallback, bool sequence) {
  return MetaReader(source, begin, end, fallback, sequence).Read();
}

}  // namespace imgfleet::image
