// JPEG, ITU-T T.81 annex B: segments up to EOI. Directories of several images: CIPA DC-007 (MPF).
#include <algorithm>
#include <cstring>

#include "worker/image/walkers.h"

namespace imgfleet::image {
namespace {

constexpr uint8_t kSoi = 0xd8, kEoi = 0xd9, kApp2 = 0xe2;
constexpr absl::string_view kMpf("MPF\0", 4);
constexpr uint16_t kMpEntries = 0xb002;

// No segment follows these: TEM, RSTn, SOI, and the zero stuffed behind a data byte of 0xff.
bool StandsAlone(uint8_t marker) { return marker <= 0x01 || (marker >= 0xd0 && marker <= kSoi); }

// Where the last of the images ends that an MPF directory lists, from its first byte (that of its byte order) on, which is
// the file's byte `base`; 0 where it cannot be read.
uint64_t EndOfImages(absl::string_view mpf, uint64_t base) {
  if (mpf.size() < 8) return 0;
  const bool big = mpf[0] == 'M';
  const auto number = [&](uint64_t offset, size_t bytes) -> uint64_t {
    if (offset + bytes > mpf.size()) return 0;
    if (bytes == 2) return big ? PartBe16(mpf, offset) : PartLe16(mpf, offset);
    return big ? PartBe32(mpf, offset) : PartLe32(mpf, offset);
  };
  const uint64_t directory = number(4, 4);
  const uint64_t fields = number(directory, 2);
  uint64_t end = 0;
  for (uint64_t i = 0; i < fields; ++i) {
    const uint64_t field = directory + 2 + i * 12;
    if (field + 12 > mpf.size()) return 0;
    if (number(field, 2) != kMpEntries) continue;
    const uint64_t entries = number(field + 8, 4), bytes = number(field + 4, 4);
    if (entries + bytes > mpf.size()) return 0;
    for (uint64_t entry = entries; entry + 16 <= entries + bytes; entry += 16) {
      const uint64_t size = number(entry + 4, 4), offset = number(entry + 8, 4);
      end = std::max(end, (offset == 0 ? 0 : base + offset) + size);  // The first image is the file itself.
    }
  }
  return end;
}

class JpegWalker final : public Walker {
 public:
  void Add(absl::string_view bytes) override {
    position_ += bytes.size();
    while (!bytes.empty() && state_ != State::kEnd && state_ != State::kBroken) Take(bytes);
  }

  std::optional<bool> Finish() const override { return state_ == State::kEnd && position_ >= end_; }

 private:
  // kScan: between segments and in entropy-coded data.
  enum class State : uint8_t { kScan, kMarker, kLength, kPayload, kEnd, kBroken };

  // Eats at least one byte.
  void Take(absl::string_view& bytes) {
    switch (state_) {
      case State::kScan:
        return Scan(bytes);
      case State::kMarker: {
        const auto marker = static_cast<uint8_t>(bytes[0]);
        bytes.remove_prefix(1);
        if (marker == 0xff) return;  // Fill bytes.
        marker_ = marker;
        state_ = StandsAlone(marker) ? State::kScan : marker == kEoi ? State::kEnd : State::kLength;
        return;
      }
      case State::kLength:
        payload_.push_back(bytes[0]);
        bytes.remove_prefix(1);
        if (payload_.size() < 2) return;
        left_ = PartBe16(payload_, 0);
        payload_.clear();
        state_ = left_ < 2 ? State::kBroken : left_ == 2 ? State::kScan : State::kPayload;
        left_ -= 2;
        directory_ = marker_ == kApp2 && end_ == 0;
        return;
      case State::kPayload:
        return Pass(bytes);
      case State::kEnd:
      case State::kBroken:
        return;
    }
  }

  void Scan(absl::string_view& bytes) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while ((at = static_cast<const char*>(std::memchr(at, 0xff, end - at))) != nullptr) {
      if (++at == end) break;
      if (*at != 0) {
        state_ = State::kMarker;
        bytes.remove_prefix(at - bytes.data());
        return;
      }
      if (++at == end) break;
    }
    if (bytes.back() == '\xff') state_ = State::kMarker;
    bytes.remove_prefix(bytes.size());
  }

  void Pass(absl::string_view& bytes) {
    const size_t taken = std::min<size_t>(left_, bytes.size());
    if (directory_) payload_.append(bytes.data(), taken);
    left_ -= static_cast<uint32_t>(taken);
    bytes.remove_prefix(taken);
    const absl::string_view begin = absl::string_view(payload_).substr(0, kMpf.size());
    if (directory_ && begin != kMpf.substr(0, begin.size())) {
      directory_ = false;
      payload_.clear();
    }
    if (left_ > 0) return;
    state_ = State::kScan;
    if (directory_ && payload_.size() > kMpf.size()) {
      const absl::string_view mpf = absl::string_view(payload_).substr(kMpf.size());
      end_ = EndOfImages(mpf, position_ - bytes.size() - mpf.size());
    }
    payload_.clear();
  }

  State state_ = State::kScan;
  uint8_t marker_ = 0;
  uint32_t left_ = 0;
  bool directory_ = false;  // The segment may be an MPF directory, `payload_` is what has come of it.
  std::string payload_;
  uint64_t position_ = 0;
  uint64_t end_ = 0;  // Of the images behind the first.
};

}  // namespace

std::unique_ptr<Walker> WalkJpeg() { return std::make_unique<JpegWalker>(); }

}  // namespace imgfleet::image
