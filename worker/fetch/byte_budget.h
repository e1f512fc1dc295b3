// Bounds the memory of all bodies that a loop holds beyond the first few hundred kilobytes of each. What an
// item may need is reserved at once, so that holders never wait for one another.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace imgfleet::fetch {

// Bytes set aside until they are given back or this is destroyed. It may outlive its budget, and any thread may own it,
// one at a time.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept
      : used_(std::move(other.used_)), bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&& other) noexcept {
    ShrinkTo(0);
    used_ = std::move(other.used_);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~Reservation() { ShrinkTo(0); }

  uint64_t bytes() const { return bytes_; }
  // Gives back all but `bytes`.
  void ShrinkTo(uint64_t bytes) {
    if (bytes >= bytes_) return;
    used_->fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
    bytes_ = bytes;
  }

 private:
  friend class ByteBudget;
  std::shared_ptr<std::atomic<uint64_t>> used_;
  uint64_t bytes_ = 0;
};

// Belongs to one thread, only what it has set aside may leave that: each loop has its own share of the process's
// budget.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t bytes) : bytes_(bytes), used_(std::make_shared<std::atomic<uint64_t>>(0)) {}

  // Sets `bytes` aside in `held`, or all of the budget where it is smaller (then a single holder is let through). What
  // `held` had before is given back first. False, and nothing is set aside, as long as others hold too much.
  bool TryReserve(uint64_t bytes, Reservation* held) {
    held->ShrinkTo(0);
    const uint64_t wanted = std::min(bytes, bytes_);
    if (used_->load(std::memory_order_relaxed) + wanted > bytes_) return false;
    used_->fetch_add(wanted, std::memory_order_relaxed);
    held->used_ = used_;
    held->bytes_ = wanted;
    return true;
  }
  // While somebody waits for a large part of it in vain, nobody who comes later is to set such a part aside.
  void set_spoken_for(bool spoken_for) { spoken_for_ = spoken_for; }
  bool spoken_for() const { return spoken_for_; }
  uint64_t size() const { return bytes_; }
  uint64_t free() const { return bytes_ - used_->load(std::memory_order_relaxed); }

 private:
  const uint64_t bytes_;
  bool spoken_for_ = false;
  const std::shared_ptr<std::atomic<uint64_t>> used_;
};

}  // namespace imgfleet::fetch
