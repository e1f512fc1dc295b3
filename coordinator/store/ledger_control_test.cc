// Job control: pauses, priorities, keys, quotas, readings that pass from one coordinator to the next, schedules, retention.
// On every store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using core::JobState;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LedgerControlTest : public testing::TestWithParam<StoreKind> {
 protected:
  // Opens the store (again) with the options as they are.
  void Open() {
    ledger_ = nullptr;
    ledger_ = std::make_unique<Ledger>(under_test_->Open(clock_), clock_, options_);
    listening_ = ledger_->Listen([this](const Ledger::Changes& changes) {
      absl::MutexLock lock(&mutex_);
      stopped_.insert(changes.stopped.begin(), changes.stopped.end());
      lists_waiting_ |= changes.lists_waiting;
    });
  }
  std::set<std::string> TakeStopped() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(stopped_, {});
  }
  // A job whose list is read, of `shards` shards of 10 items.
  void Make(const std::string& id, uint64_t shards) {
    ASSERT_TRUE(Create(*ledger_, id).ok());
    for (uint64_t n = 0; n < shards; ++n) ASSERT_TRUE(Append(*ledger_, id, MakeNewShard(10 * n, 10)).ok());
    ASSERT_TRUE(Finish(*ledger_, id).ok());
  }
  void Complete(const std::string& id) {
    for (int round = 0; round < 1000; ++round) {
      const auto leased = Acquire(*ledger_, "w", 100);
      for (const core::LeasedShard& shard : *leased) {
        EXPECT_EQ(Commit(*ledger_, MakeChunk(shard.lease, shard.offsets)).code, CommitCode::kCommitted);
      }
      if (core::Ended(ledger_->GetJob(id)->state)) return;
    }
    ADD_FAILURE() << id << " does not end";
  }
  core::NewJob Keyed(const std::string& id, const std::string& key, const std::string& hash) {
    core::NewJob job;
    job.id = id;
    job.owner = "owner";
    job.create_time = clock_.Wall();
    job.idempotency_key = key;
    job.request_hash = hash;
    return job;
  }
  size_t Jobs() { return ledger_->ListJobs("", "", 1000)->size(); }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    ASSERT_TRUE(Tick(*ledger_).ok());
  }

  FakeClock clock_;
  Ledger::Options options_;
  const std::unique_ptr<StoreUnderTest> under_test_ = GetParam().make();
  // The ledger's thread may tell what comes back from the store later, and a second time.
  absl::Mutex mutex_;
  std::set<std::string> stopped_ ABSL_GUARDED_BY(mutex_);
  bool lists_waiting_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Ledger> ledger_;
  std::shared_ptr<void> listening_;
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerControlTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& info) { return info.param.name; });

TEST_P(LedgerControlTest, PausingTakesLeasesBackAndCountsNoLoss) {
  Open();
  Make("job", 2);
  Make("other", 1);
  // Several times: losses in a row would make suspects of the items.
  for (int round = 0; round < 5; ++round) {
    const auto leased = Acquire(*ledger_, "w", 20);
    ASSERT_EQ(leased->size(), 2u);
    const auto mine = std::find_if(leased->begin(), leased->end(),
                                   [](const auto& shard) { return shard.lease.shard.job_id == "job"; });
    ASSERT_EQ(mine->offsets.size(), 10u) << "round " << round;
    EXPECT_TRUE(Pause(*ledger_, "job")->paused);
    EXPECT_THAT(TakeStopped(), ElementsAre("job"));
    EXPECT_EQ(Commit(*ledger_, MakeChunk(mine->lease, {0})).code, CommitCode::kStale);
    EXPECT_THAT(*Renew(*ledger_, "w", {mine->lease}), ElementsAre(mine->lease));
    EXPECT_EQ(HandBack(*ledger_, mine->lease).code, CommitCode::kStale);
    for (const core::LeasedShard& shard : *leased) {
      if (shard.lease.shard.job_id == "other") HandBack(*ledger_, shard.lease);
    }
    const auto while_paused = Acquire(*ledger_, "w", 100);
    ASSERT_EQ(while_paused->size(), 1u);
    EXPECT_EQ(while_paused->at(0).lease.shard.job_id, "other");
    HandBack(*ledger_, while_paused->at(0).lease);
    EXPECT_FALSE(Pause(*ledger_, "job", false)->paused);
  }
  if (GetParam().name != "Postgres") {
    EXPECT_THAT(TakeStopped(), IsEmpty()) << "resuming stops nothing";
  }
  Complete("job");
  EXPECT_EQ(ledger_->GetJob("job")->counts.failed, 0u);
}

