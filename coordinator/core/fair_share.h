// Whose turn it is: the job with the fewest leased items, so that a tiny job is served promptly while a huge
// one runs; between equals the older one, by id. Priorities weigh them: each step halves what a job's leased
// items count, so that it holds twice as many before it is another's turn. Nobody starves: a job of the lowest
// priority that has nothing leased comes before every job that has.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator/core/types.h"

namespace imgfleet::core {

// What jobs are ordered by. `priority` within its bounds.
inline uint64_t TurnOf(uint64_t leased_items, int32_t priority) {
  return leased_items << static_cast<uint32_t>(kMaxPriority - priority);
}

struct Share {
  std::string job_id;
  uint64_t turn = 0;
};

inline bool ComesBefore(const Share& a, const Share& b) {
  return a.turn != b.turn ? a.turn < b.turn : a.job_id < b.job_id;
}

// What a worker has room for. The first shard always fits, or one larger than every worker would starve.
struct Room {
  uint64_t items = 0;
  uint64_t bytes = 0;
  bool untouched = true;

  bool Fits(uint64_t more_items, uint64_t more_bytes) const {
    return items > 0 && (untouched || (more_items <= items && more_bytes <= bytes));
  }
  void Take(uint64_t taken_items, uint64_t taken_bytes) {
    untouched = false;
    items -= taken_items < items ? taken_items : items;
    bytes -= taken_bytes < bytes ? taken_bytes : bytes;
  }
};

}  // namespace imgfleet::core
