// Ten thousand seeds, each a fleet of its own that is hurt in ways of its own. IMGFLEET_TEST_SEEDS and
// IMGFLEET_TEST_FIRST_SEED widen the search.
#include "tests/simulation/simulation.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "gtest/gtest.h"

namespace imgfleet::simulation {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : static_cast<uint64_t>(atoll(value));
}

class Simulation : public ::testing::Test {
 protected:
  // Stores fail here by the thousand.
  static void SetUpTestSuite() { log::Init("simulation", log::Level::kNothing); }

  std::string TraceOf(const Plan& plan) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* out = open_memstream(&text, &size);
    Play(plan, metrics_, out);
    std::fclose(out);
    std::string trace(text, size);
    std::free(text);
    return trace;
  }

  metrics::Registry metrics_{"coordinator"};
};

TEST_F(Simulation, KeepsEveryPromise) {
  const uint64_t first = FromEnvironment("IMGFLEET_TEST_FIRST_SEED", 1);
  const uint64_t seeds = FromEnvironment("IMGFLEET_TEST_SEEDS", 10'000);
  uint64_t steps = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const Result result = Play(MakePlan(seed), metrics_);
    steps += result.steps;
    if (result.broken.empty()) continue;
    FAIL() << "seed " << seed << ": " << result.broken
           << "\nreplay with: bazel run //tests/simulation:simulate -- --seed=" << seed
           << " --shrink --trace";
  }
  std::printf("%ju seeds, %ju steps\n", static_cast<uintmax_t>(seeds), static_cast<uintmax_t>(steps));
}

TEST_F(Simulation, PlaysASeedAgainToTheLastByte) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const Plan plan = MakePlan(seed);
    const std::string trace = TraceOf(plan);
    EXPECT_GT(trace.size(), 100u);
    ASSERT_EQ(trace, TraceOf(plan)) << "seed " << seed;
  }
}

// Or nothing would be hurt, and every promise would hold.
TEST_F(Simulation, KnowsEveryFault) {
  std::set<FaultKind> kinds;
  uint64_t fetched = 0, items = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Plan plan = MakePlan(seed);
    for (const Fault& fault : plan.faults) kinds.insert(fault.kind);
    const Result result = Play(plan, metrics_);
    fetched += result.starts;
    items += result.items;
  }
  EXPECT_EQ(kinds.size(), static_cast<size_t>(FaultKind::kLast) + 1);
  EXPECT_GT(fetched, items + items / 20) << "hardly a lease was lost";
}

}  // namespace
}  // namespace imgfleet::simulation
