#include "coordinator/core/trials.h"

#include "gtest/gtest.h"

namespace imgfleet::core {
namespace {

using Death = Muster::Death;
using Way = Muster::Way;

const absl::Time kNow = absl::FromUnixSeconds(1000);
const ShardKey kShard{"job", 3};

absl::Time At(int seconds) { return kNow + absl::Seconds(seconds); }

TEST(Muster, OneWhoDiesWhileAnotherStaysDiesAlone) {
  Muster muster;
  for (const char* name : {"dies", "dies too", "stays"}) muster.Came(name, kNow);
  muster.Left("dies", At(20), Way::kSilently);
  muster.Left("dies too", At(21), Way::kSilently);
  EXPECT_EQ(muster.HowDied("dies", At(22)), Death::kAlone);
  EXPECT_EQ(muster.workers(), 1u);
}

TEST(Muster, AWholeFleetThatGoesSaysNothingOfOne) {
  Muster muster;
  for (const char* name : {"a", "b", "c"}) muster.Came(name, kNow);
  muster.Left("a", At(20), Way::kSilently);
  muster.Left("b", At(17), Way::kSilently);
  muster.Left("c", At(35), Way::kSilently);  // Its machine told nobody.
  // Who came since has seen nothing.
  muster.Came("d", At(22));
  EXPECT_EQ(muster.HowDied("a", At(22)), Death::kWithOthers);
}

// Or two that are guilty would find each other's alibi for ever.
TEST(Muster, WhoDiesOfAnotherTrialSaysNothing) {
  Muster muster;
  for (const char* name : {"a", "b"}) muster.Came(name, kNow);
  muster.Left("a", At(20), Way::kOnTrial);
  muster.Left("b", At(21), Way::kOnTrial);
  EXPECT_EQ(muster.HowDied("a", At(22)), Death::kAlone);
  EXPECT_EQ(muster.HowDied("b", At(23)), Death::kAlone);
}

TEST(Muster, WhoComesBackHasStayed) {
  Muster muster;
  for (const char* name : {"a", "b"}) muster.Came(name, kNow);
  muster.Left("b", At(19), Way::kSilently);
  muster.Left("a", At(20), Way::kSilently);
  muster.Came("b", At(23));
  EXPECT_EQ(muster.HowDied("a", At(22)), Death::kAlone);
}

TEST(Muster, WithoutOthersThereIsNothingToCompareWith) {
  Muster muster;
  muster.Came("a", kNow);
  muster.Came("drains", kNow);
  muster.Came("went before", kNow);
  muster.Left("went before", At(5), Way::kSilently);
  muster.Left("drains", At(19), Way::kInPeace);
  muster.Left("a", At(20), Way::kSilently);
  EXPECT_EQ(muster.HowDied("a", At(22)), Death::kAlone);
  EXPECT_EQ(muster.HowDied("never seen", At(22)), Death::kUnknown);
}

// A machine that dies without a word: the lease lapses before anybody knows that its worker is gone.
TEST(Muster, TheLapseCountsWhereNobodyKnowsOfTheDeath) {
  Muster muster;
  for (const char* name : {"a", "b"}) muster.Came(name, kNow);
  muster.Left("b", At(19), Way::kSilently);
  EXPECT_EQ(muster.HowDied("a", At(20)), Death::kWithOthers);
  EXPECT_EQ(muster.HowDied("a", At(40)), Death::kAlone) << "b went long before";
}

TEST(Muster, ForgetsThoseLongGone) {
  Muster muster;
  muster.Came("a", kNow);
  muster.Left("a", kNow, Way::kSilently);
  muster.Left("b", kNow + absl::Minutes(6), Way::kSilently);
  EXPECT_EQ(muster.HowDied("a", kNow), Death::kUnknown);
}

TEST(Trials, OneWorkerAtATimeIsSetAside) {
  Trials trials;
  EXPECT_TRUE(trials.MaySetAside(kNow));
  trials.SetAside("a", kShard, kNow);
  EXPECT_FALSE(trials.MaySetAside(kNow));
  EXPECT_EQ(trials.Awaits("a"), kShard);
  EXPECT_EQ(trials.Awaits("b"), std::nullopt);
  trials.Asks("a", 4, At(1));
  EXPECT_EQ(trials.Awaits("a"), kShard) << "it has not run dry";
  trials.Begins("a", At(2));
  EXPECT_EQ(trials.Awaits("a"), std::nullopt);
  EXPECT_FALSE(trials.MaySetAside(At(3)));
  trials.Asks("a", 4, At(4));
  EXPECT_TRUE(trials.MaySetAside(At(4))) << "others have work all the time";
}

TEST(Trials, TheOnlyWorkerAlternates) {
  Trials trials;
  trials.SetAside("a", kShard, kNow);
  trials.Begins("a", At(5));
  trials.Asks("a", 1, At(20));
  EXPECT_FALSE(trials.MaySetAside(At(39)));
  EXPECT_TRUE(trials.MaySetAside(At(40)));
  EXPECT_TRUE(trials.MayTry(1)) << "where there is nothing else to do";
  trials.SetAside("a", kShard, At(40));
  trials.Begins("a", At(40));
  trials.Left("a", 0, At(50));
  EXPECT_FALSE(trials.MaySetAside(At(59))) << "its successor is the only one as well";
  EXPECT_TRUE(trials.MaySetAside(At(60)));
}

TEST(Trials, HalfOfTheWorkersStayFree) {
  Trials trials;
  trials.Begins("a", kNow);
  EXPECT_FALSE(trials.MayTry(1));
  EXPECT_FALSE(trials.MayTry(3));
  EXPECT_TRUE(trials.MayTry(4));
  trials.Begins("b", kNow);
  EXPECT_FALSE(trials.MayTry(4));
}

TEST(Trials, OneThatIsNeverIdleIsReplaced) {
  Trials trials;
  trials.SetAside("a", kShard, kNow);
  trials.Asks("b", 4, At(119));
  EXPECT_FALSE(trials.MaySetAside(At(119)));
  trials.Asks("b", 4, At(121));
  EXPECT_TRUE(trials.MaySetAside(At(121)));
}

}  // namespace
}  // namespace imgfleet::core
