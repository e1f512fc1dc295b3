#include "coordinator/store/store_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imgfleet::store {
namespace {

using testing::HasSubstr;

const absl::Status kAway = absl::UnavailableError("away");
const absl::Status kFull = absl::ResourceExhaustedError("full");

class StoreHealthTest : public testing::Test {
 protected:
  void Pass(absl::Duration time) { now_ += time; }
  void Transact(const absl::Status& how = absl::OkStatus()) {
    health_.Began(now_);
    health_.Ended(how, now_);
  }
  absl::Status Judged(const absl::Status& reached = absl::OkStatus()) const {
    return health_.Judge(reached, now_);
  }

  StoreHealth health_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(StoreHealthTest, FailsOnceNothingHasGoneWellForAMoment) {
  EXPECT_TRUE(Judged().ok()) << "nothing is known";
  Transact(kAway);
  for (int seconds = 1; seconds < 3; ++seconds) {
    Pass(absl::Seconds(1));
    Transact(kAway);
    EXPECT_TRUE(Judged().ok()) << seconds;
  }
  Pass(absl::Seconds(1));
  EXPECT_EQ(Judged(), kAway) << "though nobody has tried again";
  Pass(absl::Hours(1));
  EXPECT_EQ(Judged(), kAway);
  Transact();
  EXPECT_TRUE(Judged().ok());
}

TEST_F(StoreHealthTest, OneTransactionThatCannotBeStoredIsNoFailureOfTheStore) {
  for (int tries = 0; tries < 100; ++tries) {
    Transact(absl::InternalError("that one"));
    Transact();
    Pass(absl::Seconds(1));
    EXPECT_TRUE(Judged().ok());
  }
}

TEST_F(StoreHealthTest, ASecondRunOfFailuresBeginsAnew) {
  Transact(kAway);
  Pass(absl::Seconds(2));
  Transact();
  Pass(absl::Seconds(2));
  Transact(kAway);
  EXPECT_TRUE(Judged().ok());
  Pass(absl::Seconds(3));
  EXPECT_EQ(Judged(), kAway);
}

// A look that finds nothing to write goes well on a full disk.
TEST_F(StoreHealthTest, AFullDiskIsNotForgottenForWhatWritesNothing) {
  for (int tries = 0; tries < 4; ++tries) {
    Transact(kFull);
    EXPECT_TRUE(Judged().ok());
    Pass(absl::Milliseconds(900));
    Transact();
  }
  Transact(kFull);
  EXPECT_EQ(Judged(), kFull);
  Transact();
  EXPECT_EQ(Judged(), kFull);
  Pass(StoreHealth::kCalm);
  EXPECT_TRUE(Judged().ok());
  Transact(kFull);
  EXPECT_TRUE(Judged().ok()) << "a new run";
}

TEST_F(StoreHealthTest, OneFailureOnAFullDiskIsNone) {
  Transact(kFull);
  Transact();
  Pass(absl::Seconds(4));
  EXPECT_TRUE(Judged().ok());
}

TEST_F(StoreHealthTest, ATransactionWithoutAnEndIsAFailure) {
  health_.Began(now_);
  Pass(absl::Seconds(9));
  EXPECT_TRUE(Judged().ok()) << "it may wait for somebody who stands still";
  Pass(absl::Seconds(1));
  EXPECT_THAT(std::string(Judged().message()), HasSubstr("not answered for 10s"));
  health_.Ended(absl::OkStatus(), now_);
  EXPECT_TRUE(Judged().ok());
}

TEST_F(StoreHealthTest, WhereConnectingFailsATransactionWithoutAnEndIsOneSooner) {
  EXPECT_TRUE(Judged(kAway).ok()) << "a reader could not connect: the writer is connected";
  health_.Began(now_);
  Pass(absl::Seconds(2));
  EXPECT_TRUE(Judged(kAway).ok());
  Pass(absl::Seconds(1));
  EXPECT_EQ(Judged(kAway), kAway);
  EXPECT_TRUE(Judged().ok());
}

}  // namespace
}  // namespace imgfleet::store
