#include "coordinator/service/work_session.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::service {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::WorkerMessage Hello(uint32_t min = 1, uint32_t max = 1) {
  v1::WorkerMessage message;
  message.mutable_hello()->set_protocol_min(min);
  message.mutable_hello()->set_protocol_max(max);
  message.mutable_hello()->set_worker_id("w");
  return message;
}

v1::WorkerMessage Report(uint32_t capacity, uint64_t last_lease = 0) {
  v1::WorkerMessage message;
  message.mutable_report()->set_capacity_items(capacity);
  message.mutable_report()->set_capacity_bytes(1 << 20);
  message.mutable_report()->set_last_lease_number(last_lease);
  return message;
}

void Hold(v1::WorkerMessage* report, uint32_t shard, uint64_t epoch, uint32_t items) {
  v1::HeldLease* held = report->mutable_report()->add_held();
  held->mutable_shard()->set_job_id("job");
  held->mutable_shard()->set_shard(shard);
  held->set_lease_epoch(epoch);
  held->set_items(items);
  held->set_bytes(10);
}

core::LeaseRef Ref(uint32_t shard, uint64_t epoch) { return {{"job", shard}, epoch}; }

core::LeasedShard Leased(uint32_t shard, uint64_t epoch, uint32_t items) {
  core::LeasedShard leased;
  leased.lease = Ref(shard, epoch);
  leased.payload = "0123456789";
  for (uint32_t i = 0; i < items; ++i) leased.offsets.push_back(i);
  return leased;
}

v1::WorkerMessage ChunkOf(uint32_t shard, uint64_t epoch, std::vector<uint32_t> offsets) {
  v1::WorkerMessage message;
  v1::Chunk* chunk = message.mutable_chunk();
  chunk->mutable_shard()->set_job_id("job");
  chunk->mutable_shard()->set_shard(shard);
  chunk->set_lease_epoch(epoch);
  chunk->mutable_offsets()->Add(offsets.begin(), offsets.end());
  chunk->set_payload("blob");
  chunk->set_succeeded(static_cast<uint32_t>(offsets.size()));
  chunk->set_chunk_number(7);
  return message;
}

template <typename Call>
std::vector<Call> CallsOf(const WorkSession::Output& output) {
  std::vector<Call> calls;
  for (const LedgerCall& call : output.calls) {
    if (const auto* one = std::get_if<Call>(&call)) calls.push_back(*one);
  }
  return calls;
}

// Those for whatever job has its turn, not only for the spare part.
std::vector<AcquireCall> MainAcquires(const WorkSession::Output& output) {
  std::vector<AcquireCall> calls = CallsOf<AcquireCall>(output);
  std::erase_if(calls, [](const AcquireCall& call) { return call.credit.items == 0; });
  return calls;
}

class WorkSessionTest : public ::testing::Test {
 protected:
  WorkSession session_{WorkSession::Options{}};
};

TEST_F(WorkSessionTest, WelcomesAndWaitsForAReport) {
  session_.Received(Hello(1, 3));
  const WorkSession::Output output = session_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_EQ(output.send[0].welcome().protocol(), 1u);
  EXPECT_EQ(output.send[0].welcome().lease_period().seconds(), 15);
  EXPECT_THAT(output.calls, IsEmpty());
}

