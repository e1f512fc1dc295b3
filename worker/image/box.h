// Walks the boxes of an ISO base media file (ISO/IEC 14496-12, 4.2): size, type, content.
#pragma once

#include <cstdint>

#include "worker/image/source.h"

namespace imgfleet::image {

constexpr uint32_t BoxType(const char (&text)[5]) {
  return static_cast<uint32_t>(static_cast<uint8_t>(text[0])) << 24 |
         static_cast<uint32_t>(static_cast<uint8_t>(text[1])) << 16 |
         static_cast<uint32_t>(static_cast<uint8_t>(text[2])) << 8 |
         static_cast<uint32_t>(static_cast<uint8_t>(text[3]));
}

struct Box {
  uint32_t type = 0;
  // Content, after size and type.
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Goes from box to box in [begin, end). Every step passes at least the 8 bytes of a header.
class BoxWalk {
 public:
  enum class Step {
    kBox,
    kEnd,
    kMissing,  // The header at need_offset() is needed, need_size() bytes.
    kBad,      // No box can be like this, or there are too many: see problem().
  };

  BoxWalk(Source& source, uint64_t begin, uint64_t end) : source_(source), at_(begin), end_(end) {}
  Step Next(Box* box);
  uint64_t need_offset() const { return at_; }
  uint64_t need_size() const { return need_size_; }
  absl::string_view problem() const {
    return passed_ > kMaxParts ? "too many boxes" : "a box has an impossible size";
  }

 private:
  Source& source_;
  uint64_t at_;
  const uint64_t end_;
  uint64_t need_size_ = 8;
  uint32_t passed_ = 0;
};

}  // namespace imgfleet::image
