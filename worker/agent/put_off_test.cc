// Items that their origin asks to delay.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/agent/agent.h"
#include "worker/agent/agent_testing.h"

namespace imgfleet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PutOffTest : public ::testing::Test {
 protected:
  PutOffTest() {
    agent_.Connected(now_);
    agent_.Received(Welcome(), now_);
  }

  std::vector<Agent::StartItem> Lease(uint32_t items, uint32_t put_offs = 0) {
    v1::CoordinatorMessage message = LeaseOf(0, 1, 1, items);
    message.mutable_lease()->set_put_offs(put_offs);
    agent_.Received(message, now_);
    return agent_.Take().start;
  }
  bool Finish(const Agent::StartItem& item, absl::Duration put_off = absl::ZeroDuration()) {
    v1::Outcome outcome = OutcomeOf(item.index);
    if (put_off > absl::ZeroDuration()) outcome.mutable_error()->set_reason(v1::ItemError::HTTP_STATUS);
    buffer_.clear();
    PackedOutcome packed = PackTo(outcome, &buffer_);
    packed.put_off = put_off;
    return agent_.Finished(item.lease, item.offset, packed, now_);
  }
  template <typename Message>
  std::vector<Message> Sent(bool (v1::WorkerMessage::*has)() const,
                            const Message& (v1::WorkerMessage::*get)() const) {
    std::vector<Message> sent;
    for (const v1::WorkerMessage& message : agent_.Take().send) {
      if ((message.*has)()) sent.push_back((message.*get)());
    }
    return sent;
  }
  std::vector<v1::HandBack> HandBacks() {
    return Sent(&v1::WorkerMessage::has_hand_back, &v1::WorkerMessage::hand_back);
  }
  std::vector<v1::Chunk> Chunks() { return Sent(&v1::WorkerMessage::has_chunk, &v1::WorkerMessage::chunk); }

  Agent agent_{[] {
    Agent::Options options;
    options.capacity_items = 8;
    return options;
  }()};
  std::string buffer_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
};

TEST_F(PutOffTest, AreHandedBackWithTheTimeOnceTheOthersAreDurable) {
  const auto items = Lease(3);
  EXPECT_FALSE(Finish(items[0], absl::Minutes(10)));
  EXPECT_TRUE(Finish(items[1]));
  EXPECT_FALSE(Finish(items[2], absl::Minutes(2)));
  const std::vector<v1::Chunk> chunks = Chunks();
  ASSERT_THAT(chunks, SizeIs(1));
  EXPECT_THAT(chunks[0].offsets(), ElementsAre(1));
  EXPECT_FALSE(agent_.idle());
  now_ += absl::Milliseconds(30'500);
  agent_.Received(AckOf(chunks[0], v1::Ack::COMMITTED), now_);
  const std::vector<v1::HandBack> backs = HandBacks();
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].lease_epoch(), 1u);
  // The sooner of the two, less the time since, in whole seconds and never too soon.
  EXPECT_EQ(backs[0].not_before().seconds(), 90);
  EXPECT_TRUE(agent_.idle());
}

TEST_F(PutOffTest, AreHandedBackAtOnceWhereNothingElseIsLeft) {
  const auto items = Lease(2);
  EXPECT_FALSE(Finish(items[0], absl::Minutes(1)));
  EXPECT_THAT(HandBacks(), IsEmpty());
  EXPECT_FALSE(Finish(items[1], absl::Minutes(1)));
  const std::vector<v1::HandBack> backs = HandBacks();
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].not_before().seconds(), 60);
  EXPECT_TRUE(agent_.idle());
  EXPECT_EQ(agent_.running(), 0u);
  EXPECT_EQ(agent_.outstanding(), 0u);
}

TEST_F(PutOffTest, EndWhenPutOffTooOften) {
  const auto items = Lease(1, /*put_offs=*/5);
  EXPECT_TRUE(Finish(items[0], absl::Minutes(10)));
  const std::vector<v1::Chunk> chunks = Chunks();
  ASSERT_THAT(chunks, SizeIs(1));
  ASSERT_THAT(chunks[0].failures(), SizeIs(1));
  EXPECT_EQ(chunks[0].failures(0).reason(), v1::ItemError::HTTP_STATUS);
}

TEST_F(PutOffTest, ArePutOffTheLastTimeBefore) {
  const auto items = Lease(1, /*put_offs=*/4);
  EXPECT_FALSE(Finish(items[0], absl::Minutes(10)));
  EXPECT_THAT(HandBacks(), SizeIs(1));
}

// Another worker must not ask sooner because this one leaves.
TEST_F(PutOffTest, KeepTheirTimeWhenTheWorkerLeaves) {
  const auto items = Lease(2);
  EXPECT_FALSE(Finish(items[0], absl::Minutes(10)));
  agent_.GiveUp(now_);
  const std::vector<v1::HandBack> backs = HandBacks();
  ASSERT_THAT(backs, SizeIs(1));
  EXPECT_EQ(backs[0].not_before().seconds(), 600);
}

}  // namespace
}  // namespace imgfleet::agent
