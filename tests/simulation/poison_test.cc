// How soon items that kill workers are found among ten thousand innocent ones, and that it costs none of those its outcome
// (an invariant of every run). Prints what it took: workers that died, leases given, simulated time to the job's end.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "gtest/gtest.h"
#include "tests/simulation/random.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/timeline.h"

namespace imgfleet::simulation {
namespace {

constexpr uint32_t kShards = 10, kShardItems = 1000;

Plan PlanOf(uint32_t workers, uint32_t coordinators, uint32_t guilty) {
  Plan plan;
  plan.seed = 1;
  plan.workers = workers;
  plan.coordinators = coordinators;
  plan.capacity_items = 1024;
  plan.chunk_items = 256;
  plan.latency = absl::Milliseconds(1);
  plan.commit = absl::Milliseconds(2);
  plan.faults_end = Timeline::Start();
  JobPlan job;
  job.id = "job";
  job.submit = Timeline::Start();
  job.append_gap = absl::Milliseconds(1);
  Random random(1, 99);
  for (uint32_t shard = 0; shard < kShards; ++shard) job.shards.push_back(kShardItems);
  for (uint32_t index = 0; index < kShards * kShardItems; ++index) {
    ItemPlan item;
    item.takes = random.Between(absl::Milliseconds(50), absl::Seconds(3));
    job.items.push_back(item);
  }
  // In a shard each, anywhere in it, at once.
  for (uint32_t i = 0; i < guilty; ++i) {
    ItemPlan& item = job.items[(2 * i + 1) * kShardItems + random.Below(kShardItems)];
    item.kind = ItemKind::kPoison;
    item.takes = absl::Milliseconds(20);
  }
  plan.jobs.push_back(job);
  return plan;
}

TEST(PoisonTest, IsFoundInBoundedTime) {
  log::Init("simulation", log::Level::kNothing);
  metrics::Registry metrics("coordinator");
  struct Case {
    uint32_t workers, coordinators, guilty;
  };
  for (const Case& c : {Case{1, 1, 0}, Case{1, 1, 1}, Case{1, 1, 2}, Case{1, 1, 5}, Case{10, 1, 0},
                        Case{10, 1, 1}, Case{10, 1, 2}, Case{10, 1, 5}, Case{10, 3, 5}}) {
    const std::string what =
        absl::StrCat(c.workers, " workers, ", c.coordinators, " coordinators, ", c.guilty, " guilty");
    const Result result = Play(PlanOf(c.workers, c.coordinators, c.guilty), metrics);
    EXPECT_EQ(result.broken, "") << what;
    std::printf("%s: %ju deaths, %ju leases, %.0f s\n", what.c_str(), static_cast<uintmax_t>(result.deaths),
                static_cast<uintmax_t>(result.leases), absl::ToDoubleSeconds(result.simulated));
    // Three beside others, ten halvings of a thousand, three alone.
    EXPECT_LE(result.deaths, c.guilty * (3 + 10 + 3)) << what;
    EXPECT_LE(result.simulated, absl::Seconds(60) + c.guilty * absl::Minutes(3)) << what;
  }
}

}  // namespace
}  // namespace imgfleet::simulation
