#include "worker/fetch/origin.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::fetch {
namespace {

Target Host(int number) {
  return {.host = absl::StrCat("host", number, ".example"), .port = 80, .rewritten = ""};
}

TEST(Origins, OneForSchemeHostAndPort) {
  Origins origins(8);
  const absl::Time now = absl::FromUnixSeconds(1000);
  Origin* const origin = origins.Get(Host(1), now);
  EXPECT_EQ(origins.Get(Host(1), now), origin);
  Target other = Host(1);
  other.https = true;
  EXPECT_NE(origins.Get(other, now), origin);
  other = Host(1);
  other.port = 81;
  EXPECT_NE(origins.Get(other, now), origin);
  EXPECT_EQ(origins.size(), 3u);
}

// A hundred thousand hosts, each used once, faster than they are forgotten in time.
TEST(Origins, StayBounded) {
  Origins origins(8);
  absl::Time now = absl::FromUnixSeconds(1000);
  size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    origins.Get(Host(i), now);
    most = std::max(most, origins.size());
    if (i % 500 != 0) continue;
    now += absl::Milliseconds(20);
    origins.Sweep(now);
  }
  EXPECT_LE(most, Origins::kMaxIdle * 3 / 2);
  now += absl::Seconds(10);
  origins.Sweep(now);
  EXPECT_LE(origins.size(), Origins::kMaxIdle * 5 / 4);
}

TEST(Origins, KeepWhatIsInUseOrTold) {
  Origins origins(8);
  const absl::Time now = absl::FromUnixSeconds(1000);
  origins.Get(Host(1), now)->queue.push_back(std::make_unique<Fetch>());
  origins.Get(Host(2), now)->window.Start();
  origins.Get(Host(3), now)->blocked_until = now + absl::Hours(1);
  origins.Get(Host(4), now)->resolving = true;
  origins.Get(Host(5), now)->listed = true;
  for (int i = 10; i < 50'000; ++i) origins.Get(Host(i), now);
  origins.Sweep(now + absl::Minutes(1));
  EXPECT_EQ(origins.size(), 5u);
}

}  // namespace
}  // namespace imgfleet::fetch
