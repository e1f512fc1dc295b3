// The contract of stores, for what job control needs: turns, keys, readers, owners, retention, jobs with gaps, schedules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/store/store_rows_testing.h"

namespace imgfleet::store {
namespace {

using core::Shard;
using core::ShardState;
using testing::ElementsAre;
using testing::IsEmpty;

class StoreControlTest : public StoreContractTest {};

INSTANTIATE_TEST_SUITE_P(Stores, StoreControlTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& info) { return info.param.name; });

TEST_P(StoreControlTest, PriorityComesIntoTheTurn) {
  Transact([&](Transaction& transaction) {
    for (const auto& [id, priority, leased] : {std::tuple("a", 0, 2), {"b", 1, 3}, {"c", -4, 0}}) {
      core::JobRecord job = JobRow(id);
      job.job.priority = priority;
      job.leased_items = static_cast<uint64_t>(leased);
      job.ready_shards = 1;
      ASSERT_TRUE(transaction.InsertJob(job).ok());
    }
  });
  const auto order = [&] {
    std::string order;
    Transact([&](Transaction& transaction) {
      const auto ready = transaction.ReadyJobs(9);
      for (const core::Share& share : *ready) order += share.job_id;
    });
    return order;
  };
  EXPECT_EQ(order(), "cba");
  Transact([&](Transaction& transaction) {
    core::JobRecord job = **transaction.GetJob("a");
    job.job.priority = 2;
    ASSERT_TRUE(transaction.UpdateJob(job).ok());
  });
  EXPECT_EQ(order(), "cab");
}

TEST_P(StoreControlTest, AKeyIsItsOwnersUntilTheJobExpires) {
  core::JobRecord first = JobRow("a"), other = JobRow("b"), again = JobRow("c");
  first.job.idempotency_key = other.job.idempotency_key = again.job.idempotency_key = "key";
  first.job.owner = again.job.owner = "o";
  first.job.state = core::JobState::kCompleted;
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(first).ok());
    ASSERT_TRUE(transaction.InsertJob(other).ok());
    ASSERT_TRUE(transaction.InsertJob(JobRow("no key")).ok());
    ASSERT_TRUE(transaction.InsertJob(JobRow("no key either")).ok());
    EXPECT_EQ((*transaction.FindByKey("o", "key"))->job.id, "a");
    EXPECT_EQ((*transaction.FindByKey("", "key"))->job.id, "b");
    EXPECT_FALSE(transaction.FindByKey("o", "other")->has_value());
  });
  const absl::Status twice =
      store_->Transact([&](Transaction& transaction) { return transaction.InsertJob(again); });
  EXPECT_TRUE(absl::IsAlreadyExists(twice)) << twice;
  first.job.expired = true;
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.UpdateJob(first).ok());
    EXPECT_FALSE(transaction.FindByKey("o", "key")->has_value());
    ASSERT_TRUE(transaction.InsertJob(again).ok());
    EXPECT_EQ((*transaction.FindByKey("o", "key"))->job.id, "c");
  });
}

TEST_P(StoreControlTest, LapsedReadingsAndUseOfOwnersAreFound) {
  const auto at = [](int64_t micros) { return absl::FromUnixMicros(micros); };
  Transact([&](Transaction& transaction) {
    core::JobRecord a = JobRow("a"), b = JobRow("b"), c = JobRow("c"), d = JobRow("d");
    a.job.reader_due = at(20);
    b.job.reader_due = at(10);
    c.job.state = core::JobState::kRunning;
    d.job.state = core::JobState::kCompleted;
    a.job.owner = c.job.owner = d.job.owner = "o";
    a.job.items = 10;
    a.job.absent = 3;
    a.job.counts.succeeded = 1;
    a.job.counts.failed = 2;
    c.job.items = d.job.items = 100;
    for (const core::JobRecord& job : {a, b, c, d}) ASSERT_TRUE(transaction.InsertJob(job).ok());
    EXPECT_THAT(*transaction.LapsedReadings(at(9), 9), IsEmpty());
    EXPECT_EQ(transaction.LapsedReadings(at(10), 9)->at(0).job.id, "b");
    EXPECT_EQ(transaction.LapsedReadings(at(20), 9)->at(1).job.id, "a");
    EXPECT_EQ(transaction.LapsedReadings(at(20), 1)->size(), 1u);
    EXPECT_EQ(*transaction.UseOf("o"), (core::OwnerUse{2, 104}));
    EXPECT_EQ(*transaction.UseOf("nobody"), core::OwnerUse());
  });
}

