#include "gateway/upload.h"

#include <utility>

#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/this_coro.hpp"

namespace imgfleet::gateway {

Task<std::shared_ptr<Upload>> Upload::Start(v1::Jobs::Stub& stub, const Submission& submission,
                                            std::unique_ptr<ListSource> source) {
  const std::shared_ptr<Upload> upload(new Upload(std::move(source)));
  v1::UploadJobRequest& first = upload->stream_.request();
  *first.mutable_spec() = submission.spec;
  first.set_priority(submission.priority);
  first.set_idempotency_key(submission.idempotency_key);
  first.set_request_hash(submission.request_hash);
  if (submission.filepath.empty()) {
    first.mutable_list()->set_path("request");
    first.mutable_list()->set_format(submission.list_format);
  } else {
    first.mutable_list()->set_path(submission.filepath);
  }
  stub.async()->UploadJob(upload->stream_.context(), upload->stream_.reactor());
  upload->stream_.Start();
  const auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::co_spawn(executor, Run(upload), boost::asio::detached);
  boost::asio::co_spawn(executor, ReadJobs(upload), boost::asio::detached);
  co_return upload;
}

Task<void> Upload::Run(std::shared_ptr<Upload> self) {
  const absl::Status list = co_await self->WriteList();
  co_await self->reads_ended_.Wait();
  absl::Status status = co_await self->stream_.Finish();
  if (!list.ok()) status = list;
  if (status.ok() && !self->has_job_)
    status = absl::InternalError("the coordinator answered an upload without a job");
  if (!self->has_job_) self->created_.Set(status);
  if (status.ok()) {
    self->finished_.Set(self->last_);
  } else {
    self->finished_.Set(status);
  }
}

// OK also where the coordinator has had enough: the call's own status says why.
Task<absl::Status> Upload::WriteList() {
  for (;;) {
    absl::StatusOr<std::string> piece = co_await source_->Next();
    if (!piece.ok()) {
      stream_.Cancel();
      co_return piece.status();
    }
    if (piece->empty()) {
      // A list without a byte in it still has to be announced.
      bool open = true;
      if (stream_.request().has_list()) open = co_await stream_.Write();
      if (open) co_await stream_.WritesDone();
      co_return absl::OkStatus();
    }
    stream_.request().set_data(*std::move(piece));
    const bool open = co_await stream_.Write();
    if (!open) co_return absl::OkStatus();
    stream_.request().Clear();
  }
}

Task<void> Upload::ReadJobs(std::shared_ptr<Upload> self) {
  for (;;) {
    const bool more = co_await self->stream_.Read();
    if (!more) break;
    self->last_ = self->stream_.message();
    if (!std::exchange(self->has_job_, true)) self->created_.Set(self->last_);
  }
  self->reads_ended_.Set(true);
}

}  // namespace imgfleet::gateway
