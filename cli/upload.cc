#include "cli/upload.h"

#include <utility>

#include "common/status.h"

namespace imgfleet::cli {

Upload::Upload(v1::Jobs::StubInterface& jobs, ListSource& source, v1::UploadJobRequest first)
    : source_(source), first_(std::move(first)), stream_(jobs.UploadJob(&context_)) {
  first_.mutable_list()->set_path(source.name());
  sender_ = std::thread([this] { Send(); });
  receiver_ = std::thread([this] { Receive(); });
}

Upload::~Upload() {
  Stop();
  receiver_.join();
}

void Upload::Stop() {
  source_.Stop();
  context_.TryCancel();
}

void Upload::Send() {
  v1::UploadJobRequest message = std::move(first_);
  absl::Status sent;
  while (true) {
    absl::StatusOr<std::string> piece = source_.Read();
    if (!piece.ok()) {
      sent = piece.status();
      // Half a list must not pass for a whole one; but what the coordinator had to say must not be lost either.
      if (!ended_) context_.TryCancel();
      break;
    }
    const bool end = piece->empty();
    *message.mutable_data() = *std::move(piece);
    // A list without a byte still is a job to ask for. A stream that takes no more tells why when it is
    // finished.
    if ((!end || message.has_spec()) && !stream_->Write(message)) break;
    if (end) break;
    message.Clear();
  }
  stream_->WritesDone();
  absl::MutexLock lock(&mutex_);
  sent_ = sent;
}

void Upload::Receive() {
  v1::Job job;
  while (stream_->Read(&job)) {
    absl::MutexLock lock(&mutex_);
    job_id_ = job.id();
  }
  ended_ = true;
  source_.Stop();  // The sender may be waiting for more of the list.
  sender_.join();
  const absl::Status status = FromGrpc(stream_->Finish());
  absl::MutexLock lock(&mutex_);
  const bool own_failure = !sent_.ok() && !absl::IsCancelled(sent_);
  result_ = own_failure ? sent_ : status;
}

absl::StatusOr<std::string> Upload::JobId() {
  absl::MutexLock lock(&mutex_);
  const auto known = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !job_id_.empty() || result_.has_value();
  };
  mutex_.Await(absl::Condition(&known));
  if (!job_id_.empty()) return job_id_;
  return result_->ok() ? absl::InternalError("the coordinator took the list and named no job") : *result_;
}

absl::Status Upload::Finish() {
  absl::MutexLock lock(&mutex_);
  const auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return result_.has_value(); };
  mutex_.Await(absl::Condition(&ended));
  return *result_;
}

bool Upload::finished() {
  absl::MutexLock lock(&mutex_);
  return result_.has_value() && result_->ok();
}

}  // namespace imgfleet::cli
