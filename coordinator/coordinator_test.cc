// The services over a real gRPC channel inside the process, with the ledger and stores that ship.
#include "coordinator/coordinator.h"

#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"

namespace imgfleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A worker that does exactly what a test says, on a blocking stream.
class FakeWorker {
 public:
  FakeWorker(const std::shared_ptr<grpc::Channel>& channel, const std::string& id, uint32_t version = 1)
      : stub_(v1::Workers::NewStub(channel)), stream_(stub_->Work(&context_)) {
    v1::WorkerMessage hello;
    hello.mutable_hello()->set_protocol_min(version);
    hello.mutable_hello()->set_protocol_max(version);
    hello.mutable_hello()->set_worker_id(id);
    stream_->Write(hello);
  }
  ~FakeWorker() {
    if (!ended_) Break();
  }

  // The next message that is no lease; leases wait for NextLease.
  v1::CoordinatorMessage Read() {
    v1::CoordinatorMessage message;
    while (true) {
      if (!stream_->Read(&message)) {
        ADD_FAILURE() << "the stream ended";
        return {};
      }
      if (!message.has_lease()) return message;
      leases_.push_back(message.lease());
    }
  }
  void Report(uint32_t capacity, const std::vector<v1::Lease>& held = {}, uint64_t last_lease = 0) {
    v1::WorkerMessage message;
    message.mutable_report()->set_capacity_items(capacity);
    message.mutable_report()->set_capacity_bytes(1 << 20);
    message.mutable_report()->set_last_lease_number(last_lease);
    for (const v1::Lease& lease : held) {
      v1::HeldLease* holding = message.mutable_report()->add_held();
      *holding->mutable_shard() = lease.shard();
      holding->set_lease_epoch(lease.lease_epoch());
      holding->set_items(static_cast<uint32_t>(lease.offsets_size()));
    }
    stream_->Write(message);
  }
  v1::Lease NextLease() {
    v1::CoordinatorMessage message;
    if (leases_.empty()) {
      EXPECT_TRUE(stream_->Read(&message));
      EXPECT_TRUE(message.has_lease()) << message.ShortDebugString();
      return message.lease();
    }
    v1::Lease lease = leases_.front();
    leases_.pop_front();
    return lease;
  }
  bool HasLeases() const { return !leases_.empty(); }
  // Measures these offsets, or fails them.
  static v1::Chunk ChunkOf(const v1::Lease& lease, const std::vector<uint32_t>& offsets, uint64_t number,
                           bool fail = false) {
    v1::Chunk chunk;
    *chunk.mutable_shard() = lease.shard();
    chunk.set_lease_epoch(lease.lease_epoch());
    chunk.set_chunk_number(number);
    const v1::ItemBatch items = *outcome::UnpackItems(lease.items());
    v1::OutcomeChunk outcomes;
    for (const uint32_t offset : offsets) {
      chunk.add_offsets(offset);
      v1::Outcome* made = outcomes.add_outcomes();
      made->set_index(lease.first_index() + offset);
      made->set_url(items.items(static_cast<int>(offset)).url());
      if (fail) {
        made->mutable_error()->set_reason(v1::ItemError::TIMEOUT);
      } else {
        made->mutable_image()->set_width(7);
      }
    }
    chunk.set_payload(outcome::PackOutcomes(outcomes));
    if (fail) {
      v1::ReasonCount* count = chunk.add_failures();
      count->set_reason(v1::ItemError::TIMEOUT);
      count->set_count(offsets.size());
    } else {
      chunk.set_succeeded(static_cast<uint32_t>(offsets.size()));
    }
    return chunk;
  }
  void Send(const v1::Chunk& chunk) {
    v1::WorkerMessage message;
    *message.mutable_chunk() = chunk;
    stream_->Write(message);
  }
  v1::Ack Commit(const v1::Chunk& chunk) {
    Send(chunk);
    const v1::CoordinatorMessage message = Read();
    EXPECT_TRUE(message.has_ack()) << message.ShortDebugString();
    return message.ack();
  }
  void DoAll(const v1::Lease& lease) {
    const std::vector<uint32_t> offsets(lease.offsets().begin(), lease.offsets().end());
    for (size_t at = 0; at < offsets.size(); at += 256) {
      const std::vector<uint32_t> part(
          offsets.begin() + static_cast<ptrdiff_t>(at),
          offsets.begin() + static_cast<ptrdiff_t>(std::min(at + 256, offsets.size())));
      EXPECT_EQ(Commit(ChunkOf(lease, part, at + 1)).code(), v1::Ack::COMMITTED);
    }
  }
  void Break() {
    context_.TryCancel();
    (void)End();
  }
  // Whatever else comes is dropped.
  grpc::Status End() {
    ended_ = true;
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    return stream_->Finish();
  }
  void CloseSending() { stream_->WritesDone(); }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<v1::Workers::Stub> stub_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::CoordinatorMessage>> stream_;
  std::deque<v1::Lease> leases_;  // Came and were not taken.
  bool ended_ = false;
};

