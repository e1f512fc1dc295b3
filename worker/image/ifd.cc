#include "worker/image/ifd.h"

#include <algorithm>

namespace imgfleet::image {
namespace {
// Classic TIFF cannot count further; more in a BigTIFF is no directory that anybody wrote.
constexpr uint64_t kMaxEntries = 65535;

// Bytes of one value of a TIFF type; 0 for types that do not exist.
uint64_t ValueSize(uint16_t type) {
  switch (type) {
    case 1:  // BYTE
    case 2:  // ASCII
    case 6:  // SBYTE
    case 7:  // UNDEFINED
      return 1;
    case 3:  // SHORT
    case 8:  // SSHORT
      return 2;
    case 4:   // LONG
    case 9:   // SLONG
    case 11:  // FLOAT
    case 13:  // IFD
      return 4;
    case 5:   // RATIONAL
    case 10:  // SRATIONAL
    case 12:  // DOUBLE
    case 16:  // LONG8
    case 17:  // SLONG8
    case 18:  // IFD8
      return 8;
    default:
      return 0;
  }
}
}  // namespace

Ifd::State Ifd::Need(uint64_t offset, uint64_t size) {
  need_offset_ = offset;
  need_size_ = size;
  return State::kMissing;
}

Ifd::State Ifd::Bad(const char* problem) {
  problem_ = problem;
  return State::kBad;
}

Ifd::State Ifd::Open() {
  const uint64_t room = end_ > begin_ ? end_ - begin_ : 0;
  if (room < 8) return Bad("no room for a TIFF header");
  if (!source_.Has(begin_, 8)) return Need(begin_, 8);
  little_ = source_.Equals(begin_, "II");
  if (!little_ && !source_.Equals(begin_, "MM")) return Bad("no byte order");
  const uint16_t version = U16(begin_ + 2);
  big_ = version == 43;
  if (!big_ && version != 42) return Bad("neither TIFF nor BigTIFF");
  uint64_t directory = U32(begin_ + 4);
  if (big_) {
    if (U16(begin_ + 4) != 8 || U16(begin_ + 6) != 0) return Bad("offsets of an unknown size");
    if (room < 16) return Bad("no room for a BigTIFF header");
    if (!source_.Has(begin_, 16)) return Need(begin_, 16);
    directory = U64(begin_ + 8);
  }
  if (directory < 8) return Bad("the directory lies inside the header");
  if (directory > room || room - directory < count_size()) return Bad("the directory lies outside");
  directory_ = begin_ + directory;
  if (!source_.Has(directory_, count_size())) return Need(directory_, count_size());
  const uint64_t count = big_ ? U64(directory_) : U16(directory_);
  if (count == 0) return Bad("an empty directory");
  if (count > kMaxEntries) return Bad("a directory of more than 65535 entries");
  entries_ = directory_ + count_size();
  entry_count_ = std::min(count, (end_ - entries_) / entry_size());
  whole_ = entry_count_ == count && end_ - entries_ - count * entry_size() >= link_size();
  const uint64_t needed = entry_count_ * entry_size() + (whole_ ? link_size() : 0);
  if (!source_.Has(entries_, needed)) return Need(entries_, needed);
  return State::kOpen;
}

IfdEntry Ifd::entry(uint64_t i) {
  const uint64_t at = entries_ + i * entry_size();
  IfdEntry entry;
  entry.tag = U16(at);
  entry.type = U16(at + 2);
  entry.count = big_ ? U64(at + 4) : U32(at + 4);
  const uint64_t in_place = at + (big_ ? 12 : 8);
  const uint64_t size = ValueSize(entry.type);
  const bool fits = size == 0 || entry.count <= (big_ ? 8 : 4) / size;
  const uint64_t pointer = big_ ? U64(in_place) : U32(in_place);
  entry.values = fits ? in_place : begin_ + std::min(pointer, kMaxOffset);
  return entry;
}

std::optional<uint64_t> Ifd::Unsigned(const IfdEntry& entry) {
  if (entry.count != 1) return std::nullopt;
  const auto unless_negative = [](int64_t value) {
    return value < 0 ? std::nullopt : std::optional<uint64_t>(value);
  };
  switch (entry.type) {
    case 1:
      return source_.U8(entry.values);
    case 3:
      return U16(entry.values);
    case 4:
      return U32(entry.values);
    case 6:
      return unless_negative(static_cast<int8_t>(source_.U8(entry.values)));
    case 8:
      return unless_negative(static_cast<int16_t>(U16(entry.values)));
    case 9:
      return unless_negative(static_cast<int32_t>(U32(entry.values)));
    case 16:
      return big_ ? std::optional<uint64_t>(U64(entry.values)) : std::nullopt;
    case 17:
      return big_ ? unless_negative(static_cast<int64_t>(U64(entry.values))) : std::nullopt;
    default:
      return std::nullopt;
  }
}

Place Ifd::Find(const IfdEntry& entry, uint64_t size) {
  if (entry.values > end_ || size > end_ - entry.values) return Place::kFar;
  if (entry.values >= directory_ && entry.values + size <= directory_end()) return Place::kAtHand;
  const bool behind = entry.values >= directory_ && directory_ < kMaxOffset;
  return source_.Find(entry.values, size,
                      behind ? std::max(kFieldReach, directory_ + kCloseBehind) : kFieldReach);
}

uint64_t Ifd::next() {
  if (!whole_) return 0;
  const uint64_t link = entries_ + entry_count_ * entry_size();
  const uint64_t next = big_ ? U64(link) : U32(link);
  return next == 0 ? 0 : begin_ + std::min(next, kMaxOffset);
}

}  // namespace imgfleet::image
