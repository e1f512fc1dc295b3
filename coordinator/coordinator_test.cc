// Jobs through the services that ship: submitted, worked on, read back, stopped.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/coordinator_testing.h"

namespace imgfleet {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(CoordinatorTest, AJobGoesThroughAndReadsBackInOrder) {
  Start();
  const v1::Job job = Create(Inline(20));
  EXPECT_EQ(job.state(), v1::Job::RUNNING);
  EXPECT_EQ(job.items(), 20u);
  EXPECT_EQ(job.spec().limits().max_attempts(), 3u);  // Defaults are written out.
  FakeWorker worker(channel_, "w");
  EXPECT_EQ(worker.Read().welcome().protocol(), 1u);
  worker.Report(1000);
  const v1::Lease first = worker.NextLease();
  const v1::Lease second = worker.NextLease();
  EXPECT_EQ(first.offsets_size(), 16);
  EXPECT_EQ(second.offsets_size(), 4);
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(second, Offsets(0, 4), 1, true)).code(), v1::Ack::COMMITTED);
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(first, {15, 3, 4}, 2)).code(), v1::Ack::COMMITTED);
  EXPECT_THAT(Results(job.id()), SizeIs(7));  // What there is so far.
  std::vector<uint32_t> rest = Offsets(0, 15);
  rest.erase(rest.begin() + 3, rest.begin() + 5);
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(first, rest, 3)).code(), v1::Ack::COMMITTED);
  const v1::Job ended = Get(job.id());
  EXPECT_EQ(ended.state(), v1::Job::COMPLETED);
  EXPECT_EQ(ended.succeeded(), 16u);
  ASSERT_EQ(ended.reasons_size(), 1);
  EXPECT_EQ(ended.reasons(0).count(), 4u);
  EXPECT_THAT(ended.summary(), HasSubstr("TIMEOUT"));
  ExpectIndices(Results(job.id()), 0, 20);
  ExpectIndices(Results(job.id(), true, 18), 18, 20);
}

TEST_F(CoordinatorTest, ACancelledJobIsRevokedAndReadsAsCancelled) {
  Start();
  const v1::Job job = Create(Inline(20));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(16);
  const v1::Lease lease = worker.NextLease();
  worker.Commit(FakeWorker::ChunkOf(lease, {2}, 1));
  v1::Job cancelled;
  ASSERT_TRUE(Cancel(job.id(), &cancelled).ok());
  EXPECT_EQ(cancelled.state(), v1::Job::CANCELLED);
  EXPECT_EQ(worker.Read().revoke().lease_epoch(), lease.lease_epoch());
  EXPECT_EQ(worker.Commit(FakeWorker::ChunkOf(lease, {3}, 2)).code(), v1::Ack::STALE);
  const std::vector<v1::Outcome> outcomes = Results(job.id(), true);
  ExpectIndices(outcomes, 0, 20);
  EXPECT_TRUE(outcomes[2].has_image());
  EXPECT_EQ(outcomes[3].error().reason(), v1::ItemError::CANCELLED);
  EXPECT_EQ(outcomes[3].url(), "http://h/3");
  EXPECT_EQ(outcomes[3].id(), "3");
}

TEST_F(CoordinatorTest, PackedResultsAndEventsAreTheWorkersOwnBytes) {
  Start();
  const v1::Job job = Create(Inline(3));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(16);
  const v1::Lease lease = worker.NextLease();
  const v1::Chunk one = FakeWorker::ChunkOf(lease, {2}, 1), two = FakeWorker::ChunkOf(lease, {1, 0}, 2);
  worker.Commit(one);
  worker.Commit(two);
  {
    grpc::ClientContext context;
    v1::ReadResultsRequest request;
    request.set_job_id(job.id());
    request.set_encoding(v1::PACKED);
    const auto reader = jobs_->ReadResults(&context, request);
    v1::Outcomes message;
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(message.packed(), one.payload());
    EXPECT_FALSE(message.shard_complete());
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(message.packed(), two.payload());
    EXPECT_TRUE(message.shard_complete());
    EXPECT_EQ(message.next_index(), 3u);
    EXPECT_FALSE(reader->Read(&message));
    EXPECT_TRUE(reader->Finish().ok());
  }
  grpc::ClientContext context;
  v1::ReadEventsRequest request;
  request.set_job_id(job.id());
  request.set_after_commit_seq(1);
  request.set_follow(true);
  const auto reader = jobs_->ReadEvents(&context, request);
  v1::Outcomes message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.commit_seq(), 2u);
  ASSERT_EQ(message.outcomes_size(), 2);
  EXPECT_EQ(message.outcomes(0).index(), 1u);
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(CoordinatorTest, AFollowingReaderGetsOutcomesAsTheyCome) {
  Start();
  const v1::Job job = Create(Inline(48));
  grpc::ClientContext context;
  v1::ReadEventsRequest request;
  request.set_job_id(job.id());
  request.set_follow(true);
  const auto reader = jobs_->ReadEvents(&context, request);
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(1000);
  const v1::Lease first = worker.NextLease(), second = worker.NextLease();
  v1::Outcomes message;
  for (uint32_t i = 0; i < 16; ++i) {
    worker.Commit(FakeWorker::ChunkOf(first, {i}, i + 1));
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(message.outcomes(0).index(), i);
  }
  worker.DoAll(second);
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_FALSE(reader->Read(&message));  // The job has ended.
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(CoordinatorTest, TheDepthReachesTheWorkerWithTheLease) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(1000);
  for (const v1::Depth depth : {v1::DEPTH_UNSPECIFIED, v1::HEADER, v1::FULL, v1::PIXELS}) {
    v1::CreateJobRequest request = Inline(1);
    request.mutable_spec()->mutable_measure()->set_depth(depth);
    const v1::Depth complete = depth == v1::DEPTH_UNSPECIFIED ? v1::HEADER : depth;
    EXPECT_EQ(Create(request).spec().measure().depth(), complete);
    EXPECT_EQ(worker.NextLease().spec().measure().depth(), complete);
  }
}

