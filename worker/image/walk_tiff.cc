// TIFF 6.0 and BigTIFF: the strips or tiles of every page. Directories may lie anywhere, a stream goes by once: what is
// wanted next has to lie ahead, or within the last kReach bytes before what was wanted last.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "worker/image/completeness.h"
#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

constexpr uint64_t kReach = Completeness::kReach;
constexpr uint64_t kMaxOffset = uint64_t{1} << 62;
constexpr uint64_t kMaxValues = 1 << 15;
// Bytes of directories and values looked at in one file: directories may form a circle.
constexpr uint64_t kMaxLooked = 16 << 20;
constexpr size_t kMaxDirectories = 64;  // Waiting to be read.

// One of the four fields that say where pixels lie.
struct Values {
  uint16_t type = 0;
  uint64_t count = 0;
  uint64_t offset = 0;  // In the file; the values are read into `numbers` then.
  std::vector<uint64_t> numbers;

  uint64_t width() const { return type == 3 ? 2 : type == 4 ? 4 : type == 16 ? 8 : 0; }
  bool read() const { return numbers.size() == count; }
};

class TiffWalker final : public Walker {
 public:
  TiffWalker() { Want(0, 8); }

  void Add(absl::string_view bytes) override {
    position_ += bytes.size();
    while (!bytes.empty() && state_ == State::kWalking) {
      const absl::string_view piece = bytes.substr(0, kReach);
      bytes.remove_prefix(piece.size());
      held_.append(piece.data(), piece.size());
      while (state_ == State::kWalking && wanted_ + size_ <= held_begin_ + held_.size()) {
        OnWanted(absl::string_view(held_).substr(wanted_ - held_begin_, size_));
      }
      Forget();
    }
    if (state_ != State::kWalking) std::string().swap(held_);
  }

  std::optional<bool> Finish() const override {
    if (state_ == State::kUnknown) return std::nullopt;
    return state_ == State::kKnown && position_ >= end_;
  }

 private:
  enum class State : uint8_t { kWalking, kKnown, kUnknown, kBroken } state_ = State::kWalking;
  enum class Next : uint8_t { kHeader, kLargeHeader, kCount, kFields, kValues } next_ = Next::kHeader;

  // What can be reached depends on offsets alone, not on how the bytes come.
  void Want(uint64_t offset, uint64_t size) {
    looked_ += size + 1;
    if (looked_ > kMaxLooked) return Stop(State::kUnknown);
    if (offset < reach_ || size > kReach || offset > kMaxOffset) return GiveUp();
    wanted_ = offset;
    size_ = size;
    reach_ = std::max(reach_, offset + size - std::min(kReach, offset + size));
  }
  void Forget() {
    if (state_ != State::kWalking || reach_ <= held_begin_) return;
    const uint64_t forgotten = std::min<uint64_t>(reach_ - held_begin_, held_.size());
    held_.erase(0, forgotten);
    held_begin_ += forgotten;
  }

  uint64_t Number(absl::string_view part, size_t offset, uint64_t width) const {
    uint64_t number = 0;
    for (uint64_t i = 0; i < width; ++i) {
      const uint64_t from = big_ ? i : width - 1 - i;
      number = number << 8 | static_cast<uint8_t>(part[offset + from]);
    }
    return number;
  }

  void OnWanted(absl::string_view part) {
    switch (next_) {
      case Next::kHeader:
        big_ = part[0] == 'M';
        large_ = Number(part, 2, 2) == 43;
        if (!large_) return Directory(Number(part, 4, 4));
        next_ = Next::kLargeHeader;
        return Want(8, 8);
      case Next::kLargeHeader:
        return Directory(Number(part, 0, 8));
      case Next::kCount: {
        const uint64_t fields = Number(part, 0, part.size());
        if (fields > kReach) return GiveUp();
        next_ = Next::kFields;
        return Want(wanted_ + size_, fields * field_bytes() + word());
      }
      case Next::kFields:
        return OnFields(part);
      case Next::kValues:
        ReadValues(*reading_, part, 0);
        return NextValues();
    }
  }

  uint64_t word() const { return large_ ? 8 : 4; }
  uint64_t field_bytes() const { return large_ ? 20 : 12; }
  void Stop(State state) { state_ = state; }

