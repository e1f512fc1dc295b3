#include "coordinator/core/fair_share.h"

#include "gtest/gtest.h"

namespace imgfleet::core {
namespace {

TEST(Room, TheFirstShardIsGivenWhateverItsSize) {
  Credit credit;
  credit.items = 10;
  credit.bytes = 100;
  Room room(credit);
  EXPECT_TRUE(room.Fits("job", 1000, 1 << 20));
  room.Take("job", 4, 40);
  EXPECT_TRUE(room.Fits("job", 6, 60));
  EXPECT_FALSE(room.Fits("job", 7, 60));
  EXPECT_FALSE(room.Fits("job", 6, 61));
  room.Take("job", 6, 60);
  EXPECT_TRUE(room.empty());
}

TEST(Room, WhatIsSpareIsForJobsOfWhichLittleIsHeld) {
  Credit credit;
  credit.spare_items = 12;
  credit.spare_bytes = 100;
  credit.spare_items_of_job = 8;
  credit.sated = {"huge"};
  Room room(credit);
  EXPECT_FALSE(room.Fits("huge", 1, 1));
  EXPECT_FALSE(room.Fits("large", 9, 1));  // Also the first is to fit.
  EXPECT_FALSE(room.Fits("large", 1, 101));
  ASSERT_TRUE(room.Fits("small", 5, 50));
  room.Take("small", 5, 50);
  EXPECT_FALSE(room.Fits("small", 4, 1));  // No more of one job than is said.
  EXPECT_TRUE(room.Fits("small", 3, 50));
  EXPECT_TRUE(room.Fits("tiny", 7, 50));
  EXPECT_FALSE(room.Fits("tiny", 8, 50));
  room.Take("tiny", 7, 50);
  EXPECT_TRUE(room.empty());
}

TEST(Room, WhatIsSpareComesAfterTheRest) {
  Credit credit;
  credit.items = 4;
  credit.bytes = 100;
  credit.spare_items = credit.spare_items_of_job = 2;
  credit.spare_bytes = 10;
  credit.sated = {"huge"};
  Room room(credit);
  room.Take("tiny", 4, 10);
  EXPECT_FALSE(room.Fits("huge", 1, 1));
  EXPECT_TRUE(room.Fits("tiny", 2, 10));
}

}  // namespace
}  // namespace imgfleet::core
