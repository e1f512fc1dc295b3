// How long to wait before trying again: exponential, with full jitter on the upper half, so that many who
// failed together do not come back together.
//
//   Wait(1) is drawn from [base/2, base], Wait(2) from [base, 2 base], and so on up to [max/2, max].
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace imgfleet {

struct Backoff {
  absl::Duration base = absl::Milliseconds(500);
  absl::Duration max = absl::Seconds(30);

  // `failures` so far, from 1; `random` uniform in [0, 1).
  absl::Duration Wait(uint32_t failures, double random) const;
};

}  // namespace imgfleet
