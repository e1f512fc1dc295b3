// The contract of stores: rows come back as they went in, queries find what they say, a failed transaction
// leaves nothing.
#include "coordinator/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/store/columns.h"
#include "coordinator/store/store_rows_testing.h"

namespace imgfleet::store {
namespace {

using core::Shard;
using core::ShardState;
using testing::ElementsAre;
using testing::IsEmpty;

class StoreTest : public StoreContractTest {};

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& info) { return info.param.name; });

TEST_P(StoreTest, RowsComeBackAsTheyWentIn) {
  core::JobRecord job = JobRow("job");
  job.job.owner = "o";
  job.job.source = std::string("\0s", 2);
  job.job.state = core::JobState::kFailed;
  job.job.failure = "because of ü";
  job.job.items = 1ull << 40;
  job.job.shards = 77;
  job.job.counts = {1, 2, 3, {{1, 5}, {24, 1ull << 40}}};
  job.job.last_commit_seq = 9;
  job.job.end_time = absl::FromUnixMicros(7'654'321);
  job.job.priority = -3;
  job.job.paused = true;
  job.job.parent = "p";
  job.job.absent = 6;
  job.job.idempotency_key = "k";
  job.job.request_hash = "h";
  job.job.schedule = "s";
  job.job.reader = "r";
  job.job.reader_due = absl::FromUnixMicros(5);
  job.leased_items = 12;
  job.ready_shards = 3;
  Shard shard = ShardRow("job", 5, ShardState::kLeased, absl::FromUnixMicros(99));
  shard.payload_bytes = 4;
  shard.epoch = 1ull << 40;
  shard.holder = "w";
  shard.lease_end = 8;
  shard.suspects_end = 4;
  shard.losses = 2;
  shard.excused = true;
  shard.put_offs = 4;
  shard.committed.Set(9);
  shard.absent = core::Bitmap(10);
  shard.absent.Set(9);
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(job).ok());
    ASSERT_TRUE(transaction.InsertShard(shard, absl::string_view("a\0b\0", 4)).ok());
  });
  Transact([&](Transaction& transaction) {
    const core::JobRecord got = **transaction.GetJob("job");
    EXPECT_EQ(got.job.owner, "o");
    EXPECT_EQ(got.job.spec, job.job.spec);
    EXPECT_EQ(got.job.source, job.job.source);
    EXPECT_EQ(got.job.state, core::JobState::kFailed);
    EXPECT_EQ(got.job.failure, job.job.failure);
    EXPECT_EQ(got.job.items, job.job.items);
    EXPECT_EQ(got.job.shards, 77u);
    EXPECT_EQ(got.job.counts.succeeded, 1u);
    EXPECT_EQ(got.job.counts.failed, 2u);
    EXPECT_EQ(got.job.counts.fetched_bytes, 3u);
    EXPECT_EQ(got.job.counts.reasons, job.job.counts.reasons);
    EXPECT_EQ(got.job.last_commit_seq, 9u);
    EXPECT_EQ(got.job.create_time, job.job.create_time);
    EXPECT_EQ(got.job.end_time, job.job.end_time);
    EXPECT_EQ(got.job.priority, -3);
    EXPECT_TRUE(got.job.paused);
    EXPECT_EQ(got.job.parent, "p");
    EXPECT_EQ(got.job.absent, 6u);
    EXPECT_EQ(got.job.idempotency_key, "k");
    EXPECT_EQ(got.job.request_hash, "h");
    EXPECT_EQ(got.job.schedule, "s");
    EXPECT_EQ(got.job.reader, "r");
    EXPECT_EQ(got.job.reader_due, job.job.reader_due);
    EXPECT_FALSE(got.job.expired);
    EXPECT_EQ(got.leased_items, 12u);
    EXPECT_EQ(got.ready_shards, 3u);
    const Shard back = **transaction.GetShard({"job", 5});
    EXPECT_EQ(back.first_index, 50u);
    EXPECT_EQ(back.items, 10u);
    EXPECT_EQ(back.payload_bytes, 4u);
    EXPECT_EQ(back.state, ShardState::kLeased);
    EXPECT_EQ(back.epoch, shard.epoch);
    EXPECT_EQ(back.holder, "w");
    EXPECT_EQ(back.due, shard.due);
    EXPECT_EQ(back.lease_end, 8u);
    EXPECT_EQ(back.suspects_end, 4u);
    EXPECT_EQ(back.losses, 2u);
    EXPECT_TRUE(back.excused);
    EXPECT_EQ(back.put_offs, 4u);
    EXPECT_EQ(back.committed, shard.committed);
    EXPECT_EQ(back.absent, shard.absent);
    EXPECT_EQ(*transaction.GetPayload({"job", 5}), std::string("a\0b\0", 4));
  });
  EXPECT_EQ((*store_->GetJob("job"))->spec, job.job.spec);
}

