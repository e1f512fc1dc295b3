#include "worker/agent/agent.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/agent_testing.h"

namespace imgfleet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AgentTest, GreetsThenReportsItsRoom) {
  agent_.Connected(now_);
  Agent::Output output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_EQ(output.send[0].hello().worker_id(), "w");
  EXPECT_EQ(output.send[0].hello().protocol_min(), 1u);
  agent_.Received(Welcome(), now_);
  output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(1));
  EXPECT_EQ(output.send[0].report().capacity_items(), 8u);
  EXPECT_THAT(output.send[0].report().held(), IsEmpty());
}

TEST_F(AgentTest, SaysHowManyItWorksOnUnlessOriginsBoundItTwiceInARow) {
  const auto reported = [this] {
    now_ += absl::Seconds(5);
    agent_.Tick(now_);
    const Agent::Output output = agent_.Take();
    return Reports(output).at(0).concurrency();
  };
  agent_.SetLoad(4, false);
  agent_.Connected(now_);
  agent_.Received(Welcome(), now_);
  const Agent::Output output = agent_.Take();
  EXPECT_EQ(Reports(output).at(0).concurrency(), 4u);
  agent_.SetLoad(4, true);
  EXPECT_EQ(reported(), 4u) << "it may be between two items";
  EXPECT_EQ(reported(), 0u);
  agent_.SetLoad(4, false);
  EXPECT_EQ(reported(), 4u);
}

TEST_F(AgentTest, NothingIsTakenBeforeTheWelcome) {
  agent_.Connected(now_);
  agent_.Received(LeaseOf(0, 1, 1, 2), now_);
  EXPECT_TRUE(agent_.idle());
}

TEST_F(AgentTest, StartsItemsAndSendsTheFinishedShardAtOnce) {
  Connect();
  agent_.Received(LeaseOf(3, 9, 1, 5, {1, 4}), now_);
  Agent::Output output = agent_.Take();
  ASSERT_THAT(output.leases, SizeIs(1));
  ASSERT_THAT(output.start, SizeIs(2));
  EXPECT_EQ(output.start[1].index, 3004u);
  EXPECT_EQ(output.start[1].item.url(), "http://h/3/4");
  Finish(output.start[1]);
  EXPECT_THAT(Chunks(agent_.Take()), IsEmpty());
  Finish(output.start[0]);
  output = agent_.Take();
  const std::vector<v1::Chunk> chunks = Chunks(output);
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(chunks[0].offsets(), ElementsAre(4, 1));
  EXPECT_EQ(chunks[0].lease_epoch(), 9u);
  EXPECT_EQ(chunks[0].succeeded(), 2u);
  EXPECT_EQ(chunks[0].fetched_bytes(), 20u);
  v1::OutcomeChunk outcomes;
  ASSERT_TRUE(outcomes.ParseFromString(*UnpackBlob(chunks[0].payload())));
  ASSERT_EQ(outcomes.outcomes_size(), 2);
  EXPECT_EQ(outcomes.outcomes(0).index(), 3004u);
  EXPECT_FALSE(agent_.idle());
  agent_.Received(AckOf(chunks[0], v1::Ack::COMMITTED), now_);
  EXPECT_TRUE(agent_.idle());
}

TEST_F(AgentTest, CountsFailuresByReason) {
  Connect();
  agent_.Received(LeaseOf(0, 1, 1, 2), now_);
  for (const auto& item : agent_.Take().start) {
    v1::Outcome outcome;
    outcome.mutable_error()->set_reason(v1::ItemError::TIMEOUT);
    agent_.Finished(item.lease, item.offset, PackTo(outcome, &buffer_), now_);
  }
  const auto chunks = Chunks(agent_.Take());
  ASSERT_THAT(chunks, SizeIs(1));
  ASSERT_EQ(chunks[0].failures_size(), 1);
  EXPECT_EQ(chunks[0].failures(0).reason(), v1::ItemError::TIMEOUT);
  EXPECT_EQ(chunks[0].failures(0).count(), 2u);
  EXPECT_EQ(chunks[0].succeeded(), 0u);
}

