// How a worker ends: what it holds goes back, or is finished.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/agent.h"
#include "worker/agent/agent_testing.h"

namespace imgfleet::agent {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AgentTest, DrainHandsBackWhatWasNotBegunAndFinishesTheRest) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 20), now_);  // Seven run, thirteen wait.
  agent_.Received(LeaseOf(1, 5, 2, 3), now_);   // None begun.
  const Agent::Output started = agent_.Take();
  agent_.Drain(now_);
  Agent::Output output = agent_.Take();
  ASSERT_THAT(HandBacks(output), SizeIs(1));
  EXPECT_EQ(HandBacks(output)[0].shard().shard(), 1u);
  ASSERT_THAT(Reports(output), SizeIs(1));
  EXPECT_TRUE(Reports(output)[0].draining());
  EXPECT_EQ(Reports(output)[0].capacity_items(), 0u);
  agent_.Received(LeaseOf(2, 5, 3, 3), now_);  // Crossed on the way.
  EXPECT_THAT(HandBacks(agent_.Take()), SizeIs(1));
  std::vector<v1::Chunk> chunks;
  for (const auto& item : started.start) Finish(item);
  output = agent_.Take();
  EXPECT_THAT(output.start, IsEmpty());
  ASSERT_THAT(Chunks(output), SizeIs(2));
  EXPECT_THAT(HandBacks(output), IsEmpty());  // Not before the outcomes are safe.
  for (const auto& chunk : Chunks(output)) agent_.Received(AckOf(chunk, v1::Ack::COMMITTED), now_);
  EXPECT_THAT(HandBacks(agent_.Take()), SizeIs(1));
  EXPECT_TRUE(agent_.idle());
}

TEST_F(AgentTest, DrainHandsBackUrgentLeasesAtOnceWhereNotAllWasStarted) {
  Connect();
  agent_.Received(OfJob("short", LeaseOf(0, 5, 1, 20), /*urgent=*/true), now_);
  const Agent::Output started = agent_.Take();
  ASSERT_THAT(started.start, SizeIs(8));
  agent_.Drain(now_);
  const Agent::Output output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(2));
  EXPECT_TRUE(output.send[0].report().draining());  // Or it would come back here.
  EXPECT_TRUE(output.send[1].has_hand_back());
  EXPECT_THAT(output.abandon, SizeIs(1));
  EXPECT_TRUE(agent_.idle());
}

TEST_F(AgentTest, WhatTheEngineHadNotBegunGoesBackUrgentLeasesAtOnce) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 3), now_);
  agent_.Received(OfJob("short", LeaseOf(0, 5, 2, 3), /*urgent=*/true), now_);
  const Agent::Output started = agent_.Take();
  const auto items = [&started](bool urgent) {
    std::vector<Agent::StartItem> some;
    for (const auto& item : started.start) {
      if ((item.lease == started.leases[0].lease) == (started.leases[0].urgent == urgent))
        some.push_back(item);
    }
    return some;
  };
  const auto urgent = items(true), durable = items(false);
  ASSERT_THAT(urgent, SizeIs(3));
  ASSERT_THAT(durable, SizeIs(3));
  agent_.Drain(now_);
  EXPECT_THAT(HandBacks(agent_.Take()), IsEmpty());
  Finish(urgent[0]);
  agent_.NotBegun(urgent[1].lease, now_);
  Agent::Output output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(2));  // What is known of it first.
  EXPECT_EQ(output.send[0].chunk().offsets_size(), 1);
  EXPECT_EQ(output.send[1].hand_back().shard().job_id(), "short");
  EXPECT_FALSE(output.send[1].hand_back().not_before().seconds() > 0);
  agent_.NotBegun(urgent[2].lease, now_);  // Of a lease that is gone.
  agent_.NotBegun(durable[0].lease, now_);
  agent_.NotBegun(durable[1].lease, now_);
  EXPECT_THAT(agent_.Take().send, IsEmpty());
  EXPECT_EQ(agent_.running(), 1u);
  Finish(durable[2]);
  output = agent_.Take();
  ASSERT_THAT(Chunks(output), SizeIs(1));
  EXPECT_THAT(HandBacks(output), IsEmpty());
  agent_.Received(AckOf(Chunks(output)[0], v1::Ack::COMMITTED), now_);
  EXPECT_THAT(HandBacks(agent_.Take()), SizeIs(1));
  EXPECT_TRUE(agent_.idle());
  EXPECT_EQ(agent_.running(), 0u);
}

TEST_F(AgentTest, GivingUpSendsWhatThereIsAndBreaksOffTheRest) {
  Connect();
  agent_.Received(LeaseOf(0, 5, 1, 3), now_);
  const Agent::Output started = agent_.Take();
  Finish(started.start[0]);
  agent_.Drain(now_);
  agent_.Take();
  agent_.GiveUp(now_);
  const Agent::Output output = agent_.Take();
  ASSERT_THAT(output.send, SizeIs(2));
  EXPECT_TRUE(output.send[0].has_chunk());
  EXPECT_TRUE(output.send[1].has_hand_back());
  EXPECT_THAT(output.abandon, SizeIs(1));
  EXPECT_TRUE(agent_.idle());
}

}  // namespace
}  // namespace imgfleet::agent
