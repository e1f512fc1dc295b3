// What an IdSet says is what a plain set says, however much of it lies in files.
#include "coordinator/lists/id_set.h"

#include <sys/resource.h>
#include <unistd.h>

#include <random>
#include <string>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::lists {
namespace {

// Spills every 48 ids.
constexpr IdSet::Limits kSmall{64, 1000, 8};

TEST(IdSetTest, SaysWhatAPlainSetSays) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    std::mt19937_64 random(seed);
    IdSet ids(seed, "", kSmall);
    std::unordered_set<std::string> plain;
    for (int i = 0; i < 40'000; ++i) {
      // Half of them seen before, some of them numbers in and out of order.
      const uint64_t number = random() % 30'000;
      std::string id = number % 3 == 0 ? absl::StrCat(number) : absl::StrCat("id-", number);
      if (i % 5 == 0) id = absl::StrCat(i);
      const absl::StatusOr<bool> inserted = ids.Insert(id);
      ASSERT_TRUE(inserted.ok()) << inserted.status();
      ASSERT_EQ(*inserted, plain.insert(id).second) << id << " at " << i << ", seed " << seed;
    }
  }
}

TEST(IdSetTest, KnowsAgainWhatLiesInFilesOfFullSize) {
  constexpr int kIds = 8'000'000 / 2;  // Five runs: one merge.
  IdSet ids(1, "");
  for (int i = 0; i < kIds; ++i) ASSERT_TRUE(*ids.Insert(absl::StrCat("photo/", i)));
  for (int i = 0; i < kIds; i += 997) ASSERT_FALSE(*ids.Insert(absl::StrCat("photo/", i))) << i;
}

// Numbers beyond the runs that are kept must not be taken for new by growing the last run.
TEST(IdSetTest, NumbersWithGapsAreKnownAgain) {
  IdSet ids(1, "", kSmall);
  for (int i = 0; i < 1000; i += 2) ASSERT_TRUE(*ids.Insert(absl::StrCat(i)));
  for (int i = 1; i < 1000; i += 2) ASSERT_TRUE(*ids.Insert(absl::StrCat(i))) << i;
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(*ids.Insert(absl::StrCat(i))) << i;
}

TEST(IdSetTest, AFolderThatIsNoneIsSaidAndCostsNothingThatWasThere) {
  IdSet ids(1, "/nowhere/at/all", kSmall);
  absl::Status failure;
  int taken = 0;
  while (failure.ok()) {
    const absl::StatusOr<bool> inserted = ids.Insert(absl::StrCat("a", taken));
    failure = inserted.status();
    if (inserted.ok()) ++taken;
  }
  EXPECT_NE(failure.message().find("/nowhere/at/all"), std::string::npos) << failure;
  EXPECT_NE(failure.message().find("--spool"), std::string::npos) << failure;
  for (int i = 0; i < taken; ++i) EXPECT_FALSE(*ids.Insert(absl::StrCat("a", i)));
}

TEST(IdSetTest, AFullDiskIsSaid) {
  // A file may not grow beyond 1,000 bytes: as on a full disk, a write is cut short.
  const rlimit few{1000, RLIM_INFINITY};
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_EQ(signal(SIGXFSZ, SIG_IGN) == SIG_ERR, false);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &few), 0);
  IdSet ids(1, "", {512, 1000, 8});
  absl::Status failure;
  for (int i = 0; failure.ok() && i < 1000; ++i) failure = ids.Insert(absl::StrCat("a", i)).status();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(failure.code(), absl::StatusCode::kResourceExhausted) << failure;
  EXPECT_TRUE(ids.Insert("a-new-one").ok()) << "goes on once there is room";
}

}  // namespace
}  // namespace imgfleet::lists