TEST_F(AgentTest, SendsAChunkWhenItIsFullOrOld) {
  Connect();
  agent_.Received(LeaseOf(0, 1, 1, 7), now_);
  const Agent::Output output = agent_.Take();
  for (int i = 0; i < 4; ++i) Finish(output.start[i]);
  EXPECT_THAT(Chunks(agent_.Take()), SizeIs(1));
  Finish(output.start[4]);
  EXPECT_EQ(agent_.NextWake(), now_ + absl::Milliseconds(100));
  now_ += absl::Milliseconds(99);
  agent_.Tick(now_);
  EXPECT_THAT(Chunks(agent_.Take()), IsEmpty());
  now_ += absl::Milliseconds(1);
  agent_.Tick(now_);
  EXPECT_THAT(Chunks(agent_.Take()), SizeIs(1));
}

TEST_F(AgentTest, ALargeShardWaitsForRoom) {
  Connect();
  agent_.Received(LeaseOf(0, 1, 1, 20), now_);
  Agent::Output output = agent_.Take();
  EXPECT_THAT(output.start, SizeIs(7));  // The last eighth is for other jobs.
  Finish(output.start[0]);
  output = agent_.Take();
  ASSERT_THAT(output.start, SizeIs(1));
  EXPECT_EQ(output.start[0].offset, 7u);
  EXPECT_THAT(output.leases, IsEmpty());  // Announced once.
}

TEST_F(AgentTest, KeepsItsLeasesOverAReconnectAndSendsChunksAgain) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 6), now_);
  const Agent::Output started = agent_.Take();
  for (int i = 0; i < 4; ++i) Finish(started.start[i]);
  const auto sent = Chunks(agent_.Take());
  ASSERT_THAT(sent, SizeIs(1));
  agent_.Disconnected();
  now_ += absl::Seconds(2);
  Connect();
  const Agent::Output output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(3));  // Hello, then what is held, then what was not acknowledged.
  ASSERT_EQ(output.send[1].report().held_size(), 1);
  EXPECT_EQ(output.send[1].report().held(0).lease_epoch(), 5u);
  EXPECT_EQ(output.send[1].report().held(0).items(), 6u);
  EXPECT_EQ(output.send[1].report().last_lease_number(), 0u);
  EXPECT_EQ(output.send[2].chunk().SerializeAsString(), sent[0].SerializeAsString());
  EXPECT_THAT(output.abandon, IsEmpty());
  agent_.Received(AckOf(sent[0], v1::Ack::COMMITTED), now_);
  agent_.Received(AckOf(sent[0], v1::Ack::COMMITTED), now_);  // Both sendings are answered.
  EXPECT_EQ(agent_.outstanding(), 2u);
}

TEST_F(AgentTest, AbandonsALeaseItCouldNotRenewForItsPeriod) {
  Connect();
  agent_.Take();
  now_ += absl::Seconds(3);
  agent_.Received(LeaseOf(0, 5, 1, 6), now_);
  EXPECT_THAT(agent_.Take().start, SizeIs(6));
  agent_.Disconnected();
  // The report before the lease was sent three seconds ago; that is where its period counts from.
  EXPECT_EQ(agent_.NextWake(), now_ + absl::Seconds(12));
  agent_.Tick(now_ + absl::Seconds(12) - absl::Milliseconds(1));
  EXPECT_FALSE(agent_.idle());
  agent_.Tick(now_ + absl::Seconds(12));
  EXPECT_TRUE(agent_.idle());
  EXPECT_EQ(agent_.running(), 0u);
  EXPECT_THAT(agent_.Take().abandon, ElementsAre(1));
}

TEST_F(AgentTest, ReportsRenewAtTheInterval) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 6), now_);
  agent_.Take();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(agent_.NextWake(), now_ + absl::Seconds(5));
    now_ += absl::Seconds(5);
    agent_.Tick(now_);
    const auto reports = Reports(agent_.Take());
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_EQ(reports[0].held_size(), 1);
    EXPECT_EQ(reports[0].last_lease_number(), 1u);
  }
}