TEST_F(WorkSessionTest, EndsTheStreamWithoutASharedVersion) {
  session_.Received(Hello(2, 3));
  const WorkSession::Output output = session_.Take();
  ASSERT_TRUE(output.end.has_value());
  EXPECT_EQ(output.end->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(output.send, IsEmpty());
}

TEST_F(WorkSessionTest, NothingCountsBeforeAHelloAndOnlyOneDoes) {
  session_.Received(Report(10));
  EXPECT_EQ(session_.Take().end->code(), absl::StatusCode::kFailedPrecondition);
  WorkSession other{WorkSession::Options{}};
  other.Received(Hello());
  other.Received(Hello());
  EXPECT_EQ(other.Take().end->code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(WorkSessionTest, LeasesNeverExceedTheCreditByMoreThanOneSlice) {
  session_.Received(Hello());
  session_.Received(Report(100));
  uint64_t leased = 0;
  for (uint32_t shard = 0;; ++shard) {
    const auto calls = MainAcquires(session_.Take());
    if (calls.empty()) break;
    EXPECT_LE(calls[0].credit.items, 22u);
    session_.Acquired(std::vector<core::LeasedShard>{Leased(shard, 1, 16)});
    leased += 16;
  }
  EXPECT_EQ(leased, 80u);  // With 80 of 88 held less than a quarter is free; 12 are spare.
}

TEST_F(WorkSessionTest, CreditCountsWhatTheReportHoldsAndWhatIsOnItsWay) {
  session_.Received(Hello());
  v1::WorkerMessage report = Report(100);
  Hold(&report, 0, 4, 60);
  session_.Received(report);
  EXPECT_THAT(MainAcquires(session_.Take()), IsEmpty()) << "what it brought may have to be alone";
  session_.Renewed(core::VoidLeases());
  EXPECT_THAT(MainAcquires(session_.Take()), SizeIs(1));
  session_.Acquired(std::vector<core::LeasedShard>{Leased(1, 1, 25)});
  EXPECT_THAT(MainAcquires(session_.Take()), IsEmpty());
  session_.Received(report);  // Sent before lease 1 came: it still counts.
  EXPECT_THAT(MainAcquires(session_.Take()), IsEmpty());
  session_.Acquired(std::vector<core::LeasedShard>{});  // Nothing for the spare part.
  v1::WorkerMessage later = Report(100, 1);
  Hold(&later, 1, 1, 25);
  session_.Received(later);
  EXPECT_THAT(MainAcquires(session_.Take()), SizeIs(1));
}

TEST_F(WorkSessionTest, AsksAgainOnlyWhenThereMayBeWork) {
  session_.Received(Hello());
  session_.Received(Report(100));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
  session_.Acquired(std::vector<core::LeasedShard>{});
  session_.Received(Report(100));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  session_.WorkAvailable();
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
  session_.WorkAvailable();  // While the question is under way.
  session_.Acquired(std::vector<core::LeasedShard>{});
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
}

TEST_F(WorkSessionTest, AFailedAcquireIsTriedAgainWithTheNextReport) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.Acquired(absl::UnavailableError("disk"));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  session_.Received(Report(100));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
}

TEST_F(WorkSessionTest, TheSparePartIsForJobsOfWhichLittleIsHeld) {
  session_.Received(Hello());
  v1::WorkerMessage report = Report(4096);
  Hold(&report, 0, 4, 3584);
  session_.Received(report);
  session_.Renewed(core::VoidLeases());
  auto calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].credit.items, 0u);
  EXPECT_EQ(calls[0].credit.spare_items, 512u);
  EXPECT_EQ(calls[0].credit.spare_items_of_job, 64u);
  EXPECT_THAT(calls[0].credit.sated, ::testing::ElementsAre("job"));
  // Nothing for it now: it is asked again when there may be, and the rest when there is room.
  session_.Acquired(std::vector<core::LeasedShard>{});
  EXPECT_THAT(session_.Take().calls, IsEmpty());
  session_.WorkAvailable();
  core::LeasedShard tiny = Leased(0, 1, 1);
  tiny.lease.shard.job_id = "tiny";
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
  session_.Acquired(std::vector<core::LeasedShard>{tiny});
  calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].credit.spare_items, 511u);
}

TEST_F(WorkSessionTest, WhatIsCommittedMakesRoomBeforeTheNextReport) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 80)});
  EXPECT_EQ(session_.room(), 20u);
  EXPECT_THAT(MainAcquires(session_.Take()), IsEmpty());
  session_.Committed(Ref(0, 3), 7, 30, {});
  EXPECT_EQ(session_.room(), 50u);
  EXPECT_THAT(MainAcquires(session_.Take()), IsEmpty());  // The question about the spare part is under way.
  session_.Acquired(std::vector<core::LeasedShard>{});
  EXPECT_THAT(MainAcquires(session_.Take()), SizeIs(1));
  session_.Committed(Ref(0, 3), 8, 50, {});
  EXPECT_EQ(session_.room(), 100u);
  EXPECT_EQ(session_.leases(), 0u);
}

// A slow worker leaves items for those that come later; a fast one is soon given what it can hold.
TEST_F(WorkSessionTest, AWorkerThatSaysHowManyItWorksOnHoldsLittleMoreThanItBrings) {
  const auto says = [](uint32_t concurrency, uint64_t last_lease, std::vector<uint32_t> held) {
    v1::WorkerMessage report = Report(4096, last_lease);
    report.mutable_report()->set_concurrency(concurrency);
    for (uint32_t shard = 0; shard < held.size(); ++shard) Hold(&report, shard, 1, held[shard]);
    return report;
  };
  uint32_t shards = 0;
  const auto leased = [&] {
    uint64_t items = 0;
    for (auto calls = MainAcquires(session_.Take()); !calls.empty(); calls = MainAcquires(session_.Take())) {
      session_.Acquired(std::vector<core::LeasedShard>{Leased(shards++, 1, 8)});
      items += 8;
    }
    session_.Acquired(std::vector<core::LeasedShard>{});
    return items;
  };
  session_.Received(Hello());
  session_.Received(says(20, 0, {}));
  EXPECT_EQ(leased(), 24u) << "of 30, in quarters";
  for (uint32_t shard = 0; shard < 2; ++shard) session_.Committed(Ref(shard, 1), 7, 8, {});
  EXPECT_EQ(leased(), 48u) << "it brought 16: of 64, with the 8 that it has";
  session_.Received(says(20, shards, {0, 0, 8, 8, 8, 8, 8, 8, 8}));
  session_.Renewed(core::VoidLeases());
  EXPECT_EQ(leased(), 0u) << "what it brought before the report counts until the next";
  session_.Received(says(20, shards, {0, 0, 8}));
  session_.Received(says(20, shards, {0, 0, 8}));
  EXPECT_EQ(leased(), 16u) << "it has brought nothing for two reports: of 30, with the 8 that it has";
  session_.Received(says(0, shards, {0, 0, 8}));
  EXPECT_GT(leased(), 2000u) << "origins bound it: all that it can hold";
}