  void Directory(uint64_t offset) {
    AddDirectory(offset, /*page=*/true);
    NextDirectory();
  }
  // 0 is none.
  void AddDirectory(uint64_t offset, bool page) {
    if (offset != 0 && directories_.size() < kMaxDirectories) directories_.push_back({offset, page});
  }
  // The one that comes first in the file.
  void NextDirectory() {
    if (directories_.empty()) return Stop(some_ ? State::kKnown : State::kUnknown);
    const auto first = std::min_element(directories_.begin(), directories_.end());
    const uint64_t offset = first->first;
    page_ = first->second;
    directories_.erase(first);
    next_ = Next::kCount;
    Want(offset, large_ ? 8 : 2);
  }
  // This directory cannot be read. Pages are owed; of others (Exif, GPS, previews) what is ahead is counted in.
  void GiveUp() { page_ ? Stop(State::kUnknown) : NextDirectory(); }

  void OnFields(absl::string_view part) {
    values_.fill(Values());
    end_ = std::max(end_, wanted_ + size_);
    for (size_t at = 0; at + word() < part.size(); at += field_bytes()) {
      const uint64_t tag = Number(part, at, 2);
      CountIn(part, at);
      if (tag == 330 || tag == 34665 || tag == 34853) AddDirectory(Single(part, at), /*page=*/false);
      const size_t which = tag == 273 || tag == 324   ? kOffsets
                           : tag == 279 || tag == 325 ? kLengths
                                                      : kNeither;
      if (which == kNeither) continue;
      Values& values = values_[which];
      values = Values();
      values.type = static_cast<uint16_t>(Number(part, at + 2, 2));
      values.count = Number(part, at + 4, word());
      if (values.width() == 0 || values.count > kMaxValues) return GiveUp();
      const size_t inside = at + 4 + word();
      if (values.count * values.width() <= word()) {
        ReadValues(values, part, inside);
      } else {
        values.offset = Number(part, inside, word());
      }
    }
    if (page_) AddDirectory(Number(part, part.size() - word(), word()), /*page=*/true);
    const bool has_pixels = values_[kOffsets].count > 0;
    if (has_pixels && values_[kLengths].count != values_[kOffsets].count) return GiveUp();
    some_ |= has_pixels;
    NextValues();
  }

  // The offset that a field holds, if it holds just one.
  uint64_t Single(absl::string_view part, size_t field) const {
    const bool one = Number(part, field + 4, word()) == 1;
    return one ? Number(part, field + 4 + word(), word()) : 0;
  }
  // The values of every field belong to the file, whatever they mean.
  void CountIn(absl::string_view part, size_t field) {
    constexpr uint8_t kWidths[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
    const uint64_t type = Number(part, field + 2, 2);
    if (type >= sizeof(kWidths)) return;
    const uint64_t bytes = Product(Number(part, field + 4, word()), kWidths[type]);
    const uint64_t offset = Number(part, field + 4 + word(), word());
    if (bytes > word() && bytes < kMaxOffset && offset < kMaxOffset) end_ = std::max(end_, offset + bytes);
  }

  void ReadValues(Values& values, absl::string_view part, size_t offset) const {
    for (uint64_t i = 0; i < values.count; ++i) {
      values.numbers.push_back(Number(part, offset + i * values.width(), values.width()));
    }
  }

  // Wants the values that are not there yet, the first in the file first.
  void NextValues() {
    reading_ = nullptr;
    for (Values& values : values_) {
      if (!values.read() && (reading_ == nullptr || values.offset < reading_->offset)) reading_ = &values;
    }
    if (reading_ != nullptr) {
      next_ = Next::kValues;
      return Want(reading_->offset, reading_->count * reading_->width());
    }
    for (uint64_t i = 0; i < values_[kOffsets].count; ++i) {
      const uint64_t offset = values_[kOffsets].numbers[i], length = values_[kLengths].numbers[i];
      if (offset < kMaxOffset && length < kMaxOffset) end_ = std::max(end_, offset + length);
    }
    NextDirectory();
  }

  static constexpr size_t kOffsets = 0, kLengths = 1, kNeither = 2;

  bool big_ = false, large_ = false;  // Byte order; BigTIFF.
  bool some_ = false;                 // Some page has pixels.
  uint64_t wanted_ = 0, size_ = 0, reach_ = 0, looked_ = 0;
  uint64_t held_begin_ = 0;
  std::string held_;
  std::array<Values, 2> values_;
  Values* reading_ = nullptr;
  std::vector<std::pair<uint64_t, bool>> directories_;  // To be read: offset, and whether it is a page.
  bool page_ = true;
  uint64_t position_ = 0, end_ = 0;
};

}  // namespace

std::unique_ptr<Walker> WalkTiff() { return std::make_unique<TiffWalker>(); }

}  // namespace imgfleet::image
