// FetchNow: short requests, from the client's call to a worker and back.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/coordinator_testing.h"

namespace imgfleet {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class ExpressTest : public CoordinatorTest {
 protected:
  ExpressTest() { Start(); }

  static v1::FetchNowRequest Now(int items) {
    v1::FetchNowRequest request;
    request.mutable_spec()->mutable_measure();
    for (int i = 0; i < items; ++i)
      request.mutable_items()->add_items()->set_url(absl::StrCat("http://h/", i));
    return request;
  }
  // One call under way.
  struct Call {
    Call(v1::Jobs::Stub& stub, const v1::FetchNowRequest& request)
        : reader(stub.FetchNow(&context, request)) {}
    // The next message's outcomes; none at the end.
    std::vector<v1::Outcome> Read() {
      v1::Outcomes message;
      if (!reader->Read(&message)) return {};
      return {message.outcomes().begin(), message.outcomes().end()};
    }
    grpc::Status Finish() {
      while (!Read().empty()) {
      }
      return reader->Finish();
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::Outcomes>> reader;
  };
  std::unique_ptr<FakeWorker> Worker(const std::string& id, uint32_t capacity = 100) {
    auto worker = std::make_unique<FakeWorker>(channel_, id);
    EXPECT_TRUE(worker->Read().has_welcome());
    worker->Report(capacity);
    // Its report has been taken once it has what was asked before.
    const v1::Job job = Create(Inline(1));
    worker->DoAll(worker->NextLease());
    (void)WaitFor(job.id(), Ended);
    return worker;
  }
};

TEST_F(ExpressTest, OutcomesComeAsTheyAreKnown) {
  const auto worker = Worker("w");
  Call call(*jobs_, Now(3));
  const v1::Lease lease = worker->NextLease();
  EXPECT_TRUE(lease.urgent());
  EXPECT_TRUE(absl::StartsWith(lease.shard().job_id(), "express-"));
  ASSERT_EQ(lease.offsets_size(), 3);
  EXPECT_EQ(worker->Commit(FakeWorker::ChunkOf(lease, {2}, 1)).code(), v1::Ack::COMMITTED);
  auto outcomes = call.Read();
  ASSERT_THAT(outcomes, SizeIs(1));
  EXPECT_EQ(outcomes[0].index(), 2u);
  EXPECT_EQ(worker->Commit(FakeWorker::ChunkOf(lease, {0, 1}, 2)).code(), v1::Ack::COMMITTED);
  EXPECT_THAT(call.Read(), SizeIs(2));
  EXPECT_THAT(call.Read(), IsEmpty());
  EXPECT_TRUE(call.Finish().ok());
  // Nothing is left of it.
  grpc::ClientContext context;
  v1::ListJobsResponse jobs;
  ASSERT_TRUE(jobs_->ListJobs(&context, {}, &jobs).ok());
  EXPECT_THAT(jobs.jobs(), SizeIs(1));
  EXPECT_EQ(worker->Commit(FakeWorker::ChunkOf(lease, {0, 1}, 3)).code(), v1::Ack::STALE);
}

TEST_F(ExpressTest, WithoutAWorkerTheCallerIsToldWhatToDo) {
  Call call(*jobs_, Now(1));
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "CreateJob")) << status.error_message();
}

TEST_F(ExpressTest, AWorkerThatIsFullIsNone) {
  const auto worker = Worker("w", 4);
  Call filling(*jobs_, Now(4));
  const v1::Lease lease = worker->NextLease();
  Call call(*jobs_, Now(1));
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  worker->DoAll(lease);
  EXPECT_TRUE(filling.Finish().ok());
}

TEST_F(ExpressTest, TooManyItemsAndNoneAreRefused) {
  Call many(*jobs_, Now(65));
  const grpc::Status status = many.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "CreateJob"));
  Call none(*jobs_, Now(0));
  EXPECT_EQ(none.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::FetchNowRequest bad = Now(1);
  bad.mutable_spec()->clear_measure();
  Call unspecified(*jobs_, bad);
  EXPECT_EQ(unspecified.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ExpressTest, AQuotaBoundsWhatIsAskedForAtATime) {
  options_.quotas.otherwise.jobs = 1;
  Start();
  const auto worker = Worker("w");
  Call first(*jobs_, Now(1));
  const v1::Lease lease = worker->NextLease();
  Call second(*jobs_, Now(1));
  const grpc::Status refused = second.Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(refused.error_message(), "wait until one has ended"))
      << refused.error_message();
  worker->DoAll(lease);
  EXPECT_TRUE(first.Finish().ok());
  Call third(*jobs_, Now(1));
  worker->DoAll(worker->NextLease());
  EXPECT_TRUE(third.Finish().ok());
}

TEST_F(ExpressTest, ItemsWithoutAUrlAreAnsweredAtOnce) {
  v1::FetchNowRequest request = Now(1);
  request.mutable_items()->mutable_items(0)->clear_url();
  Call call(*jobs_, request);
  const auto outcomes = call.Read();
  ASSERT_THAT(outcomes, SizeIs(1));
  EXPECT_EQ(outcomes[0].error().reason(), v1::ItemError::BAD_ROW);
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(ExpressTest, ACallerThatLeavesStopsTheWork) {
  const auto worker = Worker("w");
  Call call(*jobs_, Now(2));
  const v1::Lease lease = worker->NextLease();
  call.context.TryCancel();
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
  const v1::CoordinatorMessage message = worker->Read();
  ASSERT_TRUE(message.has_revoke()) << message.ShortDebugString();
  EXPECT_EQ(message.revoke().shard().job_id(), lease.shard().job_id());
}

TEST_F(ExpressTest, AWorkerThatDiesIsFollowedByAnother) {
  auto first = Worker("first");
  Call call(*jobs_, Now(2));
  const v1::Lease lease = first->NextLease();
  EXPECT_EQ(first->Commit(FakeWorker::ChunkOf(lease, {1}, 1)).code(), v1::Ack::COMMITTED);
  EXPECT_THAT(call.Read(), SizeIs(1));
  first->Break();
  const auto second = Worker("second");
  const v1::Lease rest = second->NextLease();
  EXPECT_EQ(rest.shard().job_id(), lease.shard().job_id());
  EXPECT_GT(rest.lease_epoch(), lease.lease_epoch());
  ASSERT_EQ(rest.offsets_size(), 1);
  EXPECT_EQ(rest.offsets(0), 0u);
  second->DoAll(rest);
  EXPECT_THAT(call.Read(), SizeIs(1));
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(ExpressTest, WhereNoWorkerIsLeftTheRestIsRefused) {
  auto worker = Worker("w");
  Call call(*jobs_, Now(2));
  const v1::Lease lease = worker->NextLease();
  EXPECT_EQ(worker->Commit(FakeWorker::ChunkOf(lease, {1}, 1)).code(), v1::Ack::COMMITTED);
  EXPECT_THAT(call.Read(), SizeIs(1));
  worker->Break();
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ExpressTest, TheCoordinatorsEndIsTold) {
  const auto worker = Worker("w");
  Call call(*jobs_, Now(2));
  (void)worker->NextLease();
  coordinator_->Shutdown();
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace imgfleet
