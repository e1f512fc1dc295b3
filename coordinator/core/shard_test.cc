#include "coordinator/core/shard.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace imgfleet::core {
namespace {

using testing::ElementsAre;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);
const absl::Time kUntil = kNow + absl::Seconds(15);

Shard Fresh(uint32_t items) { return MakeShard({"job", 0}, {0, items, "items", {}}); }

Chunk ChunkOf(uint64_t epoch, std::vector<uint32_t> offsets) {
  Chunk chunk;
  chunk.lease = {{"job", 0}, epoch};
  chunk.counts.succeeded = offsets.size();
  chunk.offsets = std::move(offsets);
  return chunk;
}

// Leases, and loses the lease without a word. True where that gave an item up.
std::optional<uint32_t> Lose(Shard& shard) {
  const std::optional<uint32_t> poison = SettleLoss(shard);
  if (poison) return poison;
  Lease(shard, "w", kUntil);
  if (MustBeCertain(shard)) Question(shard, kUntil + absl::Seconds(15));
  ComeDue(shard);
  return std::nullopt;
}

// Until a single item is suspect.
Shard Accused(uint32_t items) {
  Shard shard = Fresh(items);
  while (!MustBeCertain(shard)) {
    EXPECT_EQ(Lose(shard), std::nullopt);
    SettleLoss(shard);
    Lease(shard, "w", kUntil);
  }
  return shard;
}

TEST(Bitmap, CountsBelow) {
  std::mt19937 random(1);
  for (const uint32_t bits : {1u, 8u, 63u, 64u, 65u, 200u}) {
    Bitmap bitmap(bits);
    for (uint32_t bit = 0; bit < bits; ++bit) {
      if (random() % 3 == 0) bitmap.Set(bit);
    }
    uint32_t set = 0;
    for (uint32_t end = 0; end <= bits; ++end) {
      EXPECT_EQ(bitmap.CountBelow(end), set) << end << " of " << bits;
      set += bitmap.Get(end) ? 1 : 0;
    }
    EXPECT_EQ(bitmap.Count(), set);
    EXPECT_EQ(bitmap.CountBelow(1000), set);
  }
}

TEST(Bitmap, StoresBitsLowestFirst) {
  Bitmap bitmap(10);
  bitmap.Set(0);
  bitmap.Set(9);
  EXPECT_EQ(bitmap.bytes(), std::string("\x01\x02"));
  EXPECT_EQ(bitmap.Count(), 2u);
  EXPECT_TRUE(Bitmap::FromBytes(bitmap.bytes()).Get(9));
  EXPECT_FALSE(bitmap.Get(8));
  EXPECT_FALSE(bitmap.Get(1000));
}

TEST(Shard, LeaseCoversWhatHasNoOutcome) {
  NewShard with_known{0, 4, "items", {}};
  with_known.known.offsets = {1};
  Shard shard = MakeShard({"job", 0}, with_known);
  EXPECT_EQ(shard.state, ShardState::kReady);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(0, 2, 3));
  EXPECT_EQ(shard.state, ShardState::kLeased);
  EXPECT_EQ(shard.epoch, 1u);
  EXPECT_EQ(LeasedItems(shard), 3u);
}

TEST(Shard, OneKnownFromBirthIsDone) {
  NewShard all_known{0, 2, "items", {}};
  all_known.known.offsets = {0, 1};
  EXPECT_EQ(MakeShard({"job", 0}, all_known).state, ShardState::kDone);
}

