// The contract of the ledger, against every store.
#include "coordinator/store/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <mutex>
#include <utility>

#include "common/blob.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/store_testing.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

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

TEST_P(LedgerTest, JobWithoutItemsCompletesWhenRead) {
  MakeJob("job", {});
  EXPECT_EQ(JobNow("job").state, JobState::kCompleted);
}

TEST_P(LedgerTest, WrongSubmissionsAreRefused) {
  EXPECT_TRUE(absl::IsNotFound(ledger_->GetJob("job").status()));
  EXPECT_TRUE(absl::IsNotFound(Append(*ledger_, "job", MakeNewShard(0, 1))));
  EXPECT_TRUE(absl::IsNotFound(Finish(*ledger_, "job").status()));
  EXPECT_TRUE(absl::IsNotFound(CancelIt(*ledger_, "job").status()));
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  EXPECT_TRUE(Create(*ledger_, "job").ok()) << "the same again";
  EXPECT_TRUE(absl::IsAlreadyExists(Create(*ledger_, "job", "another source").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Append(*ledger_, "job", MakeNewShard(1, 1))));
  ASSERT_TRUE(Append(*ledger_, "job", MakeNewShard(0, 1)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Append(*ledger_, "job", MakeNewShard(0, 1))));
  ASSERT_TRUE(Finish(*ledger_, "job").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Append(*ledger_, "job", MakeNewShard(1, 1))));
}

TEST_P(LedgerTest, RowsKnownToBeBadHaveTheirOutcomeAtOnce) {
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  core::NewShard shard = MakeNewShard(0, 3);
  shard.known = {{0, 2}, "bad rows", {0, 2, 0, {{19, 2}}}};
  ASSERT_TRUE(Append(*ledger_, "job", shard).ok());
  EXPECT_EQ(JobNow("job").counts.reasons.at(19), 2u);
  EXPECT_THAT(AcquireOne("w").offsets, ElementsAre(1));
  core::NewShard all_bad = MakeNewShard(3, 1);
  all_bad.known = {{0}, "bad row", {0, 1, 0, {{19, 1}}}};
  ASSERT_TRUE(Append(*ledger_, "job", all_bad).ok());
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), IsEmpty());
  EXPECT_EQ(ledger_->ReadByCommit("job", 1, 1)->at(0).payload, "bad row");
}

TEST_P(LedgerTest, WorkBeginsWhileTheListIsRead) {
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  ASSERT_TRUE(Append(*ledger_, "job", MakeNewShard(0, 1)).ok());
  EXPECT_EQ(Commit(*ledger_, MakeChunk(AcquireOne("w").lease, {0})).code, CommitCode::kCommitted);
  EXPECT_EQ(JobNow("job").state, JobState::kReading);
  EXPECT_EQ(Finish(*ledger_, "job")->state, JobState::kCompleted);
  EXPECT_EQ(Finish(*ledger_, "job")->state, JobState::kCompleted) << "a repetition";
}

TEST_P(LedgerTest, EndedJobsLeaseNothingAndTakeNothing) {
  ASSERT_TRUE(Create(*ledger_, "broken").ok());
  ASSERT_TRUE(Append(*ledger_, "broken", MakeNewShard(0, 2)).ok());
  ASSERT_TRUE(Append(*ledger_, "broken", MakeNewShard(2, 2)).ok());
  const core::LeasedShard leased = AcquireOne("w");
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0})).code, CommitCode::kCommitted);
  EXPECT_EQ(Finish(*ledger_, "broken", absl::DataLossError("list cut at line 4"))->state, JobState::kFailed);
  EXPECT_EQ(JobNow("broken").failure, "list cut at line 4");
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {1})).code, CommitCode::kStale);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0})).code, CommitCode::kCommitted) << "a repetition";
  EXPECT_THAT(*Renew(*ledger_, "w", {leased.lease}), ElementsAre(leased.lease));
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), IsEmpty());

  MakeJob("cancelled", {1});
  EXPECT_EQ(CancelIt(*ledger_, "cancelled")->state, JobState::kCancelled);
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), IsEmpty());
  EXPECT_EQ(CancelIt(*ledger_, "broken")->state, JobState::kFailed);
  Pass(absl::Seconds(20));
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), IsEmpty()) << "a lapsed lease of an ended job came back";
}

