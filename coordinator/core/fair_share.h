// Whose turn it is: the job with the fewest leased items, so that a tiny job is served promptly while a huge
// one runs; between equals the older one, by id. Priorities weigh them: each step halves what a job's leased
// items count, so that it holds twice as many before it is another's turn. Nobody starves: a job of the lowest
// priority that has nothing leased comes before every job that has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

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

// What a worker has room for. A part of it is spare: it is for jobs of which the worker holds next to nothing, so that a
// large job that has filled all else delays no small one.
struct Credit {
  uint64_t items = 0;  // For whatever job has its turn. The first shard is given even if it is larger,
  uint64_t bytes = 0;  // or one larger than every worker would starve.
  // Besides; in whole shards that fit.
  uint64_t spare_items = 0;
  uint64_t spare_bytes = 0;
  uint64_t spare_items_of_job = 0;  // So many of one job at most, and none of those in `sated`.
  std::set<std::string> sated;
  bool idle = false;  // The worker holds nothing, so that it may be given what must be alone (shard.h).
};

// A credit while it is being filled.
class Room {
 public:
  explicit Room(Credit credit) : credit_(std::move(credit)) {}

  bool empty() const { return credit_.items == 0 && credit_.spare_items == 0; }
  // Whether a shard of `job` with so much to be leased may be taken.
  bool Fits(const std::string& job, uint64_t items, uint64_t bytes) const {
    return FitsMain(items, bytes) || FitsSpare(job, items, bytes);
  }
  void Take(const std::string& job, uint64_t items, uint64_t bytes) {
    if (FitsMain(items, bytes)) {
      untouched_ = false;
      credit_.items -= std::min(items, credit_.items);
      credit_.bytes -= std::min(bytes, credit_.bytes);
    } else {
      credit_.spare_items -= std::min(items, credit_.spare_items);
      credit_.spare_bytes -= std::min(bytes, credit_.spare_bytes);
      spare_of_[job] += items;
    }
  }

 private:
  bool FitsMain(uint64_t items, uint64_t bytes) const {
    return credit_.items > 0 && (untouched_ || (items <= credit_.items && bytes <= credit_.bytes));
  }
  bool FitsSpare(const std::string& job, uint64_t items, uint64_t bytes) const {
    if (items > credit_.spare_items || bytes > credit_.spare_bytes || credit_.sated.count(job) > 0)
      return false;
    const auto taken = spare_of_.find(job);
    return items + (taken == spare_of_.end() ? 0 : taken->second) <= credit_.spare_items_of_job;
  }

  Credit credit_;
  bool untouched_ = true;
  std::map<std::string, uint64_t> spare_of_;
};

}  // namespace imgfleet::core
