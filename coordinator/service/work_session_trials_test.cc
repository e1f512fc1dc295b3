// What a worker's stream gives of trials (core/shard.h): alone, or not at all.
#include "coordinator/service/work_session.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::service {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::WorkerMessage Hello() {
  v1::WorkerMessage message;
  message.mutable_hello()->set_protocol_min(1);
  message.mutable_hello()->set_protocol_max(1);
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

template <typename Call>
std::vector<Call> CallsOf(const WorkSession::Output& output) {
  std::vector<Call> calls;
  for (const LedgerCall& call : output.calls) {
    if (const auto* one = std::get_if<Call>(&call)) calls.push_back(*one);
  }
  return calls;
}

class WorkSessionTrialsTest : public ::testing::Test {
 protected:
  WorkSession session_{WorkSession::Options{}};
};

TEST_F(WorkSessionTrialsTest, NothingIsGivenBesideWhatMustBeAlone) {
  session_.Received(Hello());
  session_.Received(Report(100));
  auto calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_TRUE(calls[0].credit.idle);
  core::LeasedShard alone = Leased(0, 1, 2);
  alone.alone = true;
  session_.Acquired(std::vector<core::LeasedShard>{alone});
  EXPECT_THAT(session_.Take().send, SizeIs(1));
  session_.WorkAvailable();
  session_.WorkAvailable(Lane::kExpress);
  v1::WorkerMessage report = Report(100, 1);
  Hold(&report, 0, 1, 2);
  session_.Received(report);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  EXPECT_EQ(session_.room(), 0u);
  session_.Committed(Ref(0, 1), 1, 2, {});
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(2));
}

TEST_F(WorkSessionTrialsTest, RunsDryForWhatMustBeAlone) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  core::Leases leases({Leased(0, 1, 4)});
  leases.run_dry = true;
  session_.Acquired(leases);
  session_.WorkAvailable();
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  session_.WorkAvailable(Lane::kExpress);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1)) << "the express lane goes on meanwhile";
  session_.Acquired(std::vector<core::LeasedShard>{}, Lane::kExpress);
  session_.Committed(Ref(0, 1), 1, 4, {});
  session_.WorkAvailable(Lane::kExpress);
  const auto calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_EQ(calls[0].lane, Lane::kDurable);
  EXPECT_TRUE(calls[0].credit.idle);
  session_.Acquired(std::vector<core::LeasedShard>{});
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1)) << "now the express lane";
}

TEST_F(WorkSessionTrialsTest, WhatMustBeAloneAndComesBesideSomethingGoesBack) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.WorkAvailable(Lane::kExpress);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
  core::LeasedShard alone = Leased(0, 1, 2);
  alone.alone = true;
  session_.Acquired(std::vector<core::LeasedShard>{alone});
  const auto output = session_.Take();
  EXPECT_THAT(output.send, IsEmpty());
  EXPECT_THAT(CallsOf<HandBackCall>(output), SizeIs(1));
}

TEST_F(WorkSessionTrialsTest, WhatMustBeAloneStaysSoOverANewStream) {
  session_.Received(Hello());
  v1::WorkerMessage report = Report(100);
  Hold(&report, 0, 4, 2);
  session_.Received(report);
  session_.WorkAvailable(Lane::kExpress);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  core::VoidLeases renewed;
  renewed.alone = {Ref(0, 4)};
  session_.Renewed(renewed);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  session_.Received(Report(100));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(2)) << "it is gone";
}

TEST_F(WorkSessionTrialsTest, AsksForSuspectsWhenItHoldsNothing) {
  session_.Received(Hello());
  session_.Received(Report(100));
  session_.Take();
  session_.Acquired(core::Leases({Leased(0, 1, 4)}));
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), SizeIs(1));
  core::Leases none;
  none.suspects = true;
  session_.Acquired(none);
  EXPECT_THAT(CallsOf<AcquireCall>(session_.Take()), IsEmpty());
  session_.Committed(Ref(0, 1), 1, 4, {});
  const auto calls = CallsOf<AcquireCall>(session_.Take());
  ASSERT_THAT(calls, SizeIs(1));
  EXPECT_TRUE(calls[0].credit.idle);
}

}  // namespace
}  // namespace imgfleet::service
