// Where a list is cut into shards: small ones first, so that work begins while the list is still being read;
// then twice as large each time, so that a long one costs few rows, but never much beside what came before:
// a shard is one worker's, and of a short list at a slow origin there must be enough of them for workers that
// are scaled up in the middle, and no long wait for the one that has the last. 5,005 items are 63 shards, of
// 149 at most; the largest come after 32,000 items, and 10 million are a hundredth more rows for it.
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
// A shard has so many items, or this part of those before it.
inline constexpr uint32_t kShortListShardItems = 64;
inline constexpr uint32_t kShardsOfItemsBefore = 32;

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
    items_before_ += items_;
    items_ = 0;
    bytes_ = 0;
    const uint64_t part = std::max<uint64_t>(kShortListShardItems, items_before_ / kShardsOfItemsBefore);
    target_ = std::min<uint64_t>({target_ * 2, part, kMaxShardItems});
  }

  uint32_t items() const { return items_; }

 private:
  uint64_t target_ = kFirstShardItems;
  uint64_t items_before_ = 0;
  uint32_t items_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace imgfleet::core
