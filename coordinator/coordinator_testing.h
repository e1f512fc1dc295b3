// For tests: a coordinator over a real gRPC channel inside the process, and a worker that does as it is told.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "coordinator/coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"

namespace imgfleet {

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

inline std::vector<uint32_t> Offsets(uint32_t from, uint32_t to) {
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
    auto started = Coordinator::Start(options_, metrics_, *clock_);
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
  grpc::Status Cancel(const std::string& id, v1::Job* job = nullptr) {
    grpc::ClientContext context;
    v1::CancelJobRequest request;
    request.set_id(id);
    v1::Job unused;
    return jobs_->CancelJob(&context, request, job == nullptr ? &unused : job);
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
    ASSERT_THAT(outcomes, ::testing::SizeIs(to - from));
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

  const Clock* clock_ = &Clock::System();
  metrics::Registry metrics_{"coordinator"};
  std::string folder_;
  Coordinator::Options options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

}  // namespace imgfleet
