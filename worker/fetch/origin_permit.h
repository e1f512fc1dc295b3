// What a coordinator deals out of an origin, and what it is told for that. coordinator/core/origin_shares.h says how it
// decides.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/time/time.h"

namespace imgfleet::fetch {

// What this process does with an origin, as v1.OriginUse has it.
struct OriginUse {
  enum State : uint8_t { kBeginning, kOpen, kLimited };

  std::string origin;  // "https://host:port"
  uint32_t waiting = 0, in_flight = 0;
  uint64_t wanted = 0;
  uint64_t sent = 0, accepted = 0, refused = 0;
  uint64_t permit = 0;
  State state = kBeginning;
  uint32_t window = 0;
  double rate = 0;
  absl::Duration blocked_for = absl::ZeroDuration(), next_in = absl::ZeroDuration();
  std::string learned;
  bool contested = false;  // Others use it too.
};

// What it may do with it, as v1.OriginPermit has it.
struct OriginPermit {
  static constexpr uint32_t kWhole = std::numeric_limits<uint32_t>::max();

  std::string origin;
  uint64_t number = 0;
  uint32_t concurrency = 0;  // kWhole: as the window has it, less what is in flight elsewhere.
  double rate = 0;           // 0: as the pace has it.
  uint32_t sharers = 1;
  uint32_t in_flight_elsewhere = 0;
  uint64_t wanted_elsewhere = 0;
  uint64_t strays_accepted = 0, strays_refused = 0;
  absl::Duration blocked_for = absl::ZeroDuration();
  absl::Time until;  // When it runs out.
  bool begins = false;
  std::string learned;  // Empty: goes on with what is known here.
};

}  // namespace imgfleet::fetch
