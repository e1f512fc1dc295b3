#include "coordinator/core/quota.h"

#include <gtest/gtest.h>

namespace imgfleet::core {
namespace {

TEST(Quota, IsParsed) {
  EXPECT_EQ(*ParseQuota("jobs:10,items:1000000"), (Quota{10, 1'000'000}));
  EXPECT_EQ(*ParseQuota("items:5"), (Quota{0, 5}));
  EXPECT_EQ(*ParseQuota("none"), Quota());
  for (const char* wrong :
       {"", "jobs", "jobs:", "jobs:0", "jobs:-1", "jobs:1,jobs:2", "jobs:1,", "urls:3", "jobs:1x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseQuota(wrong).status())) << wrong;
  }
  Quotas quotas;
  quotas.otherwise.jobs = 3;
  EXPECT_TRUE(AddQuota("a=b=jobs:7", quotas).ok());
  EXPECT_EQ(quotas.Of("a=b").jobs, 7u);
  EXPECT_EQ(quotas.Of("c").jobs, 3u);
  EXPECT_FALSE(AddQuota("jobs:7", quotas).ok());
  EXPECT_FALSE(AddQuota("=jobs:7", quotas).ok());
}

TEST(Quota, BoundsWhatIsGoing) {
  EXPECT_TRUE(CheckNewJob({2, 0}, {1, 0}, "o").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(CheckNewJob({2, 0}, {2, 0}, "o")));
  EXPECT_TRUE(CheckNewJob({0, 5}, {1000, 1000}, "o").ok()) << "no limit";
  EXPECT_TRUE(CheckMoreItems({0, 100}, {1, 60}, 40, "o").ok());
  EXPECT_TRUE(absl::IsResourceExhausted(CheckMoreItems({0, 100}, {1, 61}, 40, "o")));
  EXPECT_TRUE(CheckMoreItems({0, 100}, {1, 0}, 1000, "o").ok()) << "a shard larger than the quota";
  EXPECT_TRUE(CheckMoreItems({5, 0}, {1, 1000}, 1000, "o").ok()) << "no limit";
}

}  // namespace
}  // namespace imgfleet::core