TEST_F(CoordinatorTest, RefusesWhatIsOutOfBoundsNamingTheField) {
  Start();
  struct Case {
    const char* field;
    std::function<void(v1::CreateJobRequest&)> spoil;
  };
  const Case cases[] = {
      {"spec.kind", [](auto& r) { r.mutable_spec()->clear_measure(); }},
      {"spec.limits.max_attempts", [](auto& r) { r.mutable_spec()->mutable_limits()->set_max_attempts(11); }},
      {"spec.limits.max_body_bytes",
       [](auto& r) { r.mutable_spec()->mutable_limits()->set_max_body_bytes((1u << 30) + 1); }},
      {"spec.limits.attempt_timeout",
       [](auto& r) { r.mutable_spec()->mutable_limits()->mutable_attempt_timeout()->set_seconds(601); }},
      {"spec.limits.attempt_timeout",
       [](auto& r) { r.mutable_spec()->mutable_limits()->mutable_attempt_timeout()->set_seconds(-1); }},
      {"spec.measure.depth",
       [](auto& r) { r.mutable_spec()->mutable_measure()->set_depth(static_cast<v1::Depth>(77)); }},
      {"spec.display_name", [](auto& r) { r.mutable_spec()->set_display_name(std::string(257, 'x')); }},
      {"items", [](auto& r) { r.mutable_items()->clear_items(); }},
      {"source", [](auto& r) { r.clear_items(); }},
  };
  for (const Case& c : cases) {
    v1::CreateJobRequest request = Inline(1);
    c.spoil(request);
    const grpc::Status status = TryCreate(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.field;
    EXPECT_THAT(status.error_message(), HasSubstr(c.field));
  }
  v1::GetJobRequest get;
  v1::Job job;
  get.set_id("x");
  grpc::ClientContext one, two;
  EXPECT_EQ(jobs_->GetJob(&one, get, &job).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  get.set_id("01890000-0000-7000-8000-000000000000");
  EXPECT_EQ(jobs_->GetJob(&two, get, &job).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CoordinatorTest, ListsJobsByPages) {
  Start();
  std::set<std::string> made, seen;
  for (int i = 0; i < 5; ++i) made.insert(Create(Inline(1)).id());
  v1::ListJobsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    grpc::ClientContext context;
    v1::ListJobsResponse page;
    ASSERT_TRUE(jobs_->ListJobs(&context, request, &page).ok());
    EXPECT_LE(page.jobs_size(), 2);
    for (const v1::Job& job : page.jobs()) EXPECT_TRUE(seen.insert(job.id()).second);
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, made);
  request.set_page_token("nonsense");
  grpc::ClientContext context;
  v1::ListJobsResponse page;
  EXPECT_EQ(jobs_->ListJobs(&context, request, &page).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CoordinatorTest, AReaderThatStopsReadingHoldsBackItsSourceOnly) {
  Start();
  std::string text = "url\n";
  for (int i = 0; i < 4000; ++i) absl::StrAppend(&text, "http://h/", std::string(1000, 'x'), i, "\n");
  const std::string id = Create(FileJob(WriteList("a.tsv", text))).id();
  grpc::ClientContext context;
  v1::ReadEventsRequest request;
  request.set_job_id(id);
  request.set_follow(true);
  const auto slow = jobs_->ReadEvents(&context, request);
  WaitFor(id, [](const v1::Job& j) { return j.state() == v1::Job::RUNNING; });
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(100'000);
  uint64_t done = 0;
  while (done < 4000) {
    const v1::Lease lease = worker.NextLease();
    worker.DoAll(lease);
    done += static_cast<uint64_t>(lease.offsets_size());
  }
  EXPECT_EQ(Get(id).state(), v1::Job::COMPLETED);  // Though nobody read four megabytes of events.
  v1::Outcomes message;
  uint64_t outcomes = 0;
  while (slow->Read(&message)) outcomes += static_cast<uint64_t>(message.outcomes_size());
  EXPECT_TRUE(slow->Finish().ok());
  EXPECT_EQ(outcomes, 4000u);
}

TEST_F(CoordinatorTest, StoppingEndsStreamsAndTellsWhy) {
  Start();
  const v1::Job job = Create(Inline(1));
  FakeWorker worker(channel_, "w");
  worker.Read();
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_id(job.id());
  const auto watching = jobs_->WatchJob(&context, request);
  v1::Job seen;
  ASSERT_TRUE(watching->Read(&seen));
  coordinator_->Shutdown();
  EXPECT_EQ(worker.End().error_code(), grpc::StatusCode::UNAVAILABLE);
  while (watching->Read(&seen)) {
  }
  EXPECT_EQ(watching->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(coordinator_->Ready().ok());
}

TEST_F(CoordinatorTest, StartupErrorsSayWhatToDo) {
  options_.listen = {"127.0.0.1", 0};
  Start();
  Coordinator::Options second = options_;
  second.listen = coordinator_->address();
  EXPECT_NE(second.listen.port, 0);
  const auto taken = Coordinator::Start(second, metrics_, Clock::System());
  EXPECT_THAT(taken.status().message(), HasSubstr("in use"));
  second.store = "mysql:x";
  EXPECT_EQ(Coordinator::Start(second, metrics_, Clock::System()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace imgfleet
