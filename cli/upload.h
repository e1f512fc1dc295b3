// Hands a list to a coordinator while it is being read.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cli/list_source.h"
#include "grpcpp/client_context.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

// One UploadJob from its first byte to its end, on two threads of its own. Thread-safe.
class Upload {
 public:
  // `first` carries the spec and how the list is written; its path is set here. Both referents must outlive
  // this.
  Upload(v1::Jobs::StubInterface& jobs, ListSource& source, v1::UploadJobRequest first);
  // Stops what is still going on.
  ~Upload();

  // Waits for the job to exist: its id, or why there is none.
  absl::StatusOr<std::string> JobId();
  // Waits for the whole list to be durable, or says why it is not.
  absl::Status Finish();
  // Whether the whole list is durable by now.
  bool finished();
  // Breaks off. From any thread, at any time.
  void Stop();

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::UploadJobRequest, v1::Job>;

  void Send();
  void Receive();

  ListSource& source_;
  v1::UploadJobRequest first_;
  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;

  std::atomic<bool> ended_{false};  // The coordinator takes no more; its status says why.

  absl::Mutex mutex_;
  std::string job_id_ ABSL_GUARDED_BY(mutex_);
  absl::Status sent_ ABSL_GUARDED_BY(mutex_);                   // What reading the list came to.
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);  // Set last.

  std::thread sender_, receiver_;
};

}  // namespace imgfleet::cli
