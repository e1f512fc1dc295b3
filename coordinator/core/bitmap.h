// A row of bits as bytes, the way it is stored: bit i is bit i % 8, lowest first, of byte i / 8.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace imgfleet::core {

class Bitmap {
 public:
  Bitmap() = default;
  explicit Bitmap(uint32_t bits) : bytes_((bits + 7) / 8, '\0') {}
  // Takes stored bytes as they are.
  static Bitmap FromBytes(std::string bytes) {
    Bitmap bitmap;
    bitmap.bytes_ = std::move(bytes);
    return bitmap;
  }

  const std::string& bytes() const { return bytes_; }
  // Bits beyond the end read as unset.
  bool Get(uint32_t bit) const {
    return bit / 8 < bytes_.size() && ((bytes_[bit / 8] >> (bit % 8)) & 1) != 0;
  }
  // `bit` must be below the number of bits made.
  void Set(uint32_t bit) { bytes_[bit / 8] = static_cast<char>(bytes_[bit / 8] | (1 << (bit % 8))); }
  uint32_t Count() const { return CountBelow(static_cast<uint32_t>(bytes_.size() * 8)); }
  // Of the first `bits`.
  uint32_t CountBelow(uint32_t bits) const {
    bits = std::min(bits, static_cast<uint32_t>(bytes_.size() * 8));
    uint32_t count = 0, bit = 0;
    for (uint64_t word; bit + 64 <= bits; bit += 64) {
      std::memcpy(&word, bytes_.data() + bit / 8, sizeof(word));
      count += std::popcount(word);
    }
    for (; bit < bits; ++bit) count += Get(bit) ? 1 : 0;
    return count;
  }
  bool operator==(const Bitmap&) const = default;

 private:
  std::string bytes_;
};

}  // namespace imgfleet::core