TEST_F(AgentTest, ReportsAsSoonAsAQuarterOfTheRoomCameBack) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 1), now_);
  agent_.Received(LeaseOf(1, 5, 2, 1), now_);
  Agent::Output output = agent_.Take();
  Finish(output.start[0]);
  agent_.Received(AckOf(Chunks(agent_.Take()).at(0), v1::Ack::COMMITTED), now_);
  EXPECT_THAT(Reports(agent_.Take()), IsEmpty());
  Finish(output.start[1]);
  agent_.Received(AckOf(Chunks(agent_.Take()).at(0), v1::Ack::COMMITTED), now_);
  EXPECT_THAT(Reports(agent_.Take()), SizeIs(1));
}

TEST_F(AgentTest, AVoidLeaseStopsItsItemsAndSendsNothingMore) {
  struct Case {
    const char* name;
    v1::Ack::Code code;
  };
  for (const auto& [name, code] : {Case{"stale", v1::Ack::STALE}, Case{"invalid", v1::Ack::INVALID}}) {
    Agent agent(SmallOptions());
    agent.Connected(now_);
    agent.Received(Welcome(), now_);
    agent.Received(LeaseOf(0, 5, 1, 6), now_);
    agent.Received(LeaseOf(1, 5, 2, 1), now_);
    const Agent::Output started = agent.Take();
    for (int i = 0; i < 4; ++i) {
      agent.Finished(started.start[i].lease, started.start[i].offset, PackTo(OutcomeOf(i), &buffer_), now_);
    }
    agent.Received(AckOf(Chunks(agent.Take()).at(0), code), now_);
    Agent::Output output = agent.Take();
    EXPECT_THAT(output.abandon, ElementsAre(1)) << name;
    agent.Finished(started.start[4].lease, started.start[4].offset, PackTo(OutcomeOf(4), &buffer_), now_);
    now_ += absl::Seconds(1);
    agent.Tick(now_);
    EXPECT_THAT(Chunks(agent.Take()), IsEmpty()) << name;
    EXPECT_EQ(agent.leases(), 1u) << name;  // The other lease lives on.
  }
}

TEST_F(AgentTest, RevokeCountsForItsEpochOnly) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 2), now_);
  agent_.Received(RevokeOf(0, 4), now_);
  EXPECT_EQ(agent_.leases(), 1u);
  agent_.Received(RevokeOf(0, 5), now_);
  EXPECT_TRUE(agent_.idle());
}

TEST_F(AgentTest, ANewerEpochReplacesTheLeaseAnOlderOneIsIgnored) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 2), now_);
  agent_.Take();
  agent_.Received(LeaseOf(0, 4, 2, 2), now_);
  agent_.Received(LeaseOf(0, 5, 3, 2), now_);
  EXPECT_THAT(agent_.Take().start, IsEmpty());
  agent_.Received(LeaseOf(0, 6, 4, 2), now_);
  const Agent::Output output = agent_.Take();
  EXPECT_THAT(output.start, SizeIs(2));
  EXPECT_THAT(output.abandon, SizeIs(1));
  EXPECT_EQ(agent_.outstanding(), 2u);
}

TEST_F(AgentTest, RetrySendsTheSameChunkLater) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 1), now_);
  Finish(agent_.Take().start.at(0));
  const auto chunk = Chunks(agent_.Take()).at(0);
  agent_.Received(AckOf(chunk, v1::Ack::RETRY), now_);
  EXPECT_EQ(agent_.NextWake(), now_ + absl::Milliseconds(500));
  agent_.Tick(now_);
  EXPECT_THAT(Chunks(agent_.Take()), IsEmpty());
  now_ += absl::Milliseconds(500);
  agent_.Tick(now_);
  const auto again = Chunks(agent_.Take());
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].SerializeAsString(), chunk.SerializeAsString());
  agent_.Received(AckOf(chunk, v1::Ack::RETRY), now_);
  EXPECT_EQ(agent_.NextWake(), now_ + absl::Seconds(1));
}