TEST_F(WorkSessionTest, AChunkThatComesTwiceMakesRoomOnce) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 80)});
  for (int i = 0; i < 3; ++i) session_.Committed(Ref(0, 3), 7, 30, {});
  EXPECT_EQ(session_.room(), 50u);
  EXPECT_EQ(session_.leases(), 1u);
}

TEST_F(WorkSessionTest, TheExpressLaneHasALedgerOfItsOwnAndWaitsForNoOther) {
  session_.Received(Hello());
  session_.Received(Report(100));
  auto calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));  // Under way at the durable one.
  EXPECT_EQ(calls[0].lane, Lane::kDurable);
  session_.WorkAvailable(Lane::kExpress);
  calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].lane, Lane::kExpress);
  EXPECT_EQ(calls[0].credit.items, 0u);
  EXPECT_EQ(calls[0].credit.spare_items, 100u);
  core::LeasedShard shard = Leased(0, 1, 2);
  shard.lease.shard.job_id = ExpressId("1");
  session_.Acquired(std::vector<core::LeasedShard>{shard}, Lane::kExpress);
  const WorkSession::Output output = session_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_TRUE(output.send[0].lease().urgent());
  EXPECT_GT(output.send[0].lease().put_offs(), 5u);
  EXPECT_THAT(CallsOf<AcquireCall>(output), SizeIs(1));  // Until it says that there is no more.
  session_.Acquired(std::vector<core::LeasedShard>{}, Lane::kExpress);
  EXPECT_THAT(session_.Take().calls, IsEmpty());
  // Each lease is renewed where it is.
  v1::WorkerMessage report = Report(100, 1);
  Hold(&report, 0, 4, 1);
  Hold(&report, 0, 1, 1);
  report.mutable_report()->mutable_held(1)->mutable_shard()->set_job_id(ExpressId("1"));
  session_.Received(report);
  const auto renews = CallsOf<RenewCall>(session_.Take());
  ASSERT_THAT(renews, SizeIs(2));
  EXPECT_EQ(renews[0].lane, Lane::kDurable);
  EXPECT_EQ(renews[1].lane, Lane::kExpress);
  EXPECT_EQ(renews[1].held[0].shard.job_id, ExpressId("1"));
}

TEST_F(WorkSessionTest, ADrainingWorkerGetsNothing) {
  session_.Received(Hello());
  v1::WorkerMessage report = Report(100);
  report.mutable_report()->set_draining(true);
  session_.Received(report);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  EXPECT_TRUE(session_.draining());
}

TEST_F(WorkSessionTest, RenewsWhatIsHeldAndRevokesWhatIsVoid) {
  session_.Received(Hello());
  v1::WorkerMessage report = Report(0);
  Hold(&report, 0, 4, 1);
  Hold(&report, 1, 5, 1);
  session_.Received(report);
  const auto renews = CallsOf<RenewCall>(session_.Take());
  ASSERT_THAT(renews, SizeIs(1));
  EXPECT_THAT(renews[0].held, ::testing::ElementsAre(Ref(0, 4), Ref(1, 5)));
  session_.Renewed(std::vector<core::LeaseRef>{Ref(1, 5)});
  const WorkSession::Output output = session_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_EQ(output.send[0].revoke().lease_epoch(), 5u);
  EXPECT_EQ(session_.leases(), 1u);
}

TEST_F(WorkSessionTest, ALeaseThatGotLostIsGivenUp) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 4), Leased(1, 3, 4), Leased(2, 3, 4)});
  session_.Received(ChunkOf(1, 3, {0, 1, 2, 3}));
  session_.Committed(Ref(1, 3), 7, 4, {});
  session_.Take();
  // 0 was begun and is gone, 1 is finished, 2 is still on its way.
  session_.Received(Report(100, 2));
  const auto backs = CallsOf<HandBackCall>(session_.Take());
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].lease, Ref(0, 3));
  EXPECT_FALSE(backs[0].answer);
  EXPECT_EQ(session_.leases(), 1u);
}