TEST(Shard, ChunksAreJudged) {
  struct Case {
    const char* name;
    Chunk chunk;
    ChunkVerdict verdict;
  };
  Chunk lying = ChunkOf(2, {2});
  lying.counts.failed = 1;
  Chunk reasonless = ChunkOf(2, {2});
  reasonless.counts = {0, 1, 0, {{6, 2}}};
  const Case cases[] = {
      {"fresh", ChunkOf(2, {3, 2}), ChunkVerdict::kFresh},
      {"repeated", ChunkOf(2, {1, 0}), ChunkVerdict::kRepeated},
      {"older epoch", ChunkOf(1, {2}), ChunkVerdict::kStale},
      {"older epoch, known offsets", ChunkOf(1, {0}), ChunkVerdict::kStale},
      {"epoch never given", ChunkOf(3, {2}), ChunkVerdict::kInvalid},
      {"partly known", ChunkOf(2, {1, 2}), ChunkVerdict::kInvalid},
      {"beyond the shard", ChunkOf(2, {4}), ChunkVerdict::kInvalid},
      {"twice the same", ChunkOf(2, {2, 2}), ChunkVerdict::kInvalid},
      {"empty", ChunkOf(2, {}), ChunkVerdict::kInvalid},
      {"counts lie", lying, ChunkVerdict::kInvalid},
      {"reasons lie", reasonless, ChunkVerdict::kInvalid},
  };
  Shard shard = Fresh(4);
  Lease(shard, "v", kUntil);
  ComeDue(shard);
  SettleLoss(shard);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {0, 1});
  for (const Case& c : cases) {
    const ChunkCheck check = CheckChunk(shard, c.chunk);
    EXPECT_EQ(check.verdict, c.verdict) << c.name;
    EXPECT_EQ(check.message.empty(), c.verdict != ChunkVerdict::kInvalid) << c.name;
  }
}

TEST(Shard, RepetitionIsRecognisedAfterTheLeaseIsOver) {
  Shard shard = Fresh(2);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {0});
  EXPECT_TRUE(HandBack(shard, 1, kNow, kNow));
  EXPECT_EQ(CheckChunk(shard, ChunkOf(1, {0})).verdict, ChunkVerdict::kRepeated);
  EXPECT_EQ(CheckChunk(shard, ChunkOf(1, {1})).verdict, ChunkVerdict::kStale);
}

TEST(Shard, PutOffsCountUntilSomethingIsCommitted) {
  Shard shard = Fresh(2);
  for (uint32_t i = 1; i <= 3; ++i) {
    Lease(shard, "w", kUntil);
    EXPECT_TRUE(HandBack(shard, i, kNow, kNow + absl::Seconds(60)));
    EXPECT_TRUE(HandBack(shard, i, kNow, kNow + absl::Seconds(60))) << "a repetition";
    EXPECT_EQ(shard.put_offs, i);
    ComeDue(shard);
  }
  Lease(shard, "w", kUntil);
  EXPECT_TRUE(HandBack(shard, 4, kNow, kNow)) << "a worker that drains";
  EXPECT_EQ(shard.put_offs, 3u);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {0});
  EXPECT_EQ(shard.put_offs, 0u);
}

TEST(Shard, LastOutcomeEndsIt) {
  Shard shard = Fresh(2);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {1});
  EXPECT_EQ(shard.state, ShardState::kLeased);
  CommitOffsets(shard, {0});
  EXPECT_EQ(shard.state, ShardState::kDone);
  EXPECT_FALSE(Renew(shard, "w", 1, kUntil));
  EXPECT_EQ(CheckChunk(shard, ChunkOf(1, {0, 1})).verdict, ChunkVerdict::kRepeated);
}

TEST(Shard, LapsedLeaseIsGoodUntilTheNextOne) {
  Shard shard = Fresh(2);
  Lease(shard, "w", kUntil);
  ComeDue(shard);
  EXPECT_EQ(shard.state, ShardState::kReady);
  EXPECT_EQ(CheckChunk(shard, ChunkOf(1, {0})).verdict, ChunkVerdict::kFresh);
  EXPECT_FALSE(Renew(shard, "other", 1, kUntil));
  EXPECT_TRUE(Renew(shard, "w", 1, kUntil));
  EXPECT_EQ(shard.state, ShardState::kLeased);
  EXPECT_EQ(shard.losses, 0u);

  ComeDue(shard);
  SettleLoss(shard);
  Lease(shard, "other", kUntil);
  EXPECT_FALSE(Renew(shard, "w", 1, kUntil));
  EXPECT_EQ(CheckChunk(shard, ChunkOf(1, {0})).verdict, ChunkVerdict::kStale);
}

TEST(Shard, HandBackFreesAtOnceOrLater) {
  Shard shard = Fresh(2);
  Lease(shard, "w", kUntil);
  EXPECT_FALSE(HandBack(shard, 7, kNow, kNow));
  EXPECT_EQ(shard.state, ShardState::kLeased);
  EXPECT_TRUE(HandBack(shard, 1, kNow, kNow + absl::Seconds(3)));
  EXPECT_EQ(shard.state, ShardState::kDelayed);
  EXPECT_EQ(shard.due, kNow + absl::Seconds(3));
  EXPECT_FALSE(Renew(shard, "w", 1, kUntil));
  EXPECT_TRUE(HandBack(shard, 1, kNow, kNow)) << "a repetition";
  EXPECT_EQ(shard.state, ShardState::kDelayed);
}

