// Where a list is cut into shards: small ones first, so that work begins while the list is still being read
// and a short list spreads over the workers; then twice as large each time, so that a long one costs few
// rows.
//
//   Sharder sharder;
//   for each item:
//     if (!sharder.Fits(bytes)) { append what was gathered; sharder.Cut(); }
//     gather it; sharder.Add(bytes);
//   append what was gathered, if anything
#pragma once

#include <algorithm>
#include <cstdint>

namespace imgfleet::core {

inline constexpr uint32_t kFirstShardItems = 16;
inline constexpr uint32_t kMaxShardItems = 1000;
inline constexpr uint64_t kMaxShardBytes = 1 << 20;

class Sharder {
 public:
  // Whether an item of `bytes` goes into the shard being filled. The first always does: an item larger than
  // kMaxShardBytes has a shard of its own.
  bool Fits(uint64_t bytes) const {
    return items_ == 0 || (items_ < target_ && bytes_ + bytes <= kMaxShardBytes);
  }
  void Add(uint64_t bytes) {
    ++items_;
    bytes_ += bytes;
  }
  // The shard is closed; the next begins.
  void Cut() {
    items_ = 0;
    bytes_ = 0;
    target_ = std::min(target_ * 2, kMaxShardItems);
  }

  uint32_t items() const { return items_; }

 private:
  uint32_t target_ = kFirstShardItems;
  uint32_t items_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace imgfleet::core