TEST_F(AgentTest, ALeaseItCannotReadGoesBack) {
  Connect();
  agent_.Take();
  v1::CoordinatorMessage broken = LeaseOf(0, 5, 1, 2);
  broken.mutable_lease()->mutable_items()->back() ^= 1;
  agent_.Received(broken, now_);
  agent_.Received(LeaseOf(1, 5, 2, 2, {1, 2}), now_);
  agent_.Received(LeaseOf(2, 5, 3, 2, {1, 0}), now_);
  const auto backs = HandBacks(agent_.Take());
  ASSERT_THAT(backs, SizeIs(3));
  EXPECT_EQ(backs[0].not_before().seconds(), 10);
  EXPECT_TRUE(agent_.idle());
}

// --- Several jobs

std::vector<Agent::StartItem> ItemsOf(const Agent::Output& output, uint64_t lease) {
  std::vector<Agent::StartItem> items;
  for (const auto& item : output.start) {
    if (item.lease == lease) items.push_back(item);
  }
  return items;
}

TEST_F(AgentTest, ATinyJobStartsAtOnceWhereALargeOneHasFilledTheRoom) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 20), now_);
  EXPECT_THAT(agent_.Take().start, SizeIs(7));
  agent_.Received(OfJob("tiny", LeaseOf(0, 1, 2, 1)), now_);
  const Agent::Output output = agent_.Take();
  ASSERT_THAT(output.start, SizeIs(1));
  EXPECT_EQ(output.start[0].lease, 2u);
  EXPECT_TRUE(output.start[0].urgent);
  Finish(output.start[0]);
  EXPECT_THAT(Chunks(agent_.Take()), SizeIs(1));
}

TEST_F(AgentTest, AJobAloneHasNothingUrgent) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 20), now_);
  for (const auto& item : agent_.Take().start) EXPECT_FALSE(item.urgent);
}

TEST_F(AgentTest, TheJobWithTheFewestRunningIsNext) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 20), now_);
  agent_.Received(OfJob("another", LeaseOf(0, 5, 2, 20)), now_);
  const Agent::Output started = agent_.Take();
  // The last eighth stays free, for a third.
  EXPECT_THAT(ItemsOf(started, 1), SizeIs(4));
  EXPECT_THAT(ItemsOf(started, 2), SizeIs(3));
  // However unevenly they end.
  for (int i = 0; i < 3; ++i) Finish(ItemsOf(started, 1)[i]);
  Finish(ItemsOf(started, 2)[0]);
  const Agent::Output next = agent_.Take();
  EXPECT_THAT(ItemsOf(next, 1), SizeIs(3));
  EXPECT_THAT(ItemsOf(next, 2), SizeIs(1));
}

TEST_F(AgentTest, ManyTinyJobsAllStart) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 20), now_);
  agent_.Take();
  for (int i = 0; i < 10; ++i) {
    agent_.Received(OfJob(absl::StrCat("tiny ", i), LeaseOf(0, 1, 2 + i, 1)), now_);
    const Agent::Output output = agent_.Take();
    ASSERT_THAT(output.start, SizeIs(1)) << i;
    Finish(output.start[0]);
    agent_.Received(AckOf(Chunks(agent_.Take()).at(0), v1::Ack::COMMITTED), now_);
  }
}

TEST_F(AgentTest, AnUrgentLeaseSendsWhatItHasAndGoesFirst) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 3), now_);
  agent_.Received(OfJob("asked", LeaseOf(0, 1, 2, 3), /*urgent=*/true), now_);
  const Agent::Output output = agent_.Take();
  ASSERT_THAT(output.start, SizeIs(6));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(output.start[i].lease, 2u);
    EXPECT_TRUE(output.start[i].urgent);
  }
  EXPECT_TRUE(output.leases[0].urgent);
  // What has come by now goes together, whatever is still running.
  Finish(output.start[0]);
  Finish(output.start[1]);
  Finish(output.start[3]);
  const auto chunks = Chunks(agent_.Take());
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_EQ(chunks[0].shard().job_id(), "asked");
  EXPECT_EQ(chunks[0].offsets_size(), 2);
}

}  // namespace
}  // namespace imgfleet::agent