TEST_P(LedgerTest, RoomIsRespectedAndTheFirstShardAlwaysFits) {
  MakeJob("job", {10, 10, 10});
  EXPECT_THAT(*Acquire(*ledger_, "w", 0), IsEmpty());
  EXPECT_THAT(*Acquire(*ledger_, "w", 1), SizeIs(1));
  EXPECT_THAT(*Acquire(*ledger_, "w", 15), SizeIs(1));
  EXPECT_THAT(*Acquire(*ledger_, "w", 15, /*bytes=*/1), SizeIs(1));
}

TEST_P(LedgerTest, TinyJobIsServedBesideAHugeOne) {
  MakeJob("a huge one", std::vector<uint32_t>(40, 10));
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), SizeIs(10));
  MakeJob("b tiny one", {1});
  EXPECT_EQ(AcquireOne("w").lease.shard.job_id, "b tiny one");
  MakeJob("c as huge", std::vector<uint32_t>(40, 10));
  const auto leased = Acquire(*ledger_, "w", 100);
  for (const core::LeasedShard& shard : *leased) EXPECT_EQ(shard.lease.shard.job_id, "c as huge");
  int of_a = 0;
  const auto more = Acquire(*ledger_, "w", 100);
  for (const core::LeasedShard& shard : *more) {
    of_a += shard.lease.shard.job_id == "a huge one" ? 1 : 0;
  }
  EXPECT_EQ(of_a, 5) << "equal shares";
}

TEST_P(LedgerTest, RepeatedChunkIsCommittedOnce) {
  MakeJob("job", {4});
  const core::LeasedShard leased = AcquireOne("w");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0, 1})).code, CommitCode::kCommitted);
  }
  const core::CommitAnswer partly = Commit(*ledger_, MakeChunk(leased.lease, {1, 2}));
  EXPECT_EQ(partly.code, CommitCode::kInvalid);
  EXPECT_FALSE(partly.message.empty());
  EXPECT_EQ(JobNow("job").counts.succeeded, 2u);
  EXPECT_EQ(JobNow("job").last_commit_seq, 1u);
}

TEST_P(LedgerTest, WorkerThatLostItsLeaseChangesNothing) {
  MakeJob("job", {2});
  const core::LeasedShard old = AcquireOne("paused");
  Pass(absl::Seconds(15));
  const core::LeasedShard now = AcquireOne("w");
  EXPECT_GT(now.lease.epoch, old.lease.epoch);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(old.lease, {0})).code, CommitCode::kStale);
  EXPECT_EQ(HandBack(*ledger_, old.lease).code, CommitCode::kStale);
  EXPECT_THAT(*Renew(*ledger_, "paused", {old.lease, now.lease}), ElementsAre(old.lease, now.lease));
  EXPECT_EQ(JobNow("job").last_commit_seq, 0u);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(now.lease, {0, 1})).code, CommitCode::kCommitted);
}

TEST_P(LedgerTest, LeaseHoldsForItsPeriodFromTheLastRenewal) {
  MakeJob("job", {2});
  const core::LeasedShard leased = AcquireOne("w");
  for (int i = 0; i < 5; ++i) {
    Pass(absl::Seconds(14));
    EXPECT_THAT(*Renew(*ledger_, "w", {leased.lease}), IsEmpty());
  }
  Pass(absl::Seconds(14));
  EXPECT_THAT(*Acquire(*ledger_, "other", 1), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(*Acquire(*ledger_, "other", 1), SizeIs(1));
}

TEST_P(LedgerTest, LateWorkerTakesUpALapsedLeaseThatNobodyElseGot) {
  MakeJob("job", {2});
  const core::LeasedShard leased = AcquireOne("w");
  Pass(absl::Seconds(60));
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0})).code, CommitCode::kCommitted);
  EXPECT_THAT(*Renew(*ledger_, "w", {leased.lease}), IsEmpty());
  EXPECT_THAT(*Acquire(*ledger_, "other", 1), IsEmpty());
}

