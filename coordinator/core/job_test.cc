#include "coordinator/core/job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "coordinator/core/fair_share.h"
#include "coordinator/core/sharder.h"

namespace imgfleet::core {
namespace {

const absl::Time kWall = absl::FromUnixSeconds(5000);

NewShard ShardOf(uint64_t first_index, uint32_t items) { return {first_index, items, "items", {}}; }

TEST(Job, StatesChangeOnlyForward) {
  struct Case {
    JobState from;
    JobState finished, broken_off, cancelled;
  };
  const Case cases[] = {
      {JobState::kReading, JobState::kRunning, JobState::kFailed, JobState::kCancelled},
      {JobState::kRunning, JobState::kRunning, JobState::kRunning, JobState::kCancelled},
      {JobState::kCompleted, JobState::kCompleted, JobState::kCompleted, JobState::kCompleted},
      {JobState::kFailed, JobState::kFailed, JobState::kFailed, JobState::kFailed},
      {JobState::kCancelled, JobState::kCancelled, JobState::kCancelled, JobState::kCancelled},
  };
  for (const Case& c : cases) {
    Job job;
    job.items = 1;
    job.state = c.from;
    Job finished = job, broken_off = job, cancelled = job;
    FinishReading(finished, absl::OkStatus(), kWall);
    FinishReading(broken_off, absl::DataLossError("cut"), kWall);
    Cancel(cancelled, kWall);
    EXPECT_EQ(finished.state, c.finished);
    EXPECT_EQ(broken_off.state, c.broken_off);
    EXPECT_EQ(cancelled.state, c.cancelled);
    EXPECT_EQ(cancelled.end_time == kWall, !Ended(c.from));
    EXPECT_EQ(broken_off.failure, c.from == JobState::kReading ? "cut" : "");
  }
}

TEST(Job, CompletesWithTheLastOutcomeOfAReadList) {
  Job job;
  FinishReading(job, absl::OkStatus(), kWall);
  EXPECT_EQ(job.state, JobState::kCompleted) << "no items at all";

  Job two;
  two.items = 2;
  EXPECT_EQ(CountOutcomes(two, {1, 1, 30, {{6, 1}}}), 1u);
  CompleteIfDone(two, kWall);
  EXPECT_EQ(two.state, JobState::kReading) << "more items may follow";
  FinishReading(two, absl::OkStatus(), kWall);
  EXPECT_EQ(two.state, JobState::kCompleted);
  EXPECT_EQ(two.end_time, kWall);
}

TEST(Job, OutcomesAreCounted) {
  Job job;
  EXPECT_EQ(CountOutcomes(job, {2, 1, 30, {{6, 1}}}), 1u);
  EXPECT_EQ(CountOutcomes(job, {0, 3, 5, {{6, 1}, {1, 2}}}), 2u);
  EXPECT_EQ(job.counts.succeeded, 2u);
  EXPECT_EQ(job.counts.failed, 4u);
  EXPECT_EQ(job.counts.fetched_bytes, 35u);
  EXPECT_EQ(job.counts.reasons, (ReasonCounts{{1, 2}, {6, 2}}));
}

TEST(Job, AppendIsChecked) {
  Job job;
  job.items = 10;
  EXPECT_TRUE(CheckAppend(job, ShardOf(10, 1)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, ShardOf(9, 1))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, ShardOf(11, 1))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, ShardOf(10, 0))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, ShardOf(10, kMaxShardItems + 1))));
  NewShard known = ShardOf(10, 3);
  known.known.offsets = {1, 3};
  known.known.counts.succeeded = 2;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, known))) << "beyond the shard";
  known.known.offsets = {2, 1};
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, known))) << "not ascending";
  known.known.offsets = {1, 2};
  EXPECT_TRUE(CheckAppend(job, known).ok());
  known.known.counts.failed = 1;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(job, known))) << "counts lie";
  job.state = JobState::kRunning;
  EXPECT_TRUE(absl::IsFailedPrecondition(CheckAppend(job, ShardOf(10, 1))));
}

TEST(Job, KnowsWhatIsReadyAndLeased) {
  JobRecord record;
  Shard shard = MakeShard({"job", 0}, ShardOf(0, 3));
  Account(record, nullptr, shard);
  EXPECT_EQ(record.job.items, 3u);
  EXPECT_EQ(record.job.shards, 1u);
  EXPECT_EQ(record.ready_shards, 1u);
  const auto change = [&](auto how) {
    const Shard before = shard;
    how();
    Account(record, &before, shard);
  };
  change([&] { Lease(shard, "w", kWall); });
  EXPECT_EQ(record.ready_shards, 0u);
  EXPECT_EQ(record.leased_items, 3u);
  change([&] { CommitOffsets(shard, {0}); });
  EXPECT_EQ(record.leased_items, 2u);
  change([&] { ComeDue(shard); });
  EXPECT_EQ(record.ready_shards, 1u);
  EXPECT_EQ(record.leased_items, 0u);
}

TEST(Job, OnlyWhatMayBeLeasedIsLeasable) {
  JobRecord record;
  EXPECT_FALSE(Leasable(record)) << "nothing is READY";
  record.ready_shards = 1;
  EXPECT_TRUE(Leasable(record));
  record.job.paused = true;
  EXPECT_FALSE(Leasable(record));
  record.job.paused = false;
  record.job.state = JobState::kFailed;
  EXPECT_FALSE(Leasable(record));
}

