// Bounds the memory of all bodies that a loop holds beyond the first few hundred kilobytes of each. What an
// item may need is reserved at once, so that holders never wait for one another.
#pragma once

#include <algorithm>
#include <cstdint>

namespace imgfleet::fetch {

// Not thread-safe: each loop has its own share of the process's budget.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t bytes) : bytes_(bytes) {}

  // Sets `bytes` aside, or all of the budget where it is smaller (then a single holder is let through).
  // False, and nothing is set aside, as long as others hold too much. `held` is what was set aside.
  bool TryReserve(uint64_t bytes, uint64_t* held) {
    const uint64_t wanted = std::min(bytes, bytes_);
    if (used_ + wanted > bytes_) return false;
    used_ += wanted;
    *held = wanted;
    return true;
  }
  void Release(uint64_t held) { used_ -= held; }
  uint64_t size() const { return bytes_; }
  uint64_t free() const { return bytes_ - used_; }

 private:
  const uint64_t bytes_;
  uint64_t used_ = 0;
};

}  // namespace imgfleet::fetch
