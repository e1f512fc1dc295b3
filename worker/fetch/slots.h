// How many requests may be in flight: a part of them is every loop's own, the rest belongs to whoever asks first. So one
// loop that has all the work uses nearly all of them, and none is ever without. An eighth more are kept for what is urgent:
// where all others wait for slow origins, it still goes at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace imgfleet::fetch {

// Thread-safe: shared by all loops of an engine.
class SlotPool {
 public:
  // `concurrency` must be no less than `loops`.
  SlotPool(uint32_t concurrency, uint32_t loops)
      : own_(loops == 1 ? concurrency : std::max(concurrency / loops / 4, 1u)),
        free_(static_cast<int64_t>(concurrency) - int64_t{own_} * loops),
        kept_(std::max(concurrency / 8, 1u)) {}

  // What each loop has besides the shared ones.
  uint32_t own() const { return own_; }
  bool TryTake() { return TryTake(free_); }
  void GiveBack() { free_.fetch_add(1, std::memory_order_relaxed); }
  bool TryTakeKept() { return TryTake(kept_); }
  void GiveBackKept() { kept_.fetch_add(1, std::memory_order_relaxed); }
  // Taken by all loops.
  uint32_t used() const { return used_.load(std::memory_order_relaxed); }
  void CountTaken() { used_.fetch_add(1, std::memory_order_relaxed); }
  void CountGivenBack() { used_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static bool TryTake(std::atomic<int64_t>& from) {
    int64_t free = from.load(std::memory_order_relaxed);
    while (free > 0) {
      if (from.compare_exchange_weak(free, free - 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  const uint32_t own_;
  std::atomic<int64_t> free_;
  std::atomic<int64_t> kept_;
  std::atomic<uint32_t> used_{0};
};

// One loop's view. Belongs to its thread.
class Slots {
 public:
  explicit Slots(SlotPool* pool) : pool_(pool) {}
  ~Slots() {
    while (taken_ + kept_ > 0) GiveBack();
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  // A loop that is refused holds at least one slot itself, and may try again when it gives one back.
  bool TryTake(bool urgent = false) {
    if (taken_ < pool_->own() || pool_->TryTake()) {
      ++taken_;
    } else if (urgent && pool_->TryTakeKept()) {
      ++kept_;
    } else {
      return false;
    }
    pool_->CountTaken();
    return true;
  }
  void GiveBack() {
    pool_->CountGivenBack();
    if (kept_ > 0) {
      --kept_;
      pool_->GiveBackKept();
    } else if (taken_-- > pool_->own()) {
      pool_->GiveBack();
    }
  }

 private:
  SlotPool* const pool_;
  uint32_t taken_ = 0;
  uint32_t kept_ = 0;  // Taken of those kept for what is urgent.
};

}  // namespace imgfleet::fetch
