#include "common/backoff.h"

#include "gtest/gtest.h"

namespace imgfleet {
namespace {

TEST(Backoff, DoublesWithinItsBounds) {
  const Backoff backoff{.base = absl::Seconds(1), .max = absl::Seconds(10)};
  EXPECT_EQ(backoff.Wait(1, 0), absl::Milliseconds(500));
  EXPECT_EQ(backoff.Wait(1, 0.5), absl::Milliseconds(750));
  EXPECT_EQ(backoff.Wait(2, 0), absl::Seconds(1));
  EXPECT_EQ(backoff.Wait(3, 0), absl::Seconds(2));
  EXPECT_EQ(backoff.Wait(5, 0), absl::Seconds(5));
  EXPECT_EQ(backoff.Wait(4'000'000'000u, 0), absl::Seconds(5));
  EXPECT_EQ(backoff.Wait(0, 0), absl::Milliseconds(500));
}

}  // namespace
}  // namespace imgfleet