TEST_P(LedgerTest, BrokenStreamFreesItsLeasesAfterTheGrace) {
  MakeJob("job", {2, 2});
  const core::LeasedShard kept = AcquireOne("w");
  const core::LeasedShard other = AcquireOne("bystander");
  ledger_->Disconnected("w");
  ASSERT_TRUE(Tick(*ledger_).ok());
  Pass(absl::Milliseconds(1900));
  EXPECT_THAT(*Acquire(*ledger_, "next", 1), IsEmpty());
  EXPECT_THAT(*Renew(*ledger_, "w", {kept.lease}), IsEmpty()) << "reconnected in time";
  Pass(absl::Seconds(3));
  EXPECT_THAT(*Acquire(*ledger_, "next", 1), IsEmpty());
  ledger_->Disconnected("w");
  ASSERT_TRUE(Tick(*ledger_).ok());
  Pass(absl::Seconds(2));
  const core::LeasedShard freed = AcquireOne("next");
  EXPECT_EQ(freed.lease.shard, kept.lease.shard);
  EXPECT_THAT(*Renew(*ledger_, "bystander", {other.lease}), IsEmpty());
}

TEST_P(LedgerTest, HandedBackShardWaitsForItsTime) {
  MakeJob("job", {3});
  const core::LeasedShard leased = AcquireOne("w");
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {1})).code, CommitCode::kCommitted);
  EXPECT_EQ(HandBack(*ledger_, leased.lease, absl::Seconds(5)).code, CommitCode::kCommitted);
  EXPECT_EQ(HandBack(*ledger_, leased.lease, absl::Seconds(5)).code, CommitCode::kCommitted)
      << "a repetition";
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0})).code, CommitCode::kStale);
  Pass(absl::Milliseconds(4999));
  EXPECT_THAT(*Acquire(*ledger_, "w", 1), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(AcquireOne("w").offsets, ElementsAre(0, 2));
}

TEST_P(LedgerTest, PoisonedItemEndsInternalAndItsNeighboursSucceed) {
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  v1::ItemBatch items;
  for (int i = 0; i < 16; ++i) items.add_items()->set_url(absl::StrCat("https://origin/", i));
  ASSERT_TRUE(Append(*ledger_, "job", {0, 16, PackBlob(items.SerializeAsString()), {}}).ok());
  ASSERT_TRUE(Finish(*ledger_, "job").ok());
  constexpr uint32_t kPoison = 5;
  for (int round = 0; round < 100 && JobNow("job").state == JobState::kRunning; ++round) {
    const std::string worker = absl::StrCat("w", round);
    ledger_->Returned(worker, {});
    const auto leased = Acquire(*ledger_, worker, 1);
    for (const core::LeasedShard& lease : *leased) {
      if (std::count(lease.offsets.begin(), lease.offsets.end(), kPoison) > 0) continue;
      EXPECT_EQ(Commit(*ledger_, MakeChunk(lease.lease, lease.offsets)).code, CommitCode::kCommitted);
    }
    ledger_->Disconnected(worker);
    Pass(absl::Seconds(15));
  }
  const core::Job job = JobNow("job");
  EXPECT_EQ(job.state, JobState::kCompleted);
  EXPECT_EQ(job.counts.succeeded, 15u);
  EXPECT_EQ(job.counts.reasons, (core::ReasonCounts{{v1::ItemError::INTERNAL, 1}}));
  const auto results = ledger_->ReadShardAt("job", 0);
  for (const core::StoredChunk& chunk : (*results)->chunks) {
    if (chunk.offsets != std::vector<uint32_t>{kPoison}) continue;
    v1::OutcomeChunk outcomes;
    ASSERT_TRUE(outcomes.ParseFromString(*UnpackBlob(chunk.payload)));
    ASSERT_EQ(outcomes.outcomes_size(), 1);
    EXPECT_EQ(outcomes.outcomes(0).index(), 5u);
    EXPECT_EQ(outcomes.outcomes(0).id(), "5");
    EXPECT_EQ(outcomes.outcomes(0).url(), "https://origin/5");
    EXPECT_EQ(outcomes.outcomes(0).error().reason(), v1::ItemError::INTERNAL);
  }
}