TEST_P(LedgerControlTest, APausedJobsListIsReadOn) {
  Open();
  ASSERT_TRUE(Create(*ledger_, "job").ok());
  ASSERT_TRUE(Pause(*ledger_, "job").ok());
  ASSERT_TRUE(Append(*ledger_, "job", MakeNewShard(0, 10)).ok());
  EXPECT_EQ(Finish(*ledger_, "job")->state, JobState::kRunning);
  EXPECT_THAT(*Acquire(*ledger_, "w", 100), IsEmpty());
  ASSERT_TRUE(Pause(*ledger_, "job", false).ok());
  EXPECT_EQ(Acquire(*ledger_, "w", 100)->size(), 1u);
}

// A worker that was only late may not come back into a job that was paused since.
TEST_P(LedgerControlTest, ALapsedLeaseIsVoidWhileItsJobIsPaused) {
  Open();
  Make("job", 1);
  const core::LeaseRef lease = Acquire(*ledger_, "w", 10)->at(0).lease;
  Pass(absl::Seconds(16));
  ASSERT_TRUE(Pause(*ledger_, "job").ok());
  EXPECT_EQ(Renew(*ledger_, "w", {lease})->size(), 1u);
  EXPECT_EQ(Commit(*ledger_, MakeChunk(lease, {0})).code, CommitCode::kStale);
}

TEST_P(LedgerControlTest, EndedAndUnknownJobsAreNotControlled) {
  Open();
  Make("job", 1);
  EXPECT_TRUE(absl::IsInvalidArgument(Prioritize(*ledger_, "job", 5).status()));
  EXPECT_TRUE(CancelIt(*ledger_, "job").ok());
  EXPECT_THAT(TakeStopped(), ElementsAre("job"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Pause(*ledger_, "job").status()));
  EXPECT_TRUE(absl::IsNotFound(Pause(*ledger_, "no").status()));
  EXPECT_TRUE(absl::IsNotFound(Prioritize(*ledger_, "no", 0).status()));
}

TEST_P(LedgerControlTest, AStepOfPriorityIsTwiceTheShare) {
  Open();
  Make("a", 40);
  Make("b", 40);
  ASSERT_EQ(Prioritize(*ledger_, "b", 2)->priority, 2);
  std::map<std::string, size_t> items;
  for (int worker = 0; worker < 5; ++worker) {
    const auto leased = Acquire(*ledger_, absl::StrCat("w", worker), 50);
    for (const core::LeasedShard& shard : *leased) items[shard.lease.shard.job_id] += shard.offsets.size();
  }
  EXPECT_EQ(items["a"] + items["b"], 250u);
  EXPECT_NEAR(static_cast<double>(items["b"]), 4.0 * static_cast<double>(items["a"]), 40);
  EXPECT_GT(items["a"], 0u) << "starved";
}

