// Uploads a list to the coordinator while its outcomes are already being read.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gateway/baton.h"
#include "gateway/grpc_call.h"
#include "gateway/list_source.h"
#include "gateway/submission.h"
#include "gateway/task.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

// One UploadJob call. Runs by itself on the executor of the coroutine that started it and lives until the
// call is over, be it that nobody waits for it any more. A slow coordinator slows the reading of the list.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
  // `stub` must outlive the call.
  static Task<std::shared_ptr<Upload>> Start(v1::Jobs::Stub& stub, const Submission& submission,
                                             std::unique_ptr<ListSource> source);

  // The job, as soon as the coordinator has it. Once.
  Task<absl::StatusOr<v1::Job>> Created() { return created_.Wait(); }
  // The job with the whole list durable. Once.
  Task<absl::StatusOr<v1::Job>> Finished() { return finished_.Wait(); }
  // Breaks the upload off; the coordinator ends the job FAILED. Nothing once it is finished.
  void Cancel() { stream_.Cancel(); }

 private:
  explicit Upload(std::unique_ptr<ListSource> source) : source_(std::move(source)) {}
  static Task<void> Run(std::shared_ptr<Upload> self);
  static Task<void> ReadJobs(std::shared_ptr<Upload> self);
  Task<absl::Status> WriteList();

  const std::unique_ptr<ListSource> source_;
  DuplexStream<v1::UploadJobRequest, v1::Job> stream_;
  v1::Job last_;
  bool has_job_ = false;
  Baton<bool> reads_ended_;
  Baton<absl::StatusOr<v1::Job>> created_;
  Baton<absl::StatusOr<v1::Job>> finished_;
};

}  // namespace imgfleet::gateway
