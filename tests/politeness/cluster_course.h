// A list fetched by several workers from one simulated origin: each worker's budget of the origin, the coordinators' shares, and
// what those settle among each other through their store, are those that ship, joined by messages that take their time.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/core/origin_shares.h"
#include "worker/fetch/testing/limited_origin.h"

namespace imgfleet {

struct ClusterCourse {
  int requests = 0, refused = 0;
  int lost = 0;  // Items that were refused too often to go on with.
  int done = 0;
  double seconds = 0;  // Until the last item had its answer.
  double best = 0;     // Had all been known; for one worker that has all.
  uint32_t most_in_flight = 0;
  uint32_t in_flight_after_a_second = 0;
  double last_second_in_silence =
      0;  // The latest request that came while the origin had asked for silence, since it had.
  double longest_wait = 0;       // Of a worker with items to send, from one request of its own to the next.
  int reports = 0, permits = 0;  // Messages.
  int exchanges = 0;             // Of coordinators with their store,
  uint64_t rows = 0;             // and rows written.

  double refused_share() const { return requests == 0 ? 0 : 1.0 * refused / requests; }
  double speed() const { return best / seconds; }
};

// One worker's presence; it begins with no item. One that `dies` says nothing more, and what it had in flight is asked for
// again by others after two seconds; one that leaves otherwise hands back what it has not begun.
struct Presence {
  double from = 0, until = 1e9;
  bool dies = false;
};

struct ClusterSetting {
  int items = 1000;
  std::vector<Presence> workers = {{}};
  int coordinators = 1;     // Workers are spread over them; where there are several, on one store.
  bool coordinated = true;  // Else each worker is alone, as without a coordinator that deals.
  uint32_t in_flight = 512;
  uint32_t held = 4096;     // Items that a worker holds at a time.
  double answers = 5000;    // A second, that the origin can give.
  double message = 0.001;   // Seconds that a message takes, half to one and a half of it.
  double exchange = 0.005;  // And an exchange with the store, each way.
  core::OriginShares::Options shares;
};

ClusterCourse FetchTogether(fetch::LimitedOrigin& origin, const ClusterSetting& setting, uint32_t seed);

}  // namespace imgfleet