TEST_P(LedgerControlTest, AKeyStandsForOneJobOfItsOwner) {
  Open();
  const auto first = Submit(*ledger_, Keyed("a", "key", "hash"), {MakeNewShard(0, 3)});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->state, JobState::kRunning);
  EXPECT_EQ(first->items, 3u);
  EXPECT_EQ(Submit(*ledger_, Keyed("b", "key", "hash"), {MakeNewShard(0, 3)})->id, "a");
  core::NewJob list = Keyed("c", "key", "hash");
  EXPECT_EQ(Await<absl::StatusOr<core::Job>>([&](auto done) { ledger_->CreateJob(list, done); })->id, "a");
  const auto differs = Submit(*ledger_, Keyed("b", "key", "other"), {MakeNewShard(0, 3)});
  EXPECT_TRUE(absl::IsAlreadyExists(differs.status()));
  EXPECT_THAT(differs.status().message(), HasSubstr("submit this under another key"));
  using Found = absl::StatusOr<std::optional<core::Job>>;
  const auto find = [&](core::NewJob job) {
    return Await<Found>([&](auto done) { ledger_->FindSubmitted(job, done); });
  };
  EXPECT_EQ((*find(Keyed("", "key", "hash")))->id, "a");
  EXPECT_FALSE(find(Keyed("", "unused", "hash"))->has_value());
  EXPECT_TRUE(absl::IsAlreadyExists(find(Keyed("", "key", "other")).status()));
  core::NewJob stranger = Keyed("d", "key", "other");
  stranger.owner = "somebody else";
  EXPECT_EQ(Submit(*ledger_, stranger, {MakeNewShard(0, 3)})->id, "d");
  EXPECT_EQ(Jobs(), 2u);
  if (under_test_->durable()) {
    Open();
    EXPECT_EQ(Submit(*ledger_, Keyed("b", "key", "hash"), {MakeNewShard(0, 3)})->id, "a")
        << "after a restart";
  }
}

TEST_P(LedgerControlTest, AQuotaOfJobsRefusesAndOneOfItemsThrottles) {
  ASSERT_TRUE(core::AddQuota("owner=jobs:2,items:25", options_.quotas).ok());
  Open();
  ASSERT_TRUE(Create(*ledger_, "a").ok());
  ASSERT_TRUE(Append(*ledger_, "a", MakeNewShard(0, 20)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Append(*ledger_, "a", MakeNewShard(20, 20))));
  EXPECT_TRUE(absl::IsResourceExhausted(Submit(*ledger_, Keyed("b", "", ""), {MakeNewShard(0, 6)}).status()));
  ASSERT_TRUE(Submit(*ledger_, Keyed("b", "", ""), {MakeNewShard(0, 5)}).ok());
  const auto third = Create(*ledger_, "c");
  EXPECT_TRUE(absl::IsResourceExhausted(third.status()));
  EXPECT_THAT(third.status().message(), HasSubstr("wait until one has ended"));
  Complete("b");
  EXPECT_TRUE(Create(*ledger_, "c").ok()) << "one has ended";
  EXPECT_TRUE(Append(*ledger_, "a", MakeNewShard(20, 20)).ok())
      << "nothing is open: the whole shard comes in";
  core::NewJob other = Keyed("d", "", "");
  other.owner = "unbounded";
  EXPECT_TRUE(Submit(*ledger_, other, {MakeNewShard(0, 1000)}).ok());
}

TEST_P(LedgerControlTest, AReadingPassesOnWhenItsCoordinatorIsGone) {
  options_.coordinator = "one";
  Open();
  ASSERT_TRUE(Create(*ledger_, "file", "a file").ok());
  ASSERT_TRUE(Create(*ledger_, "upload").ok());
  ASSERT_TRUE(Append(*ledger_, "file", MakeNewShard(0, 10)).ok());
  EXPECT_THAT(*KeepReadings(*ledger_), IsEmpty()) << "they are being read";
  for (int renewed = 0; renewed < 5; ++renewed) {
    Pass(absl::Seconds(10));
    EXPECT_THAT(*KeepReadings(*ledger_), IsEmpty());
  }
  // As a stopped process that goes on: the same ledger, after its time.
  Pass(absl::Seconds(16));
  const auto taken = KeepReadings(*ledger_);
  EXPECT_THAT(*taken, IsEmpty()) << "nobody else took them up, so they are still its own";
  if (!under_test_->durable()) return;
  // An exclusive store knows at once that the first is gone, another when its time is over.
  options_.coordinator = "two";
  Open();
  Pass(absl::Seconds(16));
  const auto found = KeepReadings(*ledger_);
  EXPECT_EQ(ledger_->GetJob("upload")->state, JobState::kFailed);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).id, "file");
  EXPECT_EQ(found->at(0).items, 10u);
  EXPECT_THAT(*KeepReadings(*ledger_), IsEmpty()) << "once";
  EXPECT_TRUE(Append(*ledger_, "file", MakeNewShard(10, 10)).ok());
  if (GetParam().name != "Postgres") return;
  // The first was not gone after all.
  options_.coordinator = "one";
  Open();
  EXPECT_TRUE(absl::IsAborted(Append(*ledger_, "file", MakeNewShard(20, 10))));
  EXPECT_TRUE(absl::IsAborted(Finish(*ledger_, "file").status()));
}