TEST_F(WorkSessionTest, EveryChunkIsAnsweredByItsCode) {
  struct Case {
    core::CommitCode code;
    v1::Ack::Code ack;
  };
  for (const auto& [code, ack] :
       {Case{core::CommitCode::kCommitted, v1::Ack::COMMITTED},
        Case{core::CommitCode::kStale, v1::Ack::STALE}, Case{core::CommitCode::kInvalid, v1::Ack::INVALID},
        Case{core::CommitCode::kRetry, v1::Ack::RETRY}}) {
    WorkSession session{WorkSession::Options{}};
    session.Received(Hello());
    session.Received(ChunkOf(0, 3, {2, 5}));
    const auto commits = CallsOf<CommitCall>(session.Take());
    ASSERT_THAT(commits, SizeIs(1));
    EXPECT_EQ(commits[0].chunk.counts.succeeded, 2u);
    EXPECT_EQ(commits[0].chunk.lease, Ref(0, 3));
    session.Committed(Ref(0, 3), 7, 2, {code, "why"});
    const WorkSession::Output output = session.Take();
    ASSERT_THAT(output.send, SizeIs(1));
    EXPECT_EQ(output.send[0].ack().code(), ack);
    EXPECT_EQ(output.send[0].ack().chunk_number(), 7u);
    EXPECT_FALSE(output.end.has_value());  // The stream lives on, whatever the code.
  }
}

TEST_F(WorkSessionTest, AChunkThatContradictsItselfNeverReachesTheLedger) {
  session_.Received(Hello());
  v1::WorkerMessage empty = ChunkOf(0, 3, {});
  v1::WorkerMessage large = ChunkOf(0, 3, std::vector<uint32_t>(257));
  v1::WorkerMessage bare = ChunkOf(0, 3, {1});
  bare.mutable_chunk()->clear_payload();
  v1::WorkerMessage miscounted = ChunkOf(0, 3, {1});
  miscounted.mutable_chunk()->set_succeeded(2);
  for (const auto& message : {empty, large, bare, miscounted}) {
    session_.Received(message);
    const WorkSession::Output output = session_.Take();
    EXPECT_THAT(output.calls, IsEmpty());
    ASSERT_THAT(output.send, SizeIs(message.has_hello() ? 0 : output.send.size()));
    EXPECT_EQ(output.send.back().ack().code(), v1::Ack::INVALID);
  }
}

TEST_F(WorkSessionTest, AnInvalidChunkCostsItsLeaseAndNoOther) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 4), Leased(1, 8, 4)});
  session_.Take();
  // Refused by the ledger.
  session_.Received(ChunkOf(0, 3, {99}));
  session_.Committed(Ref(0, 3), 7, 1, {core::CommitCode::kInvalid, "offset 99"});
  auto backs = CallsOf<HandBackCall>(session_.Take());
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].lease, Ref(0, 3));
  EXPECT_GT(backs[0].not_before, absl::ZeroDuration());
  EXPECT_FALSE(backs[0].answer);
  EXPECT_EQ(session_.leases(), 1u);
  // Of an epoch that is not this worker's: somebody else's lease, perhaps.
  session_.Received(ChunkOf(1, 9, {}));
  EXPECT_THAT(CallsOf<HandBackCall>(session_.Take()), IsEmpty());
  EXPECT_EQ(session_.leases(), 1u);
  // Refused before the ledger saw it.
  session_.Received(ChunkOf(1, 8, {}));
  backs = CallsOf<HandBackCall>(session_.Take());
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].lease, Ref(1, 8));
  EXPECT_EQ(session_.leases(), 0u);
}

TEST_F(WorkSessionTest, AnEndedJobIsRevoked) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 4)});
  session_.Take();
  session_.JobEnded("another");
  EXPECT_THAT(session_.Take().send, IsEmpty());
  session_.JobEnded("job");
  const WorkSession::Output output = session_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_EQ(output.send[0].revoke().lease_epoch(), 3u);
}

TEST_F(WorkSessionTest, ShardsLeasedToAnEndedStreamGoBack) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.End(absl::UnavailableError("old"));
  session_.Acquired(std::vector<core::LeasedShard>{Leased(0, 3, 4)});
  const WorkSession::Output output = session_.Take();
  EXPECT_THAT(output.send, IsEmpty());
  EXPECT_THAT(CallsOf<HandBackCall>(output), SizeIs(1));
}

}  // namespace
}  // namespace imgfleet::service