TEST(Poison, HandingBackCountsNothing) {
  Shard shard = Fresh(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(SettleLoss(shard), std::nullopt);
    Lease(shard, "w", kUntil);
    HandBack(shard, shard.epoch, kNow, kNow);
  }
  EXPECT_EQ(shard.losses, 0u);
}

TEST(Poison, CoordinatorsOwnRestartCountsNothing) {
  Shard shard = Fresh(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(SettleLoss(shard), std::nullopt);
    Lease(shard, "w", kUntil);
    Orphan(shard, kNow);
    EXPECT_EQ(shard.state, ShardState::kDelayed);
    ComeDue(shard);
  }
  EXPECT_EQ(shard.losses, 0u);
}

TEST(Poison, ThreeLossesHalveTheLease) {
  Shard shard = Fresh(8);
  for (uint32_t i = 0; i < kMaxLosses; ++i) {
    EXPECT_EQ(LeasableItems(shard), 8u);
    Lose(shard);
  }
  SettleLoss(shard);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(CheckChunk(shard, ChunkOf(shard.epoch, {4})).verdict, ChunkVerdict::kInvalid);
}

TEST(Poison, CommittedChunkForgives) {
  Shard shard = Fresh(8);
  Lose(shard);
  Lose(shard);
  SettleLoss(shard);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {0});
  ComeDue(shard);
  EXPECT_EQ(SettleLoss(shard), std::nullopt);
  EXPECT_EQ(shard.losses, 0u);
  EXPECT_EQ(LeasableItems(shard), 7u);
}

TEST(Poison, HalfThatIsDoneLeavesTheRestReady) {
  Shard shard = Fresh(4);
  for (uint32_t i = 0; i < kMaxLosses; ++i) Lose(shard);
  SettleLoss(shard);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(0, 1));
  CommitOffsets(shard, {0, 1});
  EXPECT_EQ(shard.state, ShardState::kReady);
  EXPECT_FALSE(Renew(shard, "w", shard.epoch, kUntil));
  SettleLoss(shard);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(2)) << "half of the suspects that are left";
  CommitOffsets(shard, {2});
  SettleLoss(shard);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(3));
}

TEST(Poison, OutcomeOfAnItemGivenUpComesTooLate) {
  Shard shard = Fresh(1);
  for (uint32_t i = 0; i < 2 * kMaxLosses; ++i) Lose(shard);
  Chunk late;
  late.lease = {shard.key, shard.epoch};
  late.offsets = {0};
  late.counts.succeeded = 1;
  ASSERT_EQ(SettleLoss(shard), 0u);
  CommitOffsets(shard, {0});
  EXPECT_EQ(CheckChunk(shard, late).verdict, ChunkVerdict::kStale)
      << "it is not the outcome that the item has";
}

// Wherever the guilty item stands, its workers die at once, and nobody else's outcome is lost.
TEST(Poison, IsFoundWhereverItStands) {
  constexpr uint32_t kItems = 100;
  for (uint32_t guilty = 0; guilty < kItems; ++guilty) {
    Shard shard = Fresh(kItems);
    std::optional<uint32_t> found;
    int lost = 0;
    for (int leases = 0; shard.state != ShardState::kDone && leases < 1000; ++leases) {
      if (const std::optional<uint32_t> poison = SettleLoss(shard)) {
        EXPECT_EQ(found, std::nullopt);
        found = poison;
        CommitOffsets(shard, {*poison});
        continue;
      }
      const std::vector<uint32_t> offsets = Lease(shard, "w", kUntil);
      if (std::find(offsets.begin(), offsets.end(), guilty) == offsets.end()) {
        CommitOffsets(shard, offsets);
      } else {
        ++lost;
        if (MustBeCertain(shard)) Question(shard, kUntil);
        ComeDue(shard);
      }
    }
    EXPECT_EQ(found, guilty);
    EXPECT_EQ(shard.state, ShardState::kDone);
    EXPECT_LE(lost, 3 + 7 + 3) << "three beside others, one for each halving of 100, three of it alone";
  }
}