TEST_P(StoreTest, WhatIsNotThereIsSaid) {
  Transact([&](Transaction& transaction) {
    EXPECT_FALSE(transaction.GetJob("no")->has_value());
    EXPECT_FALSE(transaction.GetShard({"no", 0})->has_value());
    EXPECT_TRUE(absl::IsNotFound(transaction.GetPayload({"no", 0}).status()));
    ASSERT_TRUE(transaction.InsertJob(JobRow("job")).ok());
    EXPECT_TRUE(absl::IsAlreadyExists(transaction.InsertJob(JobRow("job"))));
    ASSERT_TRUE(transaction.InsertShard(ShardRow("job", 0), "").ok());
    ASSERT_TRUE(transaction.InsertChunk("job", {1, 0, {0}, ""}).ok());
    EXPECT_EQ(*transaction.NextDue(), absl::InfiniteFuture());
  });
  EXPECT_FALSE((*store_->GetJob("no")).has_value());
  EXPECT_FALSE((*store_->ReadShardAt("no", 0)).has_value());
  EXPECT_THAT(*store_->ReadByCommit("no", 0, 1), IsEmpty());
}

TEST_P(StoreTest, WritesThatCannotBeFailTheirTransaction) {
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(JobRow("job")).ok());
    ASSERT_TRUE(transaction.InsertShard(ShardRow("job", 0), "").ok());
    ASSERT_TRUE(transaction.InsertChunk("job", {1, 0, {0}, ""}).ok());
  });
  const auto fate = [&](absl::FunctionRef<absl::Status(Transaction&)> write) {
    return store_->Transact(write);
  };
  EXPECT_TRUE(absl::IsNotFound(fate([](Transaction& t) { return t.UpdateJob(JobRow("no")); })));
  EXPECT_TRUE(absl::IsNotFound(fate([](Transaction& t) { return t.UpdateSource("no", "a list"); })));
  EXPECT_TRUE(absl::IsNotFound(fate([](Transaction& t) { return t.UpdateShard(ShardRow("job", 1)); })));
  EXPECT_TRUE(
      absl::IsAlreadyExists(fate([](Transaction& t) { return t.InsertShard(ShardRow("job", 0), ""); })));
  EXPECT_TRUE(absl::IsAlreadyExists(fate([](Transaction& t) {
    return t.InsertChunk("job", {1, 0, {1}, ""});
  })));
}

