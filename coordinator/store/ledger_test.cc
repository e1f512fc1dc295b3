// The contract of the ledger, against every store.
#include "coordinator/store/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using core::JobState;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class LedgerTest : public testing::TestWithParam<StoreKind> {
 protected:
  LedgerTest() { Reopen(); }

  void Reopen() {
    ledger_.reset();
    ledger_ = std::make_unique<Ledger>(under_test_->Open(clock_), clock_, Ledger::Options());
  }

  // A job whose list is read: shards of these sizes.
  void MakeJob(const std::string& id, const std::vector<uint32_t>& shards) {
    ASSERT_TRUE(Create(*ledger_, id).ok());
    uint64_t index = 0;
    for (const uint32_t items : shards) {
      ASSERT_TRUE(Append(*ledger_, id, MakeNewShard(index, items)).ok());
      index += items;
    }
    ASSERT_TRUE(Finish(*ledger_, id).ok());
  }

  core::LeasedShard AcquireOne(const std::string& holder) {
    auto leased = Acquire(*ledger_, holder, 1);
    EXPECT_TRUE(leased.ok() && leased->size() == 1) << leased.status();
    return leased.ok() && !leased->empty() ? leased->front() : core::LeasedShard();
  }

  void Pass(absl::Duration by) {
    clock_.Advance(by);
    ASSERT_TRUE(Tick(*ledger_).ok());
  }

  core::Job JobNow(const std::string& id) {
    auto job = ledger_->GetJob(id);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : core::Job();
  }

  FakeClock clock_;
  const std::unique_ptr<StoreUnderTest> under_test_ = GetParam().make();
  std::unique_ptr<Ledger> ledger_;
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& info) { return info.param.name; });

TEST_P(LedgerTest, JobRunsFromCreationToCompletion) {
  MakeJob("job", {2, 3});
  const auto leased = Acquire(*ledger_, "w", 100);
  ASSERT_TRUE(leased.ok());
  ASSERT_THAT(*leased, SizeIs(2));
  EXPECT_EQ(leased->at(0).spec, "spec of job");
  EXPECT_EQ(leased->at(1).payload, "items from 2");
  EXPECT_EQ(leased->at(1).first_index, 2u);
  EXPECT_THAT(leased->at(1).offsets, ElementsAre(0, 1, 2));
  EXPECT_EQ(JobNow("job").state, JobState::kRunning);

  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased->at(0).lease, {1, 0})).code, CommitCode::kCommitted);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased->at(1).lease, {2})).code, CommitCode::kCommitted);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased->at(1).lease, {0, 1})).code, CommitCode::kCommitted);
  const core::Job job = JobNow("job");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.items, 5u);
  EXPECT_EQ(job.counts.succeeded, 5u);
  EXPECT_EQ(job.counts.fetched_bytes, 50u);
  EXPECT_EQ(job.last_commit_seq, 3u);
  EXPECT_EQ(job.end_time, clock_.Wall());

  const auto chunks = ledger_->ReadByCommit("job", 1, 1 << 20);
  ASSERT_TRUE(chunks.ok());
  ASSERT_THAT(*chunks, SizeIs(2));
  EXPECT_EQ(chunks->at(0).commit_seq, 2u);
  EXPECT_THAT(chunks->at(1).offsets, ElementsAre(0, 1));
  const auto shard = ledger_->ReadShardAt("job", 1);
  ASSERT_TRUE(shard.ok() && shard->has_value());
  EXPECT_TRUE((*shard)->complete);
  EXPECT_THAT((*shard)->chunks, SizeIs(1));
  EXPECT_FALSE(ledger_->ReadShardAt("job", 5)->has_value());
}

}  // namespace
}  // namespace imgfleet::store
