// Reads a job's outcomes in the order of their commits until the job has ended, over broken connections.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/grpc_call.h"
#include "gateway/task.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

class OutcomeStream {
 public:
  // Gets each chunk once. Not OK ends the reading with that status.
  using Sink = std::function<Task<absl::Status>(const v1::OutcomeChunk&)>;

  // A connection that breaks is made again after the last chunk that came whole, for as long as something
  // comes within `patience`. `stub` must outlive it.
  OutcomeStream(v1::Jobs::Stub& stub, std::string job_id, absl::Duration patience)
      : stub_(stub), job_id_(std::move(job_id)), patience_(patience) {}

  // OK once the job has ended and everything was handed on; CANCELLED after Cancel.
  Task<absl::Status> ReadAll(Sink sink);

  // From any coroutine of the same thread: ReadAll ends with CANCELLED soon.
  void Cancel();

 private:
  using Stream = ReadStream<v1::Outcomes>;

  Task<absl::Status> ReadOnce(const Sink& sink);

  v1::Jobs::Stub& stub_;
  const std::string job_id_;
  const absl::Duration patience_;

  uint64_t after_commit_seq_ = 0;
  uint32_t failures_ = 0;  // Since the last chunk, like what was waited in sum.
  absl::Duration waited_;
  bool cancelled_ = false;
  bool refused_ = false;  // By the sink.
  Stream* current_ = nullptr;
};

}  // namespace imgfleet::gateway