std::vector<uint32_t> Offsets(uint32_t from, uint32_t to) {
  std::vector<uint32_t> offsets;
  for (; from < to; ++from) offsets.push_back(from);
  return offsets;
}

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() {
    char path[] = "/tmp/coordinator.XXXXXX";
    folder_ = mkdtemp(path);
    options_.list_roots = {folder_};
  }
  ~CoordinatorTest() override {
    coordinator_.reset();
    (void)!system(absl::StrCat("rm -rf ", folder_).c_str());
  }

  void Start() {
    jobs_.reset();
    channel_.reset();
    coordinator_.reset();
    auto started = Coordinator::Start(options_, metrics_, Clock::System());
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    channel_ = coordinator_->InProcessChannel();
    jobs_ = v1::Jobs::NewStub(channel_);
  }

  static v1::CreateJobRequest Inline(int items) {
    v1::CreateJobRequest request;
    request.mutable_spec()->mutable_measure();
    for (int i = 0; i < items; ++i)
      request.mutable_items()->add_items()->set_url(absl::StrCat("http://h/", i));
    return request;
  }
  v1::Job Create(const v1::CreateJobRequest& request) {
    grpc::ClientContext context;
    v1::Job job;
    const grpc::Status status = jobs_->CreateJob(&context, request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  grpc::Status TryCreate(const v1::CreateJobRequest& request) {
    grpc::ClientContext context;
    v1::Job job;
    return jobs_->CreateJob(&context, request, &job);
  }
  v1::Job Get(const std::string& id) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_id(id);
    v1::Job job;
    EXPECT_TRUE(jobs_->GetJob(&context, request, &job).ok());
    return job;
  }
  // Watches until the job is as wanted.
  v1::Job WaitFor(const std::string& id, const std::function<bool(const v1::Job&)>& wanted) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_id(id);
    const auto reader = jobs_->WatchJob(&context, request);
    v1::Job job;
    while (reader->Read(&job)) {
      if (wanted(job)) break;
    }
    EXPECT_TRUE(wanted(job)) << job.ShortDebugString();
    context.TryCancel();
    (void)reader->Finish();
    return job;
  }
  static bool Ended(const v1::Job& job) { return job.state() >= v1::Job::COMPLETED; }

  std::vector<v1::Outcome> Results(const std::string& id, bool follow = false, uint64_t from = 0) {
    grpc::ClientContext context;
    v1::ReadResultsRequest request;
    request.set_job_id(id);
    request.set_follow(follow);
    request.set_from_index(from);
    const auto reader = jobs_->ReadResults(&context, request);
    std::vector<v1::Outcome> outcomes;
    v1::Outcomes message;
    while (reader->Read(&message))
      outcomes.insert(outcomes.end(), message.outcomes().begin(), message.outcomes().end());
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return outcomes;
  }
  // All of them, each once, in order.
  static void ExpectIndices(const std::vector<v1::Outcome>& outcomes, uint64_t from, uint64_t to) {
    ASSERT_THAT(outcomes, SizeIs(to - from));
    for (uint64_t i = from; i < to; ++i) EXPECT_EQ(outcomes[i - from].index(), i);
  }
  // Works until the job has ended.
  void WorkOff(const std::string& id, int leases) {
    FakeWorker worker(channel_, absl::StrCat("worker of ", id));
    EXPECT_TRUE(worker.Read().has_welcome());
    worker.Report(100'000);
    for (int i = 0; i < leases; ++i) worker.DoAll(worker.NextLease());
  }
  std::string WriteList(const std::string& name, const std::string& text) {
    std::ofstream(absl::StrCat(folder_, "/", name)) << text;
    return name;
  }
  static v1::CreateJobRequest FileJob(const std::string& path) {
    v1::CreateJobRequest request;
    request.mutable_spec()->mutable_measure();
    request.mutable_file()->set_path(path);
    return request;
  }

  metrics::Registry metrics_{"coordinator"};
  std::string folder_;
  Coordinator::Options options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

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

TEST_F(CoordinatorTest, ACancelledJobIsRevokedAndReadsAsCancelled) {
  Start();
  const v1::Job job = Create(Inline(20));
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(16);
  const v1::Lease lease = worker.NextLease();
  worker.Commit(FakeWorker::ChunkOf(lease, {2}, 1));
  grpc::ClientContext context;
  v1::CancelJobRequest request;
  request.set_id(job.id());
  v1::Job cancelled;
  ASSERT_TRUE(jobs_->CancelJob(&context, request, &cancelled).ok());
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

TEST_F(CoordinatorTest, ReadsAListFileInTheBackground) {
  Start();
  std::string text = "id\turl\r\n";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "n", i, "\thttp://h/", i, "\r\n");
  absl::StrAppend(&text, "only one field\r\n");
  const v1::Job created = Create(FileJob(WriteList("a.tsv", text)));
  const v1::Job job = WaitFor(created.id(), [](const v1::Job& j) { return j.state() == v1::Job::RUNNING; });
  EXPECT_EQ(job.items(), 101u);
  EXPECT_EQ(job.failed(), 1u);
  WorkOff(job.id(), 3);  // 16, 32, and 52 of 53.
  EXPECT_EQ(Get(job.id()).state(), v1::Job::COMPLETED);
  const std::vector<v1::Outcome> outcomes = Results(job.id());
  ExpectIndices(outcomes, 0, 101);
  EXPECT_EQ(outcomes[100].error().reason(), v1::ItemError::BAD_ROW);
}

TEST_F(CoordinatorTest, ABadListRefusesTheCallAndMakesNoJob) {
  Start();
  EXPECT_EQ(TryCreate(FileJob("missing.tsv")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_NE(TryCreate(FileJob("../etc/passwd")).error_code(), grpc::StatusCode::OK);
  EXPECT_EQ(TryCreate(FileJob(WriteList("empty.tsv", ""))).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const grpc::Status status = TryCreate(FileJob(WriteList("b.tsv", "id\tlink\n1\thttp://h/\n")));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("b.tsv:1"));
  grpc::ClientContext context;
  v1::ListJobsResponse page;
  ASSERT_TRUE(jobs_->ListJobs(&context, {}, &page).ok());
  EXPECT_THAT(page.jobs(), IsEmpty());
}

class UploadTest : public CoordinatorTest {
 protected:
  static v1::UploadJobRequest First(const std::string& data) {
    v1::UploadJobRequest request;
    request.mutable_spec()->mutable_measure();
    request.mutable_list()->set_path("up.tsv");
    request.set_data(data);
    return request;
  }
  static v1::UploadJobRequest More(const std::string& data) {
    v1::UploadJobRequest request;
    request.set_data(data);
    return request;
  }
};

TEST_F(UploadTest, AnUploadIsWorkedOnWhileItComes) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(10'000);
  grpc::ClientContext context;
  const auto stream = jobs_->UploadJob(&context);
  stream->Write(First("url\n"));
  std::string rows;
  for (int i = 0; i < 20; ++i) absl::StrAppend(&rows, "http://h/", i, "\n");
  stream->Write(More(rows));
  v1::Job job;
  ASSERT_TRUE(stream->Read(&job));
  EXPECT_EQ(job.state(), v1::Job::READING);
  worker.DoAll(worker.NextLease());  // Sixteen items, before the list is whole.
  stream->Write(More(rows));
  stream->WritesDone();
  while (stream->Read(&job)) {
  }
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(job.state(), v1::Job::RUNNING);
  EXPECT_EQ(job.items(), 40u);
}

TEST_F(UploadTest, AnUploadThatBreaksOffFailsItsJobAndKeepsTheOutcomes) {
  Start();
  FakeWorker worker(channel_, "w");
  worker.Read();
  worker.Report(10'000);
  grpc::ClientContext context;
  const auto stream = jobs_->UploadJob(&context);
  std::string rows = "url\n";
  for (int i = 0; i < 20; ++i) absl::StrAppend(&rows, "http://h/", i, "\n");
  stream->Write(First(rows));
  v1::Job job;
  ASSERT_TRUE(stream->Read(&job));
  worker.DoAll(worker.NextLease());
  context.TryCancel();
  (void)stream->Finish();
  job = WaitFor(job.id(), Ended);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.failure(), HasSubstr("broke off"));
  EXPECT_EQ(job.succeeded(), 16u);
  EXPECT_GE(Results(job.id()).size(), 16u);
}

TEST_F(UploadTest, NoCancelledUploadEverPassesForWhole) {
  Start();
  for (int round = 0; round < 50; ++round) {
    grpc::ClientContext context;
    const auto stream = jobs_->UploadJob(&context);
    stream->Write(First("url\nhttp://h/1\n"));
    v1::Job job;
    ASSERT_TRUE(stream->Read(&job));
    stream->Write(More("http://h/2\n"));
    context.TryCancel();
    (void)stream->Finish();
    EXPECT_EQ(WaitFor(job.id(), [](const v1::Job& j) { return j.state() != v1::Job::READING; }).state(),
              v1::Job::FAILED);
  }
}

TEST_F(UploadTest, ABadUploadIsRefusedWithItsLine) {
  Start();
  struct Case {
    const char* data;
    const char* message;
  };
  for (const Case& c : {Case{"id\tlink\n1\thttp://h/\n", "up.tsv:1"}, Case{"", "empty"}}) {
    grpc::ClientContext context;
    const auto stream = jobs_->UploadJob(&context);
    stream->Write(First(c.data));
    stream->WritesDone();
    v1::Job job;
    while (stream->Read(&job)) {
    }
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << c.message;
    EXPECT_THAT(status.error_message(), HasSubstr(c.message));
  }
}

TEST_F(CoordinatorTest, AListGoesOnAfterARestart) {
  options_.store = absl::StrCat("sqlite:", folder_, "/db");
  std::string text = "url\n";
  constexpr uint64_t kRows = 300'000;
  for (uint64_t i = 0; i < kRows; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  Start();
  const std::string id = Create(FileJob(WriteList("big.tsv", text))).id();
  const v1::Job before = Get(id);
  Start();  // Stops in the middle of the list.
  EXPECT_EQ(before.state(), v1::Job::READING);
  const v1::Job after = WaitFor(id, [](const v1::Job& j) { return j.state() != v1::Job::READING; });
  EXPECT_EQ(after.state(), v1::Job::RUNNING) << after.failure();
  EXPECT_EQ(after.items(), kRows);
}

TEST_F(CoordinatorTest, AListThatChangedMeanwhileFailsItsJob) {
  options_.store = absl::StrCat("sqlite:", folder_, "/db");
  std::string text = "url\n";
  for (int i = 0; i < 300'000; ++i) absl::StrAppend(&text, "http://h/", i, "\n");
  Start();
  const std::string id = Create(FileJob(WriteList("big.tsv", text))).id();
  ASSERT_EQ(Get(id).state(), v1::Job::READING);
  jobs_.reset();
  channel_.reset();
  coordinator_.reset();
  WriteList("big.tsv", text + "http://h/more\n");
  Start();
  const v1::Job job = WaitFor(id, Ended);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.failure(), HasSubstr("changed while it was being read"));
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
