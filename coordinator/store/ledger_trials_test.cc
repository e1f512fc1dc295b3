// Trials of suspects, as the ledger holds them: who gets them, and what counts (core/shard.h, core/trials.h).
#include <memory>
#include <string>
#include <vector>

#include "common/blob.h"
#include "coordinator/core/shard.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/memory_store.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/worker.pb.h"

namespace imgfleet::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LedgerTrialsTest : public ::testing::Test {
 protected:
  void SubmitJob(const std::string& id, std::vector<uint32_t> shards) {
    core::NewJob job;
    job.id = id;
    job.create_time = clock_.Wall();
    std::vector<core::NewShard> made;
    uint64_t index = 0;
    for (const uint32_t items : shards) {
      v1::ItemBatch batch;
      for (uint32_t i = 0; i < items; ++i) batch.add_items()->set_url("http://h/");
      made.push_back({index, items, PackBlob(batch.SerializeAsString()), {}});
      index += items;
    }
    ledger_->SubmitJob(job, made, [](const absl::StatusOr<core::Job>& done) { ASSERT_TRUE(done.ok()); });
    Turn();
  }
  void Turn() {
    while (ledger_->Turn()) {
    }
  }
  void Pass(absl::Duration time) {
    for (; time > absl::ZeroDuration(); time -= absl::Seconds(1)) {
      clock_.Advance(absl::Seconds(1));
      Turn();
    }
  }
  void Come(const std::string& worker) {
    ledger_->Returned(worker, {});
    Turn();
  }
  void Die(const std::string& worker) {
    ledger_->Disconnected(worker);
    Turn();
  }
  core::Leases Ask(const std::string& worker, bool idle, uint64_t items = 1000) {
    core::Credit credit;
    credit.idle = idle;
    credit.items = items;
    credit.bytes = 1 << 20;
    core::Leases answer;
    ledger_->Acquire(worker, credit, [&](const absl::StatusOr<core::Leases>& leases) { answer = *leases; });
    Turn();
    return answer;
  }
  void Commit(const core::LeasedShard& lease) {
    ledger_->CommitChunk(MakeChunk(lease.lease, lease.offsets), [](const core::CommitAnswer& answer) {
      ASSERT_EQ(answer.code, core::CommitCode::kCommitted);
    });
    Turn();
  }
  // Until the job's only item is on trial for the first time. `bystander` is there all the time.
  void Accuse(const std::string& id, const std::string& bystander) {
    Come(bystander);
    Pass(absl::Seconds(10));
    SubmitJob(id, {1});
    for (uint32_t lost = 0; lost < core::kMaxLosses; ++lost) LoseTo(absl::StrCat("early", lost));
  }
  void LoseTo(const std::string& worker) {
    Come(worker);
    ASSERT_THAT(Ask(worker, true), SizeIs(1));
    Die(worker);
    Pass(absl::Seconds(3));
  }
  core::Job Now(const std::string& id) { return *ledger_->GetJob(id); }

  FakeClock clock_;
  std::unique_ptr<Ledger> ledger_ =
      std::make_unique<Ledger>(NewMemoryStore(clock_), clock_, Ledger::Options(), Ledger::Turned::kByHand);
};

TEST_F(LedgerTrialsTest, ABusyWorkerRunsDryForASuspectAndGetsItAlone) {
  Accuse("job", "a");
  Come("b");
  SubmitJob("more", {1, 1, 1, 1, 1, 1});
  const core::Leases busy = Ask("a", false, 2);
  EXPECT_THAT(busy, SizeIs(2)) << "other work";
  EXPECT_TRUE(busy.run_dry);
  EXPECT_FALSE(Ask("b", false, 1).run_dry) << "one worker at a time";
  EXPECT_TRUE(Ask("a", false).run_dry);
  for (const core::LeasedShard& lease : busy) Commit(lease);
  const core::Leases alone = Ask("a", true);
  ASSERT_THAT(alone, SizeIs(1));
  EXPECT_TRUE(alone[0].alone);
  EXPECT_EQ(alone[0].lease.shard.job_id, "job");
  Commit(alone[0]);
  EXPECT_EQ(Now("job").counts.succeeded, 1u);
  EXPECT_FALSE(Ask("a", true).at(0).alone) << "other work again";
}

