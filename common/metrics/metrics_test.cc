#include "common/metrics/metrics.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace imgfleet::metrics {
namespace {

TEST(Registry, RendersWhatWasCounted) {
  Registry registry("worker");
  registry.Counter("imgfleet_things_total", "Things.", {{"reason", "TIMEOUT"}}).Increment(3);
  registry.Gauge("imgfleet_room_items", "Room.").Set(7);
  registry.Histogram("imgfleet_wait_seconds", "Waits.", LatencyBuckets()).Observe(0.003);
  const std::string text = registry.Render();
  for (const char* line :
       {"# TYPE imgfleet_things_total counter", "imgfleet_things_total{reason=\"TIMEOUT\"} 3",
        "imgfleet_room_items 7", "imgfleet_wait_seconds_bucket{le=\"0.002\"} 0",
        "imgfleet_wait_seconds_bucket{le=\"0.005\"} 1", "role=\"worker\"", "process_resident_memory_bytes ",
        "process_cpu_seconds_total ", "process_open_fds ", "process_start_time_seconds "}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << " not in\n" << text;
  }
}

TEST(Registry, RefreshesWhatIsReadWhenAskedFor) {
  Registry registry("worker");
  auto& room = registry.Gauge("imgfleet_room_items", "Room.");
  int asked = 0;
  auto refreshing = registry.OnRender([&] { room.Set(++asked); });
  EXPECT_TRUE(absl::StrContains(registry.Render(), "imgfleet_room_items 1"));
  EXPECT_TRUE(absl::StrContains(registry.Render(), "imgfleet_room_items 2"));
  refreshing = nullptr;
  EXPECT_TRUE(absl::StrContains(registry.Render(), "imgfleet_room_items 2"));
}

TEST(Registry, AskingAgainGivesTheSameCounter) {
  Registry registry("worker");
  auto& first = registry.Counter("imgfleet_things_total", "Things.", {{"reason", "A"}});
  EXPECT_EQ(&first, &registry.Counter("imgfleet_things_total", "Things.", {{"reason", "A"}}));
  EXPECT_NE(&first, &registry.Counter("imgfleet_things_total", "Things.", {{"reason", "B"}}));
}

}  // namespace
}  // namespace imgfleet::metrics