TEST_P(StoreControlTest, JobsAreListedByOwner) {
  Transact([&](Transaction& transaction) {
    for (const auto& [id, owner] : {std::pair("a", "x"), {"b", "y"}, {"c", "x"}}) {
      core::JobRecord job = JobRow(id);
      job.job.owner = owner;
      ASSERT_TRUE(transaction.InsertJob(job).ok());
    }
  });
  EXPECT_EQ(store_->ListJobs("", "", 9)->size(), 3u);
  const auto of_x = store_->ListJobs("x", "", 9);
  ASSERT_EQ(of_x->size(), 2u);
  EXPECT_EQ(of_x->at(0).id, "c");
  EXPECT_EQ(store_->ListJobs("x", "c", 9)->at(0).id, "a");
  EXPECT_EQ(store_->ListJobs("x", "", 1)->size(), 1u);
}

TEST_P(StoreControlTest, ExpiredJobsAreUnseenAndLeaveInParts) {
  const auto at = [](int64_t micros) { return absl::FromUnixMicros(micros); };
  Transact([&](Transaction& transaction) {
    for (const auto& [id, end] : {std::pair("old", 10), {"new", 20}}) {
      core::JobRecord job = JobRow(id);
      job.job.state = core::JobState::kCompleted;
      job.job.end_time = at(end);
      ASSERT_TRUE(transaction.InsertJob(job).ok());
      for (uint32_t shard = 0; shard < 3; ++shard) {
        ASSERT_TRUE(transaction.InsertShard(ShardRow(id, shard, ShardState::kDone), "items").ok());
        for (uint64_t seq : {1, 2})
          ASSERT_TRUE(transaction.InsertChunk(id, {2 * shard + seq, shard, {}, "x"}).ok());
      }
    }
    EXPECT_THAT(*transaction.EndedBy(at(9), 9), IsEmpty());
    const auto ended = transaction.EndedBy(at(19), 9);
    ASSERT_EQ(ended->size(), 1u);
    EXPECT_EQ(transaction.EndedBy(at(20), 9)->size(), 2u);
    EXPECT_EQ(transaction.EndedBy(at(20), 1)->at(0).job.id, "old");
    core::JobRecord expired = ended->at(0);
    expired.job.expired = true;
    ASSERT_TRUE(transaction.UpdateJob(expired).ok());
    EXPECT_THAT(*transaction.EndedBy(at(19), 9), IsEmpty());
    EXPECT_THAT(*transaction.ExpiredJobs(9), ElementsAre("old"));
  });
  EXPECT_FALSE(store_->GetJob("old")->has_value());
  EXPECT_EQ(store_->ListJobs("", "", 9)->size(), 1u);
  EXPECT_EQ(store_->TakeCensus()->jobs[core::JobState::kCompleted], 1u);
  const absl::Status undone = store_->Transact([](Transaction& transaction) {
    EXPECT_TRUE(*transaction.DeletePart("old", 100));
    return absl::UnavailableError("no");
  });
  EXPECT_TRUE(absl::IsUnavailable(undone));
  int parts = 0;
  for (bool gone = false; !gone; ++parts) {
    ASSERT_LT(parts, 9);
    Transact([&](Transaction& transaction) {
      ASSERT_THAT(*transaction.ExpiredJobs(9), ElementsAre("old"));
      gone = *transaction.DeletePart("old", 2);
    });
  }
  EXPECT_GE(parts, 3) << "at most two rows of a table at a time";
  Transact([&](Transaction& transaction) {
    EXPECT_THAT(*transaction.ExpiredJobs(9), IsEmpty());
    EXPECT_FALSE(transaction.GetJob("old")->has_value());
    EXPECT_FALSE(transaction.GetShard({"old", 2})->has_value());
    EXPECT_TRUE(transaction.InsertJob(JobRow("old")).ok()) << "nothing is left of it";
    EXPECT_TRUE(transaction.InsertShard(ShardRow("old", 0), "").ok());
    EXPECT_TRUE(transaction.InsertChunk("old", {1, 0, {}, ""}).ok());
  });
  EXPECT_EQ(store_->ReadByCommit("new", 0, 1000)->size(), 6u) << "others keep theirs";
}