// A worker or a client may ask for any name there is.
TEST_P(StoreTest, NamesThatCannotBeAreNotThere) {
  for (const std::string& name :
       {std::string("a\0b", 3), std::string("\xff\xfe"), std::string("\n"), std::string()}) {
    Transact([&](Transaction& transaction) {
      EXPECT_FALSE(transaction.GetJob(name)->has_value());
      EXPECT_FALSE(transaction.GetShard({name, 0})->has_value());
      EXPECT_TRUE(absl::IsNotFound(transaction.GetPayload({name, 0}).status()));
      EXPECT_FALSE(transaction.GetSchedule(name)->has_value());
      EXPECT_THAT(*transaction.LeasesOf(name), IsEmpty());
    });
    EXPECT_TRUE(
        store_->Transact({{name}, {{name, 3}}, {}}, [](Transaction&) { return absl::OkStatus(); }).ok());
    EXPECT_FALSE((*store_->GetJob(name)).has_value());
    EXPECT_FALSE((*store_->ReadShardAt(name, 1ull << 63)).has_value());
    EXPECT_THAT(*store_->ReadByCommit(name, 1ull << 63, 1), IsEmpty());
    EXPECT_FALSE((*store_->GetSchedule(name)).has_value());
  }
}

TEST_P(StoreTest, PayloadsComeInTheOrderAsked) {
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(JobRow("job")).ok());
    for (uint32_t i = 0; i < 9; ++i)
      ASSERT_TRUE(transaction.InsertShard(ShardRow("job", i), std::to_string(i)).ok());
    EXPECT_THAT(*transaction.GetPayloads({{"job", 7}, {"job", 0}, {"job", 3}}), ElementsAre("7", "0", "3"));
    EXPECT_THAT(*transaction.GetPayloads({}), IsEmpty());
    EXPECT_TRUE(absl::IsNotFound(transaction.GetPayloads({{"job", 7}, {"job", 9}}).status()));
  });
}

TEST_P(StoreTest, FailedTransactionLeavesNothing) {
  Transact([&](Transaction& transaction) {
    ASSERT_TRUE(transaction.InsertJob(JobRow("old")).ok());
    ASSERT_TRUE(transaction.InsertShard(ShardRow("old", 0), "items").ok());
  });
  const absl::Status failed = store_->Transact([&](Transaction& transaction) {
    core::JobRecord changed = JobRow("old");
    changed.ready_shards = 5;
    EXPECT_TRUE(transaction.UpdateJob(changed).ok());
    EXPECT_TRUE(transaction.UpdateSource("old", "another list").ok());
    EXPECT_TRUE(transaction.UpdateShard(ShardRow("old", 0, ShardState::kLeased)).ok());
    EXPECT_TRUE(transaction.InsertShard(ShardRow("old", 1), "").ok());
    EXPECT_TRUE(transaction.InsertChunk("old", {1, 0, {0}, ""}).ok());
    EXPECT_TRUE(transaction.InsertJob(JobRow("new")).ok());
    return absl::UnavailableError("no");
  });
  EXPECT_TRUE(absl::IsUnavailable(failed));
  Transact([&](Transaction& transaction) {
    EXPECT_FALSE(transaction.GetJob("new")->has_value());
    EXPECT_EQ((*transaction.GetJob("old"))->job.source, JobRow("old").job.source);
    EXPECT_FALSE(transaction.GetShard({"old", 1})->has_value());
    EXPECT_EQ((*transaction.GetShard({"old", 0}))->state, ShardState::kReady);
    EXPECT_THAT(*transaction.ReadyJobs(9), IsEmpty());
    EXPECT_THAT(Names(*transaction.ReadyShards("old", 9)), ElementsAre("old/0"));
    EXPECT_EQ(*transaction.NextDue(), absl::InfiniteFuture());
  });
  EXPECT_THAT(*store_->ReadByCommit("old", 0, 1), IsEmpty());
}

