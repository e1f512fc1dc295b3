#include "worker/task/limits.h"

#include <algorithm>

#include "absl/time/time.h"

namespace imgfleet::task {

fetch::Limits ToLimits(const v1::FetchLimits& limits) {
  fetch::Limits result;
  const absl::Duration timeout =
      absl::Seconds(limits.attempt_timeout().seconds()) + absl::Nanoseconds(limits.attempt_timeout().nanos());
  if (timeout > absl::ZeroDuration()) result.attempt_timeout = std::min(timeout, absl::Minutes(10));
  if (limits.max_attempts() > 0) result.max_attempts = std::min(limits.max_attempts(), 10u);
  if (limits.max_body_bytes() > 0)
    result.max_body_bytes = std::min<uint64_t>(limits.max_body_bytes(), 1u << 30);
  return result;
}

}  // namespace imgfleet::task
