// Origins that limit how they may be asked, in all the usual ways, for simulated time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace imgfleet::fetch {

// Times are seconds since the origin began.
struct LimitedOrigin {
  std::string says;       // Its parameters.
  double rate = 0;        // Requests a second that it allows in the long run; 0: no limit.
  double round_trip = 0;  // Seconds.
  uint32_t status = 429;  // Of its refusals.
  // What a refusal at `now` asks to wait, in whole seconds as the header has it; 0: it does not say.
  std::function<double(double now)> retry_after;
  // A request arrives while `in_flight` others are there: how long it is held back, or nothing, where it is refused.
  std::function<std::optional<double>(double now, uint32_t in_flight)> allow;
  // When the last of `items` can be allowed at the earliest, if one knows all of this and begins at `begin`.
  std::function<double(int items, double begin)> best;
};

// `burst` at once and `rate` a second; with a burst of one, nginx's limit_req.
LimitedOrigin TokenBucket(double rate, double burst);
// nginx's limit_req with a burst but without nodelay: what comes too early is held back, up to `burst` of them.
LimitedOrigin DelayingBucket(double rate, double burst);
// So many in each period, the first of which ends after `first` seconds.
LimitedOrigin FixedWindow(int count, double period, double first);
// So many accepted in any period; `punishing`: so many asked, so that asking for more costs what is allowed later.
LimitedOrigin SlidingWindow(int count, double period, bool punishing);
// So many at a time, each for 5 ms beyond the round trip.
LimitedOrigin ConnectionLimit(uint32_t connections, double round_trip);
// Refuses that share of all requests by chance, for ever, and is willing otherwise.
LimitedOrigin RandomRefusals(double share, uint32_t seed);
// Allows `first`, and after `change` seconds `second`; both are buckets.
LimitedOrigin Changing(double first, double second, double burst, double change);
// What refuses if either does.
LimitedOrigin Both(LimitedOrigin one, LimitedOrigin other);

// The kinds of origins that are drawn from.
const std::vector<std::string>& OriginKinds();
// One of that kind: rates from 2 to 500 a second, bursts from 1 to 100, round trips from 0.3 to 300 ms, all spread evenly on
// a logarithmic scale; half of those that limit say Retry-After. The same for the same seed.
LimitedOrigin DrawOrigin(const std::string& kind, uint32_t seed);

}  // namespace imgfleet::fetch
