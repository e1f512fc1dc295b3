// A Jobs service for tests: does what it is told, and remembers what was asked of it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/outcome/codec.h"
#include "common/status.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

inline v1::Outcome Measured(uint64_t index) {
  v1::Outcome outcome;
  outcome.set_index(index);
  outcome.set_id(absl::StrCat(index));
  outcome.set_url(absl::StrCat("https://example.com/", index, ".jpg"));
  outcome.mutable_image()->set_format("jpeg");
  outcome.mutable_image()->set_width(800);
  outcome.mutable_image()->set_height(600);
  outcome.mutable_image()->set_size_bytes(20413);
  return outcome;
}

inline v1::Outcome Failed(uint64_t index, v1::ItemError::Reason reason) {
  v1::Outcome outcome;
  outcome.set_index(index);
  outcome.set_id(absl::StrCat(index));
  outcome.set_url("https://example.com/gone");
  outcome.mutable_error()->set_reason(reason);
  outcome.mutable_error()->set_message("it failed");
  return outcome;
}

// What a test decides before anything is asked.
struct Script {
  absl::Status refuse_upload = absl::OkStatus();  // Instead of a job.
  bool hold_upload = false;                     // Reads nothing after the first message until ReleaseUpload.
  uint64_t break_events_after = 0;              // One ReadEvents ends UNAVAILABLE after this commit_seq.
  absl::Status fail_events = absl::OkStatus();  // Each reading ends so once it has sent all there is.
  // What each FetchNow in turn answers: outcomes of what was asked, then the end. Beyond the last: UNIMPLEMENTED.
  struct Fetch {
    std::vector<v1::Outcome> outcomes;
    absl::Status end;
  };
  std::vector<Fetch> fetches = {};
};

// One job, whatever is uploaded; its outcomes are what the test commits. Thread-safe.
class FakeJobs final : public v1::Jobs::Service {
 public:
  static constexpr char kId[] = "01900000-0000-7000-8000-000000000001";

  // What was asked.
  struct Seen {
    v1::JobSpec spec;
    v1::ListFile list;
    uint64_t uploaded_bytes = 0;
    std::string uploaded;  // The first MiB.
    bool uploaded_all = false;
    int event_readings = 0;
    uint64_t events_sent = 0;
    int cancels = 0;
    std::vector<v1::FetchNowRequest> fetches;
    std::string page_token;
    uint32_t page_size = 0;
  };

  explicit FakeJobs(Script script = {}) : script_(std::move(script)) {
    job_.set_id(kId);
    job_.set_state(v1::Job::READING);
    job_.mutable_create_time()->set_seconds(1'700'000'000);
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeJobs() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::shared_ptr<grpc::Channel> Channel() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return server_->InProcessChannel(arguments);
  }

  void Commit(const std::vector<v1::Outcome>& outcomes) {
    v1::OutcomeChunk chunk;
    for (const v1::Outcome& outcome : outcomes) *chunk.add_outcomes() = outcome;
    absl::MutexLock lock(&mutex_);
    job_.set_items(job_.items() + outcomes.size());
    for (const v1::Outcome& outcome : outcomes) {
      if (outcome.has_image()) job_.set_succeeded(job_.succeeded() + 1);
      if (outcome.has_error()) job_.set_failed(job_.failed() + 1);
    }
    first_index_.push_back(job_.items() - outcomes.size());
    chunks_.push_back(outcome::PackOutcomes(chunk));
    job_.set_last_commit_seq(chunks_.size());
  }
  // `missing` items are known to the job and have no outcome.
  void End(v1::Job::State state = v1::Job::COMPLETED, uint64_t missing = 0) {
    absl::MutexLock lock(&mutex_);
    job_.set_items(job_.items() + missing);
    job_.set_state(state);
    if (state == v1::Job::FAILED) job_.set_failure("list.tsv:7: it broke off");
    job_.mutable_end_time()->set_seconds(1'700'000'010);
  }
  void ReleaseUpload() {
    absl::MutexLock lock(&mutex_);
    script_.hold_upload = false;
  }
  Seen seen() {
    absl::MutexLock lock(&mutex_);
    return seen_;
  }
  bool AwaitCancel() {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(
                                       +[](int* n) { return *n > 0; }, &seen_.cancels),
                                   absl::Seconds(30));
  }
  bool AwaitEventReading() {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(
                                       +[](int* n) { return *n > 0; }, &seen_.event_readings),
                                   absl::Seconds(30));
  }

  // --- v1::Jobs

  grpc::Status UploadJob(grpc::ServerContext* context,
                         grpc::ServerReaderWriter<v1::Job, v1::UploadJobRequest>* stream) override {
    v1::UploadJobRequest request;
    if (!stream->Read(&request)) return {grpc::StatusCode::INVALID_ARGUMENT, "no message"};
    {
      absl::MutexLock lock(&mutex_);
      seen_.spec = request.spec();
      seen_.list = request.list();
      if (!script_.refuse_upload.ok()) return ToGrpc(script_.refuse_upload);
    }
    stream->Write(Now());
    do {
      if (!AwaitRelease(context)) return grpc::Status::CANCELLED;
      absl::MutexLock lock(&mutex_);
      seen_.uploaded_bytes += request.data().size();
      if (seen_.uploaded.size() < (1 << 20)) seen_.uploaded += request.data();
    } while (stream->Read(&request));
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    {
      absl::MutexLock lock(&mutex_);
      seen_.uploaded_all = true;
      if (job_.state() == v1::Job::READING) job_.set_state(v1::Job::RUNNING);
    }
    stream->Write(Now());
    return grpc::Status::OK;
  }

