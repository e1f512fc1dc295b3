#include "common/backoff.h"

#include <algorithm>

namespace imgfleet {

absl::Duration Backoff::Wait(uint32_t failures, double random) const {
  const uint32_t doublings = std::min(failures > 0 ? failures - 1 : 0, 30u);
  const absl::Duration longest = std::min(base * static_cast<double>(1u << doublings), max);
  return longest * (0.5 + random / 2);
}

}  // namespace imgfleet
