// Streams of workers through the services that ship.
#include <string>
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

TEST_F(CoordinatorTest, AnInvalidChunkLosesItsLease) {
  Start();
  Create(Inline(4));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100);
  const v1::Lease lease = worker.NextLease();
  v1::Chunk wrong = FakeWorker::ChunkOf(lease, {0, 1}, 1);
  wrong.set_offsets(1, 77);
  EXPECT_EQ(worker.Commit(wrong).code(), v1::Ack::INVALID);
  // Not even a right one is taken under it now.
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, {0, 1}, 2)).code(), v1::Ack::STALE);
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
        "imgfleet_coordinator_outcomes_total{reason=\"\"} 1",
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