TEST_P(StoreTest, QueriesFindWhatTheySay) {
  const auto at = [](int64_t micros) { return absl::FromUnixMicros(micros); };
  Transact([&](Transaction& transaction) {
    core::JobRecord a = JobRow("a"), b = JobRow("b"), ended = JobRow("c"), idle = JobRow("d"), paused = idle;
    paused.job.id = "e";
    paused.job.paused = true;
    paused.job.state = core::JobState::kRunning;
    a.ready_shards = b.ready_shards = ended.ready_shards = paused.ready_shards = 1;
    a.leased_items = 7;
    ended.job.state = core::JobState::kCancelled;
    idle.job.state = core::JobState::kRunning;
    for (const core::JobRecord& job : {a, b, ended, idle, paused})
      ASSERT_TRUE(transaction.InsertJob(job).ok());
    Shard leased = ShardRow("a", 2, ShardState::kLeased, at(30));
    leased.holder = "w";
    for (const Shard& shard :
         {ShardRow("a", 1), leased, ShardRow("a", 0), ShardRow("b", 0),
          ShardRow("a", 3, ShardState::kDelayed, at(20)), ShardRow("a", 4, ShardState::kDone, at(10))}) {
      ASSERT_TRUE(transaction.InsertShard(shard, "").ok());
    }
    const auto ready = transaction.ReadyJobs(9);
    ASSERT_EQ(ready->size(), 2u);
    EXPECT_EQ(ready->at(0).job_id, "b");
    EXPECT_EQ(ready->at(1).turn, 7u << 4);
    EXPECT_EQ(transaction.ReadyJobs(1)->size(), 1u);
    EXPECT_THAT(Names(*transaction.ReadyShards("a", 9)), ElementsAre("a/0", "a/1"));
    EXPECT_THAT(Names(*transaction.ReadyShards("a", 1)), ElementsAre("a/0"));
    EXPECT_THAT(Names(*transaction.LeasesOf("w")), ElementsAre("a/2"));
    EXPECT_THAT(Names(*transaction.LeasesOf("")), IsEmpty());
    EXPECT_THAT(Names(*transaction.TimedShardsOf("a")), testing::UnorderedElementsAre("a/2", "a/3"));
    EXPECT_THAT(Names(*transaction.TimedShardsOf("b")), IsEmpty());
    EXPECT_THAT(Names(*transaction.DueShards(at(19), 9)), IsEmpty());
    EXPECT_THAT(Names(*transaction.DueShards(at(20), 9)), ElementsAre("a/3"));
    EXPECT_THAT(Names(*transaction.DueShards(absl::InfiniteFuture(), 9)), ElementsAre("a/3", "a/2"));
    EXPECT_EQ(*transaction.NextDue(), at(20));
    EXPECT_EQ(transaction.JobsBeingRead()->size(), 2u);
  });
  EXPECT_EQ(store_->JobsBeingRead()->at(1).id, "b");
}

TEST_P(StoreTest, CensusCountsJobsByStateAndLeases) {
  EXPECT_THAT(store_->TakeCensus()->jobs, IsEmpty());
  Transact([&](Transaction& transaction) {
    for (const auto& [id, state] :
         {std::pair{"a", core::JobState::kRunning}, std::pair{"b", core::JobState::kFailed},
          std::pair{"c", core::JobState::kRunning}}) {
      core::JobRecord record = JobRow(id);
      record.job.state = state;
      ASSERT_TRUE(transaction.InsertJob(record).ok());
    }
    uint32_t number = 0;
    for (const ShardState state :
         {ShardState::kReady, ShardState::kLeased, ShardState::kDelayed, ShardState::kLeased}) {
      ASSERT_TRUE(transaction.InsertShard(ShardRow("a", number++, state), "items").ok());
    }
  });
  const auto census = store_->TakeCensus();
  ASSERT_TRUE(census.ok()) << census.status();
  EXPECT_THAT(census->jobs,
              ElementsAre(std::pair(core::JobState::kRunning, 2u), std::pair(core::JobState::kFailed, 1u)));
  EXPECT_EQ(census->leases, 2u);
}

