#include "worker/fetch/origin.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::fetch {
namespace {

http::Target Host(int number) {
  return {.host = absl::StrCat("host", number, ".example"), .port = 80, .rewritten = ""};
}

class OriginsTest : public testing::Test {
 protected:
  OriginBudgets budgets_{8};
  const std::function<void()> wake_ = [] {};
  const Options options_;
  Origins origins_{&options_, &budgets_, &wake_};
};

TEST_F(OriginsTest, OneForSchemeHostAndPort) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  Origin* const origin = origins_.Get(Host(1), now);
  EXPECT_EQ(origins_.Get(Host(1), now), origin);
  http::Target other = Host(1);
  other.https = true;
  EXPECT_NE(origins_.Get(other, now), origin);
  other = Host(1);
  other.port = 81;
  EXPECT_NE(origins_.Get(other, now), origin);
  EXPECT_EQ(origins_.size(), 3u);
}

// A hundred thousand hosts, each used once, faster than they are forgotten in time.
TEST_F(OriginsTest, StayBounded) {
  absl::Time now = absl::FromUnixSeconds(1000);
  size_t most = 0;
  for (int i = 0; i < 100'000; ++i) {
    origins_.Get(Host(i), now);
    most = std::max(most, origins_.size());
    if (i % 500 != 0) continue;
    now += absl::Milliseconds(20);
    origins_.Sweep(now);
  }
  EXPECT_LE(most, Origins::kMaxIdle * 3 / 2);
  now += absl::Seconds(10);
  origins_.Sweep(now);
  EXPECT_LE(origins_.size(), Origins::kMaxIdle * 5 / 4);
  EXPECT_LE(budgets_.size(), 4 * Origins::kMaxIdle);
}

TEST_F(OriginsTest, KeepWhatIsInUseOrTold) {
  const absl::Time now = absl::FromUnixSeconds(1000);
  origins_.Get(Host(1), now)->queue.push_back(std::make_unique<Fetch>());
  origins_.Get(Host(2), now)->in_flight = 1;
  origins_.Get(Host(3), now)->blocked_until = now + absl::Hours(1);
  origins_.Get(Host(4), now)->resolving = true;
  origins_.Get(Host(5), now)->listed = true;
  for (int i = 10; i < 50'000; ++i) origins_.Get(Host(i), now);
  origins_.Sweep(now + absl::Minutes(1));
  EXPECT_EQ(origins_.size(), 5u);
}

}  // namespace
}  // namespace imgfleet::fetch