TEST_P(LedgerControlTest, WhatAListTurnedOutToBeIsKnownToWhoReadsItNext) {
  options_.coordinator = "one";
  Open();
  const auto set = [&](const char* id, const std::string& source) {
    return Await<absl::Status>([&](auto done) { ledger_->SetSource(id, source, done); });
  };
  const std::string known("a file\0of\xff bytes", 16);
  ASSERT_TRUE(Create(*ledger_, "a", "a file").ok());
  EXPECT_TRUE(set("a", known).ok());
  EXPECT_EQ(ledger_->GetJob("a")->source, known);
  ASSERT_TRUE(Append(*ledger_, "a", MakeNewShard(0, 10)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(set("a", "another"))) << "some of it is there";
  EXPECT_TRUE(absl::IsNotFound(set("b", "another")));
  if (!under_test_->durable()) return;
  options_.coordinator = "two";
  Open();
  Pass(absl::Seconds(16));
  const auto found = KeepReadings(*ledger_);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).source, known);
  if (GetParam().name != "Postgres") return;
  ASSERT_TRUE(Create(*ledger_, "c", "a file").ok());
  options_.coordinator = "one";
  Open();
  EXPECT_TRUE(absl::IsAborted(set("c", "another"))) << "the other one reads it";
}

core::Schedule Hourly(const std::string& id) {
  core::Schedule schedule;
  schedule.id = id;
  schedule.owner = "owner";
  schedule.source = "a file";
  schedule.every = absl::Hours(1);
  return schedule;
}

TEST_P(LedgerControlTest, ASchedulesJobsNeverOverlapAndAStandstillIsOneFiring) {
  Open();
  core::Schedule hourly = Hourly("s");
  hourly.create_time = clock_.Wall();
  hourly.priority = 1;
  using Answer = absl::StatusOr<core::Schedule>;
  const auto made = Await<Answer>([&](auto done) { ledger_->CreateSchedule(hourly, done); });
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->next_time, hourly.create_time + absl::Hours(1));
  Pass(absl::Minutes(59));
  EXPECT_EQ(Jobs(), 0u);
  Pass(absl::Minutes(1));
  ASSERT_EQ(Jobs(), 1u);
  {
    absl::MutexLock lock(&mutex_);
    EXPECT_TRUE(lists_waiting_);
  }
  const core::Job first = ledger_->ListJobs("", "", 1)->at(0);
  EXPECT_EQ(first.state, JobState::kReading);
  EXPECT_EQ(first.schedule, "s");
  EXPECT_EQ(first.owner, "owner");
  EXPECT_EQ(first.priority, 1);
  EXPECT_EQ(ledger_->GetSchedule("s")->last_job, first.id);
  ASSERT_EQ(KeepReadings(*ledger_)->size(), 1u) << "taken up at once";
  Pass(absl::Hours(5));
  EXPECT_EQ(Jobs(), 1u) << "the first has not ended";
  EXPECT_TRUE(Finish(*ledger_, first.id).ok());
  EXPECT_EQ(ledger_->GetJob(first.id)->state, JobState::kCompleted) << "an empty list";
  Pass(absl::Hours(7) + absl::Minutes(30));
  EXPECT_EQ(Jobs(), 2u) << "one firing, not seven";
  EXPECT_EQ(ledger_->GetSchedule("s")->next_time, hourly.create_time + absl::Hours(14)) << "on the grid";
  EXPECT_TRUE(CancelIt(*ledger_, ledger_->GetSchedule("s")->last_job).ok());
  ASSERT_TRUE(Await<Answer>([&](auto done) { ledger_->PauseSchedule("s", true, done); })->paused);
  Pass(absl::Hours(10));
  EXPECT_EQ(Jobs(), 2u) << "paused";
  const auto resumed = Await<Answer>([&](auto done) { ledger_->PauseSchedule("s", false, done); });
  EXPECT_GT(resumed->next_time, clock_.Wall());
  if (under_test_->durable()) {
    ledger_ = nullptr;
    clock_.Advance(absl::Hours(3));
    Open();
    ASSERT_TRUE(Tick(*ledger_).ok());
    EXPECT_EQ(Jobs(), 3u) << "once after a restart";
    EXPECT_TRUE(CancelIt(*ledger_, ledger_->GetSchedule("s")->last_job).ok());
    Pass(absl::Minutes(1));
    EXPECT_EQ(Jobs(), 3u);
  }
  const size_t jobs = Jobs();
  EXPECT_TRUE(Await<absl::Status>([&](auto done) { ledger_->DeleteSchedule("s", done); }).ok());
  EXPECT_TRUE(absl::IsNotFound(Await<absl::Status>([&](auto done) { ledger_->DeleteSchedule("s", done); })));
  Pass(absl::Hours(3));
  EXPECT_EQ(Jobs(), jobs);
  EXPECT_TRUE(absl::IsNotFound(ledger_->GetSchedule("s").status()));
}