  grpc::Status ReadEvents(grpc::ServerContext* context, const v1::ReadEventsRequest* request,
                          grpc::ServerWriter<v1::Outcomes>* writer) override {
    {
      absl::MutexLock lock(&mutex_);
      ++seen_.event_readings;
    }
    for (uint64_t seq = request->after_commit_seq() + 1;; ++seq) {
      v1::Outcomes message;
      bool ended = false;
      absl::Status fail;
      while (!Event(seq, message, ended, fail)) {
        if (context->IsCancelled()) return grpc::Status::CANCELLED;
        AwaitChange();
      }
      if (ended || !fail.ok()) return ToGrpc(fail);
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
      absl::MutexLock lock(&mutex_);
      ++seen_.events_sent;
      if (seq == script_.break_events_after) {
        script_.break_events_after = 0;
        return {grpc::StatusCode::UNAVAILABLE, "the coordinator went away"};
      }
    }
  }

  grpc::Status ReadResults(grpc::ServerContext*, const v1::ReadResultsRequest* request,
                           grpc::ServerWriter<v1::Outcomes>* writer) override {
    absl::MutexLock lock(&mutex_);
    // Each chunk is a shard here.
    for (size_t i = 0; i < chunks_.size(); ++i) {
      const uint64_t next = i + 1 < chunks_.size() ? first_index_[i + 1] : job_.succeeded() + job_.failed();
      if (next <= request->from_index()) continue;
      v1::Outcomes message;
      message.set_packed(chunks_[i]);
      message.set_next_index(next);
      message.set_shard_complete(true);
      writer->Write(message);
    }
    return ToGrpc(script_.fail_events);
  }

  grpc::Status FetchNow(grpc::ServerContext*, const v1::FetchNowRequest* request,
                        grpc::ServerWriter<v1::Outcomes>* writer) override {
    absl::MutexLock lock(&mutex_);
    seen_.fetches.push_back(*request);
    if (seen_.fetches.size() > script_.fetches.size()) return {grpc::StatusCode::UNIMPLEMENTED, "not here"};
    const Script::Fetch& fetch = script_.fetches[seen_.fetches.size() - 1];
    for (const v1::Outcome& outcome : fetch.outcomes) {
      v1::OutcomeChunk chunk;
      *chunk.add_outcomes() = outcome;
      v1::Outcomes message;
      message.set_packed(outcome::PackOutcomes(chunk));
      writer->Write(message);
    }
    return ToGrpc(fetch.end);
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request, v1::Job* job) override {
    if (request->id() != kId) return {grpc::StatusCode::NOT_FOUND, "there is no job " + request->id()};
    *job = Now();
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    *response->add_jobs() = Now();
    response->set_next_page_token(request->page_token().empty() ? "more" : "");
    absl::MutexLock lock(&mutex_);
    seen_.page_token = request->page_token();
    seen_.page_size = request->page_size();
    return grpc::Status::OK;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request, v1::Job* job) override {
    if (request->id() != kId) return {grpc::StatusCode::NOT_FOUND, "there is no job " + request->id()};
    {
      absl::MutexLock lock(&mutex_);
      ++seen_.cancels;
      job_.set_state(v1::Job::CANCELLED);
    }
    *job = Now();
    return grpc::Status::OK;
  }

 private:
  v1::Job Now() {
    absl::MutexLock lock(&mutex_);
    return job_;
  }
  // gRPC's synchronous API tells of a cancelled call only when asked.
  void AwaitChange() {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(
                                +[](FakeJobs*) { return false; }, this),
                            absl::Milliseconds(5));
  }
  bool AwaitRelease(grpc::ServerContext* context) {
    for (;;) {
      {
        absl::MutexLock lock(&mutex_);
        if (!script_.hold_upload) return true;
      }
      if (context->IsCancelled()) return false;
      AwaitChange();
    }
  }
  // Whether there is something to do now: a chunk to send, or the end.
  bool Event(uint64_t seq, v1::Outcomes& message, bool& ended, absl::Status& fail) {
    absl::MutexLock lock(&mutex_);
    if (seq <= chunks_.size()) {
      message.set_packed(chunks_[seq - 1]);
      message.set_commit_seq(seq);
      return true;
    }
    fail = script_.fail_events;
    ended = job_.state() >= v1::Job::COMPLETED;
    return ended || !fail.ok();
  }

  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  Script script_ ABSL_GUARDED_BY(mutex_);
  Seen seen_ ABSL_GUARDED_BY(mutex_);
  v1::Job job_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> chunks_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> first_index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::gateway
