#include "common/ids.h"

#include <set>

#include "gtest/gtest.h"

namespace imgfleet {
namespace {

TEST(NewUuid, CarriesVersionVariantAndTime) {
  const std::string id = NewUuid(absl::FromUnixMillis(0x0123456789AB));
  EXPECT_TRUE(IsUuid(id)) << id;
  EXPECT_EQ(id.substr(0, 15), "01234567-89ab-7");
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
}

TEST(NewUuid, SortsByTimeAndNeverRepeats) {
  EXPECT_LT(NewUuid(absl::FromUnixMillis(1000)), NewUuid(absl::FromUnixMillis(1001)));
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(seen.insert(NewUuid(absl::FromUnixMillis(7))).second);
}

TEST(IsUuid, RefusesOtherShapes) {
  EXPECT_FALSE(IsUuid(""));
  EXPECT_FALSE(IsUuid("0123456789ab-7000-8000-000000000000-"));
  EXPECT_FALSE(IsUuid("01234567-89ab-7000-8000-00000000000g"));
  EXPECT_TRUE(IsUuid("01234567-89AB-7000-8000-000000000000"));
}

}  // namespace
}  // namespace imgfleet
