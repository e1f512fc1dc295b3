// Streams of workers through the services that ship.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/coordinator_testing.h"

namespace imgfleet {
namespace {

using ::testing::HasSubstr;

TEST_F(CoordinatorTest, RepeatedAndStaleChunksChangeNothingAndTheStreamLivesOn) {
  Start();
  const v1::Job job = Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  const v1::Chunk chunk = FakeWorker::ChunkOf(lease, {0, 1}, 1);
  EXPECT_EQ(worker.Commit(chunk).code(), v1::Ack::COMMITTED);
  EXPECT_EQ(worker.Commit(chunk).code(), v1::Ack::COMMITTED);
  EXPECT_EQ(Get(job.id()).succeeded(), 2u);
  v1::Chunk stale = FakeWorker::ChunkOf(lease, {2}, 2);
  stale.set_lease_epoch(lease.lease_epoch() - 1);
  EXPECT_EQ(worker.Commit(stale).code(), v1::Ack::STALE);
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, {2, 3}, 3)).code(), v1::Ack::COMMITTED);
  ExpectIndices(Results(job.id()), 0, 4);
}

TEST_F(CoordinatorTest, MetricsSayWhatTheLedgerHolds) {
  Start();
  Create(Inline(3));
  ASSERT_TRUE(Cancel(Create(Inline(1)).id()).ok());
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  const v1::Chunk chunk = FakeWorker::ChunkOf(lease, {0}, 1);
  worker.Commit(chunk);
  worker.Commit(chunk);
  worker.Commit(FakeWorker::ChunkOf(lease, {1}, 2, true));
  v1::Chunk stale = FakeWorker::ChunkOf(lease, {2}, 3);
  stale.set_lease_epoch(lease.lease_epoch() - 1);
  worker.Commit(stale);
  const std::string text = metrics_.Render();
  for (const char* line :
       {"imgfleet_coordinator_jobs{state=\"RUNNING\"} 1", "imgfleet_coordinator_jobs{state=\"CANCELLED\"} 1",
        "imgfleet_coordinator_jobs{state=\"FAILED\"} 0", "imgfleet_coordinator_leases 1",
        "imgfleet_coordinator_items_pending 1", "imgfleet_coordinator_outcomes_total{reason=\"\"} 1",
        "imgfleet_coordinator_outcomes_total{reason=\"TIMEOUT\"} 1",
        "imgfleet_coordinator_chunks_total{code=\"STALE\"} 1", "imgfleet_coordinator_leases_lapsed_total 0",
        "imgfleet_coordinator_chunk_commit_seconds_count 4"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(CoordinatorTest, AReconnectKeepsTheLeaseAndEndsTheOlderStream) {
  Start();
  const v1::Job job = Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  FakeWorker again(channel_, "w");
  EXPECT_TRUE(again.Read().has_welcome());
  EXPECT_EQ(worker.End().error_code(), grpc::StatusCode::ABORTED);
  again.Report(100, {lease});
  EXPECT_EQ(again.Commit(FakeWorker::ChunkOf(lease, {0, 1, 2, 3}, 1)).code(), v1::Ack::COMMITTED);
  EXPECT_EQ(Get(job.id()).state(), v1::Job::COMPLETED);
}

// With a clock of its own. The ledger looks at it whenever it is asked something.
class LapseTest : public CoordinatorTest {
 protected:
  LapseTest() { clock_ = &time_; }
  ~LapseTest() override { coordinator_.reset(); }  // Before its clock.

  // Lets time pass in small steps, at most `limit`, while `other` asks something at each; returns when a lease came
  // to it, or the limit.
  absl::Duration PassUntilLeased(FakeWorker& other, v1::Lease any, absl::Duration limit) {
    any.set_lease_epoch(0);
    const v1::Chunk stale = FakeWorker::ChunkOf(any, {0}, 1);
    absl::Duration passed;
    for (; passed < limit && !other.HasLeases(); passed += absl::Milliseconds(10)) {
      time_.Advance(absl::Milliseconds(10));
      EXPECT_EQ(other.Commit(stale).code(), v1::Ack::STALE);
    }
    return passed;
  }

  FakeClock time_;
};

TEST_F(LapseTest, AnInvalidChunkLosesItsLease) {
  Start();
  Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  worker.Report(0, {lease}, 1);  // Takes nothing more.
  FakeWorker other(channel_, "other");
  other.Read();
  other.Report(100);
  v1::Chunk wrong = FakeWorker::ChunkOf(lease, {0, 1}, 1);
  wrong.set_offsets(1, 77);
  EXPECT_EQ(worker.Commit(wrong).code(), v1::Ack::INVALID);
  const absl::Duration passed = PassUntilLeased(other, lease, absl::Minutes(1));
  EXPECT_GE(passed, absl::Seconds(5)) << "time for others to take its place";
  EXPECT_LT(passed, absl::Seconds(15)) << "it waited for the lease to lapse";
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, {0, 1}, 2)).code(), v1::Ack::STALE);
}

