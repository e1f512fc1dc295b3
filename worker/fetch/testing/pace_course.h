// A list fetched from a simulated origin, the budget of which paces it as in a loop.
#pragma once

#include <cstdint>

#include "worker/fetch/testing/limited_origin.h"

namespace imgfleet::fetch {

struct Course {
  int requests = 0, refused = 0;
  int lost = 0;        // Items that were refused too often to go on with.
  double seconds = 0;  // Until the last item had its answer.
  double best =
      0;  // What they would have been, had all been known: limit, round trips, window, the server's speed.
  uint32_t in_flight_after_a_second = 0;

  double refused_share() const { return static_cast<double>(refused) / requests; }
  double speed() const { return best / seconds; }
};

struct Setting {
  int items = 400;
  uint32_t in_flight = 512;  // The most.
  uint32_t held = 4096;      // Items that a worker holds at a time; the rest of the list is not known to it.
  double answers = 5000;     // A second, that the origin can give.
};

// Brings all items to an answer as the dispatcher does: one that is refused goes again first, then later, ten times at most.
// Timers come up to 2 ms late, latencies vary by a tenth. The origin is used up.
Course Fetch(LimitedOrigin& origin, const Setting& setting, uint32_t seed);

}  // namespace imgfleet::fetch