TEST(Poison, SuspectsAreLeasedAlone) {
  Shard shard = Fresh(4);
  Lose(shard);
  Lose(shard);
  EXPECT_FALSE(NeedsTrial(shard));
  Lose(shard);
  EXPECT_FALSE(OnTrial(shard)) << "it is judged when it is leased next";
  EXPECT_TRUE(NeedsTrial(shard));
  SettleLoss(shard);
  Lease(shard, "w", kUntil);
  EXPECT_TRUE(OnTrial(shard));
  CommitOffsets(shard, {0, 1});
  EXPECT_TRUE(NeedsTrial(shard)) << "the other half";
  SettleLoss(shard);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {2});
  SettleLoss(shard);
  Lease(shard, "w", kUntil);
  CommitOffsets(shard, {3});
  EXPECT_FALSE(OnTrial(shard));
}

TEST(Poison, OneLossOfSeveralSuspectsNarrowsThem) {
  Shard shard = Fresh(8);
  for (uint32_t i = 0; i < kMaxLosses; ++i) Lose(shard);
  Lose(shard);
  SettleLoss(shard);
  EXPECT_THAT(Lease(shard, "w", kUntil), ElementsAre(0, 1));
}

TEST(Poison, AWorkerThatComesBackWasMerelyCutOff) {
  Shard shard = Accused(4);
  const Shard before = shard;
  Question(shard, kUntil + absl::Seconds(15));
  EXPECT_TRUE(InQuestion(shard));
  EXPECT_FALSE(MustBeCertain(shard)) << "once only";
  Shorten(shard, kNow);
  EXPECT_EQ(shard.due, kUntil + absl::Seconds(15)) << "it has all the time to come back";

  Shard renewed = shard;
  EXPECT_TRUE(Renew(renewed, "w", renewed.epoch, kUntil));
  EXPECT_EQ(renewed.losses, before.losses);
  EXPECT_TRUE(MustBeCertain(renewed)) << "it may still die of it";

  Shard gone = shard;
  Forgo(gone);
  EXPECT_EQ(gone.state, ShardState::kReady);
  EXPECT_EQ(gone.losses, before.losses);
  EXPECT_EQ(SettleLoss(gone), std::nullopt);
  EXPECT_EQ(gone.losses, before.losses);

  Shard orphan = shard;
  Orphan(orphan, kUntil);
  ComeDue(orphan);
  SettleLoss(orphan);
  EXPECT_EQ(orphan.losses, before.losses);

  Shard back = shard;
  EXPECT_TRUE(HandBack(back, back.epoch, kNow, kNow));
  EXPECT_EQ(back.losses, before.losses);

  ComeDue(shard);
  Shard late = shard;
  EXPECT_TRUE(Renew(late, "w", late.epoch, kUntil)) << "nobody else has it yet";
  EXPECT_EQ(late.losses, before.losses);
  Question(late, kUntil);
  ComeDue(late);
  SettleLoss(late);
  EXPECT_EQ(late.losses, before.losses + 1) << "one lease is lost once";

  SettleLoss(shard);
  EXPECT_EQ(shard.losses, before.losses + 1) << "or it counts";
}

TEST(Poison, ThreeLossesInQuestionAreNeededThatStand) {
  Shard shard = Accused(1);
  for (uint32_t i = 0; i < 10; ++i) {
    Question(shard, kUntil);
    Acquit(shard);
    EXPECT_EQ(SettleLoss(shard), std::nullopt) << "others died as well";
    Lease(shard, "w", kUntil);
  }
  for (uint32_t i = 0; i < kMaxLosses; ++i) {
    EXPECT_TRUE(MustBeCertain(shard));
    Question(shard, kUntil);
    ComeDue(shard);
    const std::optional<uint32_t> guilty = SettleLoss(shard);
    EXPECT_EQ(guilty.has_value(), i + 1 == kMaxLosses);
    if (!guilty) Lease(shard, "w", kUntil);
  }
}

// What a worker holds that says nothing of it on a late stream stays its own until its time has come.
TEST(Poison, WhatIsForgoneIsNobodysBeforeItsTime) {
  Shard shard = Accused(4);
  const absl::Time due = shard.due;
  Forgo(shard);
  EXPECT_EQ(shard.state, ShardState::kDelayed);
  EXPECT_EQ(shard.due, due);
  ComeDue(shard);
  const uint32_t losses = shard.losses;
  SettleLoss(shard);
  EXPECT_EQ(shard.losses, losses);
}

}  // namespace
}  // namespace imgfleet::core