TEST_F(LapseTest, AStreamThatBreaksFreesItsLeasesAfterTheGrace) {
  Start();
  Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  FakeWorker other(channel_, "other");
  other.Read();
  other.Report(100);
  worker.Break();
  const absl::Duration passed = PassUntilLeased(other, lease, absl::Minutes(1));
  EXPECT_GE(passed, absl::Seconds(2));
  EXPECT_LT(passed, absl::Seconds(15)) << "it waited for the lease to lapse";
  EXPECT_EQ(other.NextLease().shard().shard(), lease.shard().shard());
}

TEST_F(LapseTest, ANewerStreamKeepsWhatItBringsAlongAndFreesTheRest) {
  Start();
  Create(Inline(20));
  FakeWorker older(channel_, "w");
  older.Read();
  older.Report(1000);
  const v1::Lease first = older.NextLease();  // The other lease is lost on the way.
  auto newer = std::make_unique<FakeWorker>(channel_, "w");
  newer->Read();
  newer->Report(16, {first});
  FakeWorker other(channel_, "other");
  other.Read();
  other.Report(1000);
  (void)PassUntilLeased(other, first, absl::Milliseconds(10));
  older.Break();
  const absl::Duration passed = PassUntilLeased(other, first, absl::Minutes(1));
  EXPECT_LT(passed, absl::Seconds(10));
  const v1::Lease second = other.NextLease();
  EXPECT_EQ(second.shard().shard(), 1u);
  other.DoAll(second);
  // However the end of a stream and the first report on the next one meet.
  for (int round = 0; round < 8; ++round) {
    const auto before = std::exchange(newer, std::make_unique<FakeWorker>(channel_, "w"));
    newer->Report(16, {first});
    EXPECT_TRUE(newer->Read().has_welcome());
    EXPECT_EQ(PassUntilLeased(other, first, absl::Seconds(3)), absl::Seconds(3)) << round;
  }
  EXPECT_EQ(newer->Commit(FakeWorker::ChunkOf(first, Offsets(0, 16), 1)).code(), v1::Ack::COMMITTED);
}

TEST_F(CoordinatorTest, AWorkerOfAnotherVersionIsToldSo) {
  Start();
  FakeWorker worker(channel_, "w", 9);
  const grpc::Status status = worker.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("speaks 9 to 9"));
}

TEST_F(CoordinatorTest, NoMoreIsLeasedThanThereIsCreditFor) {
  Start();
  Create(Inline(3000));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(60);
  uint32_t held = 0;
  std::vector<v1::Lease> leases;
  // 16, then 32: less than a quarter of 60 is free then.
  for (int i = 0; i < 2; ++i) {
    leases.push_back(worker.NextLease());
    held += static_cast<uint32_t>(leases.back().offsets_size());
  }
  EXPECT_EQ(held, 48u);
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(leases[0], Offsets(0, 16), 1)).code(), v1::Ack::COMMITTED);
  EXPECT_FALSE(worker.HasLeases());  // Nothing came before the answer.
  worker.Report(60, {leases[1]}, 2);
  EXPECT_EQ(worker.NextLease().lease_number(), 3u);
}

TEST_F(CoordinatorTest, WorkersThatWaitGetWorkAsSoonAsThereIsSome) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  Create(Inline(1));
  EXPECT_EQ(worker.NextLease().offsets_size(), 1);
}

TEST_F(CoordinatorTest, AnOldStreamEndsSoThatLoadSpreads) {
  options_.max_stream_age = absl::Milliseconds(50);
  Start();
  FakeWorker worker(channel_, "w");
  const grpc::Status status = worker.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("age"));
}

TEST_F(CoordinatorTest, AWorkerThatHasSaidAllIsAnsweredToTheEnd) {
  Start();
  Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  worker.Send(FakeWorker::ChunkOf(lease, {0, 1, 2, 3}, 1));
  worker.CloseSending();
  EXPECT_EQ(worker.Read().ack().code(), v1::Ack::COMMITTED);
  EXPECT_TRUE(worker.End().ok());
}

}  // namespace
}  // namespace imgfleet