TEST_P(LedgerTest, ListenersHearOfChangesAndOfWork) {
  if (under_test_->shared()) GTEST_SKIP() << "hears more often";
  std::mutex mutex;
  std::vector<std::string> jobs;
  int work = 0;
  auto handle = ledger_->Listen([&](const Ledger::Changes& changes) {
    const std::lock_guard lock(mutex);
    jobs.insert(jobs.end(), changes.jobs.begin(), changes.jobs.end());
    work += changes.work_available ? 1 : 0;
  });
  const auto heard = [&] {
    const std::lock_guard lock(mutex);
    auto all = std::pair(std::exchange(jobs, {}), std::exchange(work, 0));
    return all;
  };
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  EXPECT_THAT(heard(), testing::Pair(ElementsAre("job"), 0));
  ASSERT_TRUE(Append(*ledger_, "job", MakeNewShard(0, 2)).ok());
  EXPECT_THAT(heard(), testing::Pair(ElementsAre("job"), 1));
  const core::LeasedShard leased = AcquireOne("w");
  EXPECT_THAT(heard(), testing::Pair(IsEmpty(), 0));
  EXPECT_EQ(Commit(*ledger_, MakeChunk(leased.lease, {0})).code, CommitCode::kCommitted);
  EXPECT_THAT(heard(), testing::Pair(ElementsAre("job"), 0));
  EXPECT_EQ(HandBack(*ledger_, leased.lease, absl::Seconds(1)).code, CommitCode::kCommitted);
  EXPECT_THAT(heard(), testing::Pair(IsEmpty(), 0));
  Pass(absl::Seconds(1));
  EXPECT_THAT(heard(), testing::Pair(IsEmpty(), 1)) << "not_before came";
  AcquireOne("w");
  Pass(absl::Seconds(15));
  EXPECT_THAT(heard(), testing::Pair(IsEmpty(), 1)) << "the lease lapsed";
  handle.reset();
  ASSERT_TRUE(CancelIt(*ledger_, "job").ok());
  EXPECT_THAT(heard(), testing::Pair(IsEmpty(), 0));
}

TEST_P(LedgerTest, ListenersHearOfOutcomesOnceAndOfLapsedLeases) {
  core::Counts outcomes;
  uint64_t lapsed = 0;
  const auto listening = ledger_->Listen([&](const Ledger::Changes& changes) {
    core::Add(outcomes, changes.outcomes);
    lapsed += changes.leases_lapsed;
  });
  MakeJob("job", {4});
  const core::LeasedShard shard = AcquireOne("w");
  for (int times = 0; times < 3; ++times) {
    EXPECT_EQ(Commit(*ledger_, MakeChunk(shard.lease, {0, 1})).code, CommitCode::kCommitted);
  }
  EXPECT_EQ(Commit(*ledger_, MakeChunk({shard.lease.shard, 0}, {2})).code, CommitCode::kStale);
  Pass(absl::Seconds(14));
  EXPECT_EQ(lapsed, 0u);
  Pass(absl::Seconds(2));
  EXPECT_EQ(lapsed, 1u);
  const core::LeasedShard again = AcquireOne("w");
  EXPECT_EQ(HandBack(*ledger_, again.lease, absl::Seconds(1)).code, CommitCode::kCommitted);
  Pass(absl::Seconds(60));
  ASSERT_TRUE(Tick(*ledger_).ok());
  EXPECT_EQ(lapsed, 1u) << "what was handed back has not lapsed";
  EXPECT_EQ(outcomes.succeeded, 2u) << "sent three times, committed once";
  EXPECT_EQ(outcomes.fetched_bytes, 20u);
}