TEST_F(LedgerTrialsTest, TheGuiltyOneIsGivenUpAfterThreeDeathsThatAreCertain) {
  Accuse("job", "a");
  for (uint32_t lost = 0; lost < core::kMaxLosses; ++lost) {
    EXPECT_EQ(Now("job").counts.failed, 0u);
    LoseTo(absl::StrCat("late", lost));
    EXPECT_THAT(Ask("a", true), IsEmpty()) << "in question";
    Pass(absl::Seconds(15));
  }
  Ask("a", false);
  EXPECT_EQ(Now("job").counts.reasons, (core::ReasonCounts{{v1::ItemError::INTERNAL, 1}}));
}

TEST_F(LedgerTrialsTest, AFleetThatDiesTogetherMakesNobodyGuilty) {
  Accuse("job", "a0");
  for (int round = 0; round < 10; ++round) {
    const std::string next = absl::StrCat("a", round + 1), tries = absl::StrCat("late", round);
    Come(tries);
    Pass(absl::Seconds(10));
    ASSERT_THAT(Ask(tries, true), SizeIs(1));
    Die(tries);
    Die(absl::StrCat("a", round));
    Come(next);
    Pass(absl::Seconds(18));
  }
  Ask("a10", false);
  EXPECT_EQ(Now("job").counts.failed, 0u);
  const core::Leases alone = Ask("a10", true);
  ASSERT_THAT(alone, SizeIs(1));
  Commit(alone[0]);
  EXPECT_EQ(Now("job").counts.succeeded, 1u);
}

TEST_F(LedgerTrialsTest, AWorkerThatIsCutOffAndComesBackMakesNobodyGuilty) {
  Accuse("job", "a");
  for (int round = 0; round < 10; ++round) {
    const std::string tries = absl::StrCat("late", round);
    LoseTo(tries);
    Pass(absl::Seconds(10));
    Come(tries);
    Die(tries);
  }
  Ask("a", false);
  EXPECT_EQ(Now("job").counts.failed, 0u);
}

TEST_F(LedgerTrialsTest, ATrialIsRenewedAsWhatItIs) {
  Accuse("job", "a");
  const core::Leases alone = Ask("a", true);
  ASSERT_THAT(alone, SizeIs(1));
  std::vector<core::LeaseRef> said;
  ledger_->Renew("a", {alone[0].lease}, [&](const absl::StatusOr<core::VoidLeases>& lost) {
    EXPECT_THAT(*lost, IsEmpty());
    said = lost->alone;
  });
  Turn();
  EXPECT_THAT(said, ElementsAre(alone[0].lease));
}

// A job's suspects stand before all else in it, and jobs of suspects before other jobs.
TEST_F(LedgerTrialsTest, SuspectsHoldUpNobody) {
  Come("a");
  Pass(absl::Seconds(10));
  SubmitJob("job", std::vector<uint32_t>(20, 1));
  for (uint32_t lost = 0; lost < core::kMaxLosses; ++lost) {
    const std::string worker = absl::StrCat("early", lost);
    Come(worker);
    ASSERT_THAT(Ask(worker, true, 20), SizeIs(20));
    Die(worker);
    Pass(absl::Seconds(3));
  }
  Come("b");
  SubmitJob("more", {4, 4});
  ASSERT_THAT(Ask("a", true), SizeIs(1)) << "a trial";
  const core::Leases others = Ask("b", true);
  ASSERT_THAT(others, SizeIs(2));
  EXPECT_EQ(others[0].lease.shard.job_id, "more");
  EXPECT_FALSE(others.run_dry);
  EXPECT_TRUE(others.suspects);
}

TEST_F(LedgerTrialsTest, ALedgerWithoutTrialsTellsOfSuspects) {
  Ledger::Options options;
  options.holds_trials = false;
  ledger_ = std::make_unique<Ledger>(NewMemoryStore(clock_), clock_, options, Ledger::Turned::kByHand);
  std::vector<std::string> suspected;
  const auto listening =
      ledger_->Listen([&](const Ledger::Changes& changes) { suspected = changes.suspected; });
  Accuse("job", "a");
  EXPECT_THAT(Ask("a", true), IsEmpty());
  EXPECT_THAT(suspected, ElementsAre("job"));
  EXPECT_EQ(Now("job").counts.failed, 0u);
}

}  // namespace
}  // namespace imgfleet::store
