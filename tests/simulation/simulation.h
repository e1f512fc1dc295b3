// One run: the shipped ledger, worker streams and agents, put together under simulated time, with what their seed's plan
// does to them. The same seed (and the same faults left out) plays the same run, to the last byte.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/metrics/metrics.h"
#include "tests/simulation/plan.h"

namespace imgfleet::simulation {

struct Result {
  std::string broken;  // The promise that was broken; empty where all held.
  uint64_t steps = 0;
  absl::Duration simulated;
  uint64_t starts = 0;  // Of items.
  uint64_t items = 0;
  uint64_t leases = 0;  // Sent.
  uint64_t deaths = 0;  // Of workers, by what they were leased.
};

// Plays a plan. With `trace`, a line a step.
Result Play(const Plan& plan, metrics::Registry& metrics, std::FILE* trace = nullptr);

// The plan of `seed` without what does not matter to its failure: faults, jobs and nodes. It fails as well, perhaps by
// another promise.
Plan Shrink(const Plan& plan, metrics::Registry& metrics);

// A plan in words, a line a fault.
std::string Describe(const Plan& plan);

}  // namespace imgfleet::simulation