TEST_P(LedgerTest, ListenerMayEndItselfAndAskInItsCall) {
  std::promise<core::Job> asked;
  std::shared_ptr<void> handle;
  handle = ledger_->Listen([&](const Ledger::Changes& changes) {
    handle.reset();
    ledger_->CancelJob(changes.jobs.at(0), [&](auto job) { asked.set_value(*job); });
  });
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  EXPECT_EQ(asked.get_future().get().state, JobState::kCancelled);
}

// Without Tick: the ledger looks at its clock by itself.
TEST_P(LedgerTest, LeasesLapseByThemselves) {
  ledger_.reset();
  Ledger::Options quick;
  quick.lease_period = absl::Milliseconds(5);
  ledger_ = std::make_unique<Ledger>(under_test_->Open(Clock::System()), Clock::System(), quick);
  MakeJob("job", {1});
  std::promise<void> freed;
  auto handle = ledger_->Listen([&, told = false](const Ledger::Changes& changes) mutable {
    if (changes.work_available && !std::exchange(told, true)) freed.set_value();
  });
  AcquireOne("w");
  freed.get_future().wait();
}

TEST_P(LedgerTest, ReadersPage) {
  for (const char* id : {"job 1", "job 2", "job 3"}) MakeJob(id, {1});
  const auto newest = ledger_->ListJobs("", "", 2);
  ASSERT_TRUE(newest.ok());
  ASSERT_THAT(*newest, SizeIs(2));
  EXPECT_EQ(newest->at(0).id, "job 3");
  const auto rest = ledger_->ListJobs("", newest->back().id, 2);
  ASSERT_THAT(*rest, SizeIs(1));
  EXPECT_EQ(rest->at(0).id, "job 1");
  EXPECT_EQ(rest->at(0).spec, "spec of job 1");
}

TEST_P(LedgerTest, RestartKeepsWhatWasAnswered) {
  if (!under_test_->durable()) GTEST_SKIP() << "ends with its process";
  MakeJob("job", {2, 2});
  const core::LeasedShard held = AcquireOne("w");
  const core::LeasedShard of_gone = AcquireOne("gone");
  ASSERT_TRUE(Create(*ledger_, "upload").ok());
  ASSERT_TRUE(Append(*ledger_, "upload", MakeNewShard(0, 2)).ok());
  ASSERT_TRUE(Create(*ledger_, "file", "file:/list").ok());
  EXPECT_EQ(Commit(*ledger_, MakeChunk(held.lease, {1})).code, CommitCode::kCommitted);

  Reopen();
  const auto reading = ledger_->JobsBeingRead();
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->at(0).source, "file:/list");
  if (under_test_->shared()) {
    // Whoever reads the upload may be well: only what lapsed is touched.
    EXPECT_EQ(JobNow("upload").state, JobState::kReading);
    ASSERT_TRUE(CancelIt(*ledger_, "upload").ok());
  } else {
    EXPECT_THAT(*reading, SizeIs(1));
    const core::Job upload = JobNow("upload");
    EXPECT_EQ(upload.state, JobState::kFailed);
    EXPECT_EQ(
        upload.failure,
        "the coordinator restarted while the list was being uploaded, after 2 items; submit the list again");
  }

  // Whoever comes back in time keeps what it held; the rest is free after the grace, or its period if others renew too.
  EXPECT_THAT(*Acquire(*ledger_, "next", 1), IsEmpty());
  EXPECT_THAT(*Renew(*ledger_, "w", {held.lease}), IsEmpty());
  EXPECT_EQ(Commit(*ledger_, MakeChunk(held.lease, {0})).code, CommitCode::kCommitted);
  Pass(absl::Seconds(under_test_->shared() ? 15 : 2));
  const core::LeasedShard freed = AcquireOne("next");
  EXPECT_EQ(freed.lease.shard, of_gone.lease.shard);
  EXPECT_GT(freed.lease.epoch, of_gone.lease.epoch);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(of_gone.lease, {0})).code, CommitCode::kStale);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(freed.lease, {0, 1})).code, CommitCode::kCommitted);
  EXPECT_EQ(JobNow("job").state, JobState::kCompleted);
}

}  // namespace
}  // namespace imgfleet::store
