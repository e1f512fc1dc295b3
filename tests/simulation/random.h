// Where all of a run's chance comes from: the same seed gives the same numbers on every machine (SplitMix64, Steele,
// Lea and Flood, OOPSLA 2014).
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace imgfleet::simulation {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // A stream of its own for another purpose, so that more chance for one does not shift the other's.
  Random(uint64_t seed, uint64_t purpose) : state_(seed * 0x9E3779B97F4A7C15 ^ purpose * 0xD1B54A32D192ED03) {
    Next();
  }

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  // At least one of them.
  uint64_t Below(uint64_t end) { return Next() % end; }
  // Both included.
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    return low + absl::Microseconds(Below(absl::ToInt64Microseconds(high - low) + 1));
  }
  bool Chance(double probability) { return Unit() < probability; }
  // From 0 to 1.
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

}  // namespace imgfleet::simulation