TEST_P(StoreTest, CensusCountsItemsThatWorkersAreOwedFor) {
  EXPECT_EQ(store_->TakeCensus()->items_pending, 0u);
  Transact([&](Transaction& transaction) {
    core::JobRecord reading = JobRow("a"), running = JobRow("b"), paused = JobRow("c"), ended = JobRow("d");
    reading.job.items = 10;
    reading.job.absent = 3;
    reading.job.counts.succeeded = 1;
    reading.job.counts.failed = 2;
    running.job.state = paused.job.state = core::JobState::kRunning;
    running.job.items = 100;
    paused.job.items = 1000;
    paused.job.paused = true;
    ended.job.state = core::JobState::kCancelled;
    ended.job.items = 10'000;
    for (const core::JobRecord& job : {reading, running, paused, ended})
      ASSERT_TRUE(transaction.InsertJob(job).ok());
  });
  EXPECT_EQ(store_->TakeCensus()->items_pending, 4u + 100u);
}

TEST_P(StoreTest, ChunksAreReadByCommitAndByShard) {
  Transact([&](Transaction& transaction) {
    core::JobRecord job = JobRow("job");
    job.job.items = 20;
    ASSERT_TRUE(transaction.InsertJob(job).ok());
    ASSERT_TRUE(transaction.InsertShard(ShardRow("job", 0, ShardState::kDone), "first").ok());
    ASSERT_TRUE(transaction.InsertShard(ShardRow("job", 1), "second").ok());
    ASSERT_TRUE(transaction.InsertChunk("job", {1, 1, {9, 0, 5}, std::string("\0a", 2)}).ok());
    ASSERT_TRUE(transaction.InsertChunk("job", {2, 0, {}, std::string(100, 'b')}).ok());
    ASSERT_TRUE(transaction.InsertChunk("job", {3, 1, {7}, "c"}).ok());
  });
  EXPECT_EQ(store_->ReadByCommit("job", 0, 0)->size(), 1u) << "at least one";
  EXPECT_EQ(store_->ReadByCommit("job", 0, 102)->size(), 2u);
  EXPECT_EQ(store_->ReadByCommit("job", 1, 1000)->at(1).payload, "c");
  const auto second = store_->ReadShardAt("job", 19);
  ASSERT_TRUE(second.ok() && second->has_value());
  EXPECT_EQ((*second)->shard, 1u);
  EXPECT_EQ((*second)->first_index, 10u);
  EXPECT_EQ((*second)->payload, "second");
  EXPECT_FALSE((*second)->complete);
  ASSERT_EQ((*second)->chunks.size(), 2u);
  EXPECT_THAT((*second)->chunks[0].offsets, ElementsAre(9, 0, 5));
  EXPECT_EQ((*second)->chunks[0].payload, std::string("\0a", 2));
  EXPECT_TRUE((*store_->ReadShardAt("job", 9))->complete);
  EXPECT_FALSE(store_->ReadShardAt("job", 20)->has_value());
}

TEST(Columns, OffsetsAndReasonsComeBack) {
  for (const std::vector<uint32_t>& offsets :
       {std::vector<uint32_t>{}, {0}, {5, 4, 3, 1000, 0}, {0xffffffff, 0, 0xffffffff}}) {
    EXPECT_EQ(*DecodeOffsets(EncodeOffsets(offsets)), offsets);
  }
  EXPECT_EQ(EncodeOffsets({0, 1, 2, 3}).size(), 4u);
  EXPECT_TRUE(absl::IsDataLoss(DecodeOffsets("\xff").status())) << "cut off";
  EXPECT_TRUE(absl::IsDataLoss(DecodeOffsets("\x01").status())) << "below zero";
  EXPECT_TRUE(absl::IsDataLoss(DecodeOffsets(std::string(20, '\xff')).status())) << "endless";
  EXPECT_EQ(EncodeReasons({{1, 5}, {24, 1}}), "1=5,24=1");
  EXPECT_TRUE(absl::IsDataLoss(DecodeReasons("1=5,x").status()));
}

}  // namespace
}  // namespace imgfleet::store
