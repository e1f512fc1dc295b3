// A blocked Bloom filter: of hashes that were added it says so, of others it mostly says that they were not.
// One cache line is looked at per question (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom
// Filters, 2007).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace imgfleet::lists {

// Not thread-safe. Takes hashes whose bits are all as good as random; ascending ones are added fastest.
class Bloom {
 public:
  // `probes` bits are set for each hash: few where the filter will be full, more where there is room.
  Bloom(size_t bytes, int probes) : words_(bytes / sizeof(uint64_t)), probes_(probes) {}

  void Add(uint64_t hash) {
    uint64_t* const block = &words_[BlockOf(hash)];
    uint64_t bits = hash * kRemix;
    for (int i = 0; i < probes_; ++i, bits = bits << 9 | bits >> 55) {
      block[bits >> 61] |= uint64_t{1} << (bits >> 55 & 63);
    }
  }
  bool MayHave(uint64_t hash) const {
    const uint64_t* const block = &words_[BlockOf(hash)];
    uint64_t bits = hash * kRemix;
    for (int i = 0; i < probes_; ++i, bits = bits << 9 | bits >> 55) {
      if ((block[bits >> 61] >> (bits >> 55 & 63) & 1) == 0) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kBlockWords = 8;
  // The block comes from a hash's upper bits; the bits in it must not.
  static constexpr uint64_t kRemix = 0x9e3779b97f4a7c15;

  size_t BlockOf(uint64_t hash) const {
    const auto blocks = static_cast<unsigned __int128>(words_.size() / kBlockWords);
    return static_cast<size_t>(blocks * hash >> 64) * kBlockWords;
  }

  std::vector<uint64_t> words_;
  const int probes_;
};

}  // namespace imgfleet::lists