// A job that tries some items of another again holds those alone.
TEST_P(StoreControlTest, GapsBetweenShardsArePassedOver) {
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(JobRow("job")).ok());
    for (const uint32_t number : {2, 5}) {
      Shard shard = ShardRow("job", number);
      shard.absent = core::Bitmap(10);
      shard.absent.Set(3);
      ASSERT_TRUE(transaction.InsertShard(shard, "items").ok());
    }
  });
  for (const auto& [index, shard] : {std::pair(0, 2), {20, 2}, {29, 2}, {30, 5}, {50, 5}, {59, 5}}) {
    const auto found = store_->ReadShardAt("job", static_cast<uint64_t>(index));
    ASSERT_TRUE(found.ok() && found->has_value()) << index;
    EXPECT_EQ((*found)->shard, static_cast<uint32_t>(shard)) << index;
    EXPECT_TRUE((*found)->absent.Get(3));
  }
  EXPECT_FALSE(store_->ReadShardAt("job", 60)->has_value());
}

TEST_P(StoreControlTest, SchedulesComeBackAndAreFoundWhenDue) {
  const auto at = [](int64_t micros) { return absl::FromUnixMicros(micros); };
  core::Schedule schedule;
  schedule.id = "a";
  schedule.owner = "o";
  schedule.display_name = "every hour";
  schedule.spec = std::string("s\0p", 3);
  schedule.source = std::string("\0", 1);
  schedule.priority = -2;
  schedule.every = absl::Hours(1);
  schedule.cron = "0 * * * *";
  schedule.next_time = at(20);
  schedule.create_time = at(7);
  Transact([&](Transaction& transaction) {
    EXPECT_EQ(*transaction.NextSchedule(), absl::InfiniteFuture());
    EXPECT_FALSE(transaction.GetSchedule("a")->has_value());
    EXPECT_TRUE(absl::IsNotFound(transaction.UpdateSchedule(schedule)));
    EXPECT_TRUE(absl::IsNotFound(transaction.DeleteSchedule("a")));
    ASSERT_TRUE(transaction.InsertSchedule(schedule).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(transaction.InsertSchedule(schedule)));
    core::Schedule other = schedule;
    other.id = "b";
    other.owner = "p";
    other.next_time = at(10);
    ASSERT_TRUE(transaction.InsertSchedule(other).ok());
    EXPECT_EQ(*transaction.NextSchedule(), at(10));
    other.paused = true;
    ASSERT_TRUE(transaction.UpdateSchedule(other).ok());
    EXPECT_EQ(*transaction.NextSchedule(), at(20));
    EXPECT_THAT(*transaction.DueSchedules(at(19), 9), IsEmpty());
    ASSERT_EQ(transaction.DueSchedules(at(20), 9)->size(), 1u);
    const core::Schedule back = transaction.DueSchedules(at(20), 9)->at(0);
    EXPECT_EQ(back.id, "a");
    EXPECT_EQ(back.owner, "o");
    EXPECT_EQ(back.display_name, "every hour");
    EXPECT_EQ(back.spec, schedule.spec);
    EXPECT_EQ(back.source, schedule.source);
    EXPECT_EQ(back.priority, -2);
    EXPECT_EQ(back.every, absl::Hours(1));
    EXPECT_EQ(back.cron, schedule.cron);
    EXPECT_EQ(back.next_time, at(20));
    EXPECT_EQ(back.last_job, "");
    EXPECT_EQ(back.create_time, at(7));
    schedule.next_time = at(30);
    schedule.last_job = "job";
    ASSERT_TRUE(transaction.UpdateSchedule(schedule).ok());
  });
  EXPECT_EQ((*store_->GetSchedule("a"))->last_job, "job");
  EXPECT_EQ(store_->ListSchedules("", "", 9)->at(0).id, "b") << "newest first";
  EXPECT_EQ(store_->ListSchedules("", "b", 9)->at(0).id, "a");
  EXPECT_EQ(store_->ListSchedules("p", "", 9)->size(), 1u);
  const absl::Status undone = store_->Transact([](Transaction& transaction) {
    EXPECT_TRUE(transaction.DeleteSchedule("a").ok());
    EXPECT_EQ(*transaction.NextSchedule(), absl::InfiniteFuture());
    return absl::UnavailableError("no");
  });
  EXPECT_TRUE(absl::IsUnavailable(undone));
  Transact([&](Transaction& transaction) {
    EXPECT_EQ(*transaction.NextSchedule(), at(30));
    ASSERT_TRUE(transaction.DeleteSchedule("a").ok());
  });
  EXPECT_FALSE(store_->GetSchedule("a")->has_value());
}

}  // namespace
}  // namespace imgfleet::store