TEST_P(LedgerControlTest, AScheduleThatSaysNoTimeIsRefused) {
  Open();
  core::Schedule never = Hourly("s");
  never.every = absl::ZeroDuration();
  const auto made =
      Await<absl::StatusOr<core::Schedule>>([&](auto done) { ledger_->CreateSchedule(never, done); });
  EXPECT_TRUE(absl::IsInvalidArgument(made.status()));
}

TEST_P(LedgerControlTest, RetentionDeletesWhatEndedLongAgoAndNothingElse) {
  options_.retention = absl::Hours(1);
  Open();
  Make("old", 300);
  Complete("old");
  Make("running", 2);
  const core::NewJob keyed = Keyed("keyed", "key", "hash");
  ASSERT_TRUE(Submit(*ledger_, keyed, {}).ok());
  Pass(absl::Minutes(59));
  Make("young", 1);
  ASSERT_TRUE(CancelIt(*ledger_, "young").ok());
  EXPECT_TRUE(ledger_->GetJob("old").ok());
  Pass(absl::Minutes(2));
  EXPECT_TRUE(absl::IsNotFound(ledger_->GetJob("old").status()));
  EXPECT_TRUE(absl::IsNotFound(ledger_->ReadShardAt("old", 0).status()));
  EXPECT_TRUE(absl::IsNotFound(ledger_->ReadByCommit("old", 0, 1).status()));
  EXPECT_TRUE(absl::IsNotFound(CancelIt(*ledger_, "old").status()));
  EXPECT_TRUE(ledger_->GetJob("young").ok());
  // While it goes slice by slice, others are served.
  const auto leased = Acquire(*ledger_, "w", 10);
  ASSERT_EQ(leased->size(), 1u);
  HandBack(*ledger_, leased->at(0).lease);
  EXPECT_EQ(Submit(*ledger_, Keyed("again", "key", "another"), {})->id, "again") << "the key is free again";
  for (int slice = 0; slice < 20; ++slice) Pass(absl::Milliseconds(20));
  EXPECT_EQ(Create(*ledger_, "old").status(), absl::OkStatus()) << "nothing is left of it";
  EXPECT_TRUE(Append(*ledger_, "old", MakeNewShard(0, 1)).ok());
  Complete("running");
  EXPECT_EQ(ledger_->GetJob("running")->counts.succeeded, 20u);
}

}  // namespace
}  // namespace imgfleet::store
