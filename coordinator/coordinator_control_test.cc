// Job control through the services that ship.
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator_testing.h"

namespace imgfleet {
namespace {

using ::testing::ElementsAre;

class ControlTest : public CoordinatorTest {
 protected:
  // A unary call whose request has an id, and perhaps an owner.
  template <typename Request, typename Response>
  grpc::Status Ask(grpc::Status (v1::Jobs::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const std::string& id, const std::string& owner, Response* response) {
    Request request;
    request.set_id(id);
    request.set_owner(owner);
    grpc::ClientContext context;
    return (jobs_.get()->*method)(&context, request, response);
  }
  v1::Job Retry(const std::string& id) {
    v1::Job job;
    const grpc::Status status = Ask(&v1::Jobs::Stub::RetryFailed, id, "", &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  static std::vector<uint64_t> Indices(const std::vector<v1::Outcome>& outcomes) {
    std::vector<uint64_t> indices;
    for (const v1::Outcome& outcome : outcomes) indices.push_back(outcome.index());
    return indices;
  }
  std::vector<v1::Outcome> Events(const std::string& id) {
    grpc::ClientContext context;
    v1::ReadEventsRequest request;
    request.set_job_id(id);
    const auto reader = jobs_->ReadEvents(&context, request);
    std::vector<v1::Outcome> outcomes;
    v1::Outcomes message;
    while (reader->Read(&message))
      outcomes.insert(outcomes.end(), message.outcomes().begin(), message.outcomes().end());
    EXPECT_TRUE(reader->Finish().ok());
    return outcomes;
  }
  size_t Jobs(const std::string& owner = "") {
    grpc::ClientContext context;
    v1::ListJobsRequest request;
    request.set_owner(owner);
    v1::ListJobsResponse page;
    EXPECT_TRUE(jobs_->ListJobs(&context, request, &page).ok());
    return static_cast<size_t>(page.jobs_size());
  }
  // 20 items in shards of 16 and 4: 1, 2 and 17 fail.
  v1::Job JobWithFailures() {
    v1::CreateJobRequest request = Inline(20);
    const v1::Job job = Create(request);
    FakeWorker worker(channel_, "w");
    worker.Read();
    worker.Report(10'000);
    for (int shard = 0; shard < 2; ++shard) {
      const v1::Lease lease = worker.NextLease();
      std::vector<uint32_t> bad, good;
      for (const uint32_t offset : lease.offsets()) {
        const uint64_t index = lease.first_index() + offset;
        (index == 1 || index == 2 || index == 17 ? bad : good).push_back(offset);
      }
      EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, bad, 1, true)).code(), v1::Ack::COMMITTED);
      EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, good, 2)).code(), v1::Ack::COMMITTED);
    }
    return WaitFor(job.id(), Ended);
  }
};

TEST_F(ControlTest, PausingRevokesAndResumingLeasesAgain) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  const v1::Job job = Create(Inline(5));
  worker.Report(10'000);
  const v1::Lease lease = worker.NextLease();
  v1::Job paused;
  ASSERT_TRUE(Ask(&v1::Jobs::Stub::PauseJob, job.id(), "", &paused).ok());
  EXPECT_TRUE(paused.paused());
  const v1::CoordinatorMessage told = worker.Read();
  ASSERT_TRUE(told.has_revoke()) << told.ShortDebugString();
  EXPECT_EQ(told.revoke().lease_epoch(), lease.lease_epoch());
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, {0}, 1)).code(), v1::Ack::STALE);
  EXPECT_FALSE(worker.HasLeases());
  ASSERT_TRUE(Ask(&v1::Jobs::Stub::ResumeJob, job.id(), "", &paused).ok());
  EXPECT_FALSE(paused.paused());
  worker.DoAll(worker.NextLease());
  EXPECT_EQ(WaitFor(job.id(), Ended).succeeded(), 5u);
  EXPECT_EQ(Ask(&v1::Jobs::Stub::PauseJob, job.id(), "", &paused).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ControlTest, OnlyWhatFailedIsTriedAgainUnderItsIndices) {
  Start();
  const v1::Job parent = JobWithFailures();
  ASSERT_EQ(parent.failed(), 3u);
  const v1::Job child = Retry(parent.id());
  EXPECT_EQ(child.parent_id(), parent.id());
  EXPECT_EQ(WaitFor(child.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; }).items(), 3u);
  WorkOff(child.id(), 2);
  const v1::Job done = WaitFor(child.id(), Ended);
  EXPECT_EQ(done.state(), v1::Job::COMPLETED);
  EXPECT_EQ(done.succeeded(), 3u);
  const std::vector<v1::Outcome> outcomes = Results(child.id());
  EXPECT_THAT(Indices(outcomes), ElementsAre(1, 2, 17));
  for (const v1::Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.url(), absl::StrCat("http://h/", outcome.index()));
  }
  EXPECT_THAT(Indices(Results(child.id(), false, 2)), ElementsAre(2, 17));
  EXPECT_THAT(Indices(Events(child.id())), ::testing::UnorderedElementsAre(1, 2, 17));
  EXPECT_EQ(Results(parent.id()).size(), 20u) << "the first keeps its own";
  v1::Job unused;
  const grpc::Status nothing = Ask(&v1::Jobs::Stub::RetryFailed, child.id(), "", &unused);
  EXPECT_EQ(nothing.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << nothing.error_message();
}