TEST(Job, WithAParentLeavesItemsOut) {
  JobRecord record;
  NewShard shard = ShardOf(5, 4);
  shard.absent = {1, 2};
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(record.job, shard))) << "no parent";
  record.job.parent = "parent";
  EXPECT_TRUE(CheckAppend(record.job, shard).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(record.job,
                                                  [&] {
                                                    NewShard bad = shard;
                                                    bad.absent = {4};
                                                    return bad;
                                                  }())))
      << "beyond the shard";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(record.job,
                                                  [&] {
                                                    NewShard bad = shard;
                                                    bad.known.offsets = {2};
                                                    bad.known.counts.succeeded = 1;
                                                    return bad;
                                                  }())))
      << "absent with an outcome";

  Shard row = MakeShard({"job", 0}, shard);
  Account(record, nullptr, row);
  EXPECT_EQ(record.job.items, 9u);
  EXPECT_EQ(record.job.absent, 7u);
  EXPECT_EQ(OwnItems(record.job), 2u);
  EXPECT_EQ(Lease(row, "w", kWall), (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(CheckChunk(row, {{{"job", 0}, 1}, {1}, "", {1, 0, 0, {}}}).verdict, ChunkVerdict::kInvalid);
  EXPECT_TRUE(absl::IsInvalidArgument(CheckAppend(record.job, ShardOf(8, 1)))) << "goes back";
  CountOutcomes(record.job, {1, 0, 0, {}});
  FinishReading(record.job, absl::OkStatus(), kWall);
  EXPECT_EQ(record.job.state, JobState::kRunning);
  CountOutcomes(record.job, {1, 0, 0, {}});
  CompleteIfDone(record.job, kWall);
  EXPECT_EQ(record.job.state, JobState::kCompleted) << "outcomes and absent items are all items";
}

// The sizes of the shards of a list.
std::vector<uint32_t> Cut(uint64_t items) {
  Sharder sharder;
  std::vector<uint32_t> sizes;
  for (uint64_t i = 0; i < items; ++i) {
    if (!sharder.Fits(100)) {
      sizes.push_back(sharder.items());
      sharder.Cut();
    }
    sharder.Add(100);
  }
  sizes.push_back(sharder.items());
  return sizes;
}

TEST(Sharder, ShardsDoubleUpToAPartOfTheListAndTheLimit) {
  const std::vector<uint32_t> sizes = Cut(100'000);
  EXPECT_EQ(sizes[0], 16u);
  EXPECT_EQ(sizes[1], 32u);
  EXPECT_EQ(sizes[2], 64u);
  EXPECT_EQ(sizes[3], 64u);
  uint64_t before = 0;
  for (size_t i = 0; i + 1 < sizes.size(); before += sizes[i++]) {
    EXPECT_LE(sizes[i], std::max<uint64_t>(64, before / 32)) << i;
    if (before >= 32'000) {
      EXPECT_EQ(sizes[i], 1000u) << i;
    }
  }
}

TEST(Sharder, AShortListIsEnoughForWorkersThatComeLater) {
  const std::vector<uint32_t> sizes = Cut(5005);
  EXPECT_EQ(sizes.size(), 63u);
  EXPECT_EQ(*std::max_element(sizes.begin(), sizes.end()), 149u);
}

TEST(Sharder, ALongListCostsFewShards) { EXPECT_LE(Cut(10'000'000).size(), 10'100u); }

TEST(Sharder, BytesCloseAShardToo) {
  Sharder sharder;
  sharder.Add(kMaxShardBytes - 10);
  EXPECT_TRUE(sharder.Fits(10));
  EXPECT_FALSE(sharder.Fits(11));
  sharder.Cut();
  EXPECT_TRUE(sharder.Fits(kMaxShardBytes + 1)) << "one alone always fits";
  sharder.Add(kMaxShardBytes + 1);
  EXPECT_FALSE(sharder.Fits(1));
}

TEST(FairShare, FewestLeasedFirstThenOldest) {
  EXPECT_TRUE(ComesBefore({"b", 1}, {"a", 2}));
  EXPECT_TRUE(ComesBefore({"a", 2}, {"b", 2}));
  EXPECT_FALSE(ComesBefore({"a", 2}, {"a", 2}));
}

// What a job holds before it is another's turn doubles with each step of priority.
TEST(FairShare, PriorityWeighsWhatIsLeased) {
  for (int32_t priority = kMinPriority; priority < kMaxPriority; ++priority) {
    EXPECT_TRUE(ComesBefore({"b", TurnOf(199, priority + 1)}, {"a", TurnOf(100, priority)})) << priority;
    EXPECT_TRUE(ComesBefore({"a", TurnOf(100, priority)}, {"b", TurnOf(201, priority + 1)})) << priority;
  }
  EXPECT_TRUE(ComesBefore({"b", TurnOf(0, kMinPriority)}, {"a", TurnOf(1, kMaxPriority)}))
      << "nobody starves";
}

}  // namespace
}  // namespace imgfleet::core
