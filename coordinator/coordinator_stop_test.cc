// How the coordinator begins without its store, and how it ends.
#include <thread>

#include "coordinator/coordinator_testing.h"
#include "grpcpp/create_channel.h"

namespace imgfleet {
namespace {

using ::testing::HasSubstr;

class CoordinatorStopTest : public CoordinatorTest {
 protected:
  CoordinatorStopTest() {
    options_.listen = {"127.0.0.1", 0};
    options_.store = absl::StrCat("sqlite:", folder_, "/imgfleet.db");
  }
  // Dialled anew.
  std::unique_ptr<v1::Jobs::Stub> Dial() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::Jobs::NewStub(grpc::CreateCustomChannel(coordinator_->address().ToString(),
                                                       grpc::InsecureChannelCredentials(), arguments));
  }
};

// Makes jobs until it is told that there is nobody any more.
class Submitter {
 public:
  Submitter(std::unique_ptr<v1::Jobs::Stub> jobs, const v1::CreateJobRequest& request)
      : jobs_(std::move(jobs)), thread_([this, request] { Submit(request); }) {}

  size_t made() const {
    absl::MutexLock lock(&mutex_);
    return ids_.size();
  }
  std::vector<std::string> End() {
    thread_.join();
    return ids_;
  }

 private:
  void Submit(const v1::CreateJobRequest& request) {
    for (;;) {
      grpc::ClientContext context;
      v1::Job job;
      if (!jobs_->CreateJob(&context, request, &job).ok()) return;
      absl::MutexLock lock(&mutex_);
      ids_.push_back(job.id());
    }
  }

  const std::unique_ptr<v1::Jobs::Stub> jobs_;
  mutable absl::Mutex mutex_;
  std::vector<std::string> ids_;
  std::thread thread_;
};

TEST_F(CoordinatorStopTest, WhatWasAcknowledgedUntilItsEndIsThereAfterwards) {
  Start();
  std::vector<std::unique_ptr<Submitter>> submitters;
  for (int i = 0; i < 4; ++i) submitters.push_back(std::make_unique<Submitter>(Dial(), Inline(1)));
  const auto all_have = [&](size_t jobs) {
    return std::all_of(submitters.begin(), submitters.end(),
                       [&](const auto& s) { return s->made() >= jobs; });
  };
  while (!all_have(20)) std::this_thread::yield();
  EXPECT_TRUE(coordinator_->BeginDrain());
  // It is served on, for those who have a connection and for others.
  EXPECT_THAT(std::string(coordinator_->Ready().message()), HasSubstr("stopping"));
  submitters.push_back(std::make_unique<Submitter>(Dial(), Inline(1)));
  while (!all_have(40)) std::this_thread::yield();
  coordinator_->Shutdown();
  std::vector<std::string> ids;
  for (const auto& submitter : submitters) {
    for (std::string& id : submitter->End()) ids.push_back(std::move(id));
  }
  Start();
  for (const std::string& id : ids) EXPECT_EQ(Get(id).items(), 1u);
}

TEST_F(CoordinatorStopTest, WithoutItsStoreItAnswersWhy) {
  options_.store = "postgresql://somebody:s3cret@127.0.0.1:1/nothing";
  EXPECT_TRUE(absl::IsUnavailable(Coordinator::Start(options_, metrics_, *clock_).status()))
      << "not waited for";
  options_.wait_for_store = true;
  Start();
  const absl::Status ready = coordinator_->Ready();
  EXPECT_TRUE(absl::IsUnavailable(ready)) << ready;
  EXPECT_THAT(std::string(ready.message()), HasSubstr("store postgresql://somebody@127.0.0.1:1/nothing: "));
  EXPECT_THAT(std::string(ready.message()), testing::Not(HasSubstr("s3cret")));
  const grpc::Status refused = TryCreate(Inline(1));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused.error_message(), std::string(ready.message()));
  FakeWorker worker(channel_, "w");
  EXPECT_EQ(worker.End().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(coordinator_->Refused().ok());
  EXPECT_FALSE(coordinator_->BeginDrain()) << "there is nobody to wait for";
}

TEST_F(CoordinatorStopTest, AStoreThatIsThereIsServedAtOnceAlsoWhereItWouldBeWaitedFor) {
  options_.wait_for_store = true;
  Start();
  EXPECT_TRUE(coordinator_->Ready().ok()) << coordinator_->Ready();
  EXPECT_TRUE(TryCreate(Inline(1)).ok());
  Coordinator::Options second = options_;
  bool told = false;
  second.store_refused = [&told] { told = true; };
  EXPECT_TRUE(absl::IsFailedPrecondition(Coordinator::Start(second, metrics_, *clock_).status()))
      << "another coordinator has it";
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace imgfleet