TEST_F(ControlTest, WhatWasNeverFinishedIsTriedAgainToo) {
  Start();
  const v1::Job parent = Create(Inline(20));
  v1::Job unused;
  EXPECT_EQ(Ask(&v1::Jobs::Stub::RetryFailed, parent.id(), "", &unused).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION)
      << "it has not ended";
  ASSERT_TRUE(Cancel(parent.id()).ok());
  const v1::Job child = Retry(parent.id());
  EXPECT_EQ(WaitFor(child.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; }).items(), 20u);
}

// Of a job of failed items that ended too early, only its own items read as CANCELLED.
TEST_F(ControlTest, WhatIsNoItemOfAJobIsMissingFromNothing) {
  Start();
  const v1::Job child = Retry(JobWithFailures().id());
  WaitFor(child.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  ASSERT_TRUE(Cancel(child.id()).ok());
  EXPECT_THAT(Indices(Results(child.id())), ElementsAre(1, 2, 17));
  const v1::Job third = Retry(child.id());
  EXPECT_EQ(WaitFor(third.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; }).items(), 3u);
}

// A coordinator that goes away in the middle of gathering leaves the rest to the next.
TEST_F(ControlTest, AJobOfFailedItemsIsGatheredOnAfterARestart) {
  options_.store = absl::StrCat("sqlite:", folder_, "/db");
  Start();
  v1::Job parent = Create(Inline(3000));
  ASSERT_TRUE(Cancel(parent.id()).ok());
  const v1::Job child = Retry(parent.id());
  Start();
  const v1::Job job = WaitFor(child.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  EXPECT_EQ(job.state(), v1::Job::RUNNING) << job.failure();
  EXPECT_EQ(job.items(), 3000u);
  ASSERT_TRUE(Cancel(child.id()).ok());
  ExpectIndices(Results(child.id()), 0, 3000);
}

TEST_F(ControlTest, AKeyIsOneSubmission) {
  Start();
  v1::CreateJobRequest request = Inline(3);
  request.set_owner("alice");
  request.set_idempotency_key("k");
  const v1::Job job = Create(request);
  EXPECT_EQ(Create(request).id(), job.id());
  v1::CreateJobRequest other = Inline(4);
  other.set_owner("alice");
  other.set_idempotency_key("k");
  EXPECT_EQ(TryCreate(other).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  other.set_owner("bob");
  EXPECT_NE(Create(other).id(), job.id());
  // A list that is gone by then is not asked for.
  v1::CreateJobRequest file = FileJob(WriteList("a.tsv", "url\nhttp://h/\n"));
  file.set_idempotency_key("file");
  const v1::Job listed = Create(file);
  ASSERT_EQ(remove(absl::StrCat(folder_, "/a.tsv").c_str()), 0);
  EXPECT_EQ(Create(file).id(), listed.id());
  EXPECT_EQ(Jobs(), 3u);
}

TEST_F(ControlTest, AnUploadUnderAKnownKeyIsNotReadAgain) {
  Start();
  const auto upload = [&] {
    grpc::ClientContext context;
    const auto stream = jobs_->UploadJob(&context);
    v1::UploadJobRequest request;
    request.mutable_spec()->mutable_measure();
    request.set_idempotency_key("up");
    request.set_data("http://h/1\nhttp://h/2\n");
    stream->Write(request);
    stream->WritesDone();
    v1::Job job;
    while (stream->Read(&job)) {
    }
    EXPECT_TRUE(stream->Finish().ok());
    return job;
  };
  const v1::Job first = upload();
  EXPECT_EQ(first.items(), 2u);
  EXPECT_EQ(upload().id(), first.id());
  EXPECT_EQ(Jobs(), 1u);
}

TEST_F(ControlTest, AJobIsSeenByItsOwnerOnly) {
  Start();
  v1::CreateJobRequest request = Inline(3);
  request.set_owner("alice");
  request.set_priority(2);
  const v1::Job job = Create(request);
  EXPECT_EQ(job.owner(), "alice");
  EXPECT_EQ(job.priority(), 2);
  v1::Job seen;
  EXPECT_TRUE(Ask(&v1::Jobs::Stub::GetJob, job.id(), "alice", &seen).ok());
  EXPECT_TRUE(Ask(&v1::Jobs::Stub::GetJob, job.id(), "", &seen).ok());
  using Stub = v1::Jobs::Stub;
  EXPECT_EQ(Ask(&Stub::GetJob, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ask(&Stub::CancelJob, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ask(&Stub::PauseJob, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ask(&Stub::ResumeJob, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ask(&Stub::PrioritizeJob, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Ask(&Stub::RetryFailed, job.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Get(job.id()).state(), v1::Job::RUNNING) << "nobody else ended it";
  EXPECT_EQ(Jobs("alice"), 1u);
  EXPECT_EQ(Jobs("bob"), 0u);
  request.set_priority(5);
  EXPECT_EQ(TryCreate(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Nothing is lost of a list whose owner has no room for it yet.
TEST_F(ControlTest, AListWaitsForItsOwnersQuota) {
  ASSERT_TRUE(core::AddQuota("alice=jobs:1,items:20", options_.quotas).ok());
  Start();
  std::string text = "url\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  v1::CreateJobRequest request = FileJob(WriteList("a.tsv", text));
  request.set_owner("alice");
  const v1::Job job = Create(request);
  EXPECT_EQ(TryCreate(request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  WorkOff(job.id(), 3);
  EXPECT_EQ(WaitFor(job.id(), Ended).succeeded(), 100u);
}

TEST_F(ControlTest, ASchedulesListIsReadWhenItIsDue) {
  Start();
  WriteList("a.tsv", "url\nhttp://h/1\nhttp://h/2\n");
  v1::CreateScheduleRequest request;
  v1::Schedule& wanted = *request.mutable_schedule();
  wanted.mutable_spec()->mutable_measure();
  wanted.mutable_file()->set_path("a.tsv");
  wanted.set_owner("alice");
  v1::Schedule made;
  {
    grpc::ClientContext context;
    EXPECT_EQ(jobs_->CreateSchedule(&context, request, &made).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  wanted.mutable_every()->set_seconds(1);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(jobs_->CreateSchedule(&context, request, &made).ok());
  }
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(10'000);
  const v1::Lease lease = worker.NextLease();
  EXPECT_EQ(lease.offsets_size(), 2);
  EXPECT_EQ(Get(lease.shard().job_id()).schedule_id(), made.id());
  EXPECT_EQ(Jobs("alice"), 1u);
  v1::Schedule seen;
  using Stub = v1::Jobs::Stub;
  EXPECT_EQ(Ask(&Stub::GetSchedule, made.id(), "bob", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(Ask(&Stub::PauseSchedule, made.id(), "alice", &seen).ok());
  EXPECT_TRUE(seen.paused());
  EXPECT_EQ(seen.last_job_id(), lease.shard().job_id());
  EXPECT_EQ(seen.every().seconds(), 1);
  grpc::ClientContext context;
  v1::ListSchedulesResponse page;
  ASSERT_TRUE(jobs_->ListSchedules(&context, {}, &page).ok());
  EXPECT_EQ(page.schedules_size(), 1);
  v1::DeleteScheduleResponse gone;
  EXPECT_TRUE(Ask(&Stub::DeleteSchedule, made.id(), "", &gone).ok());
  EXPECT_EQ(Ask(&Stub::GetSchedule, made.id(), "", &seen).error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace imgfleet
