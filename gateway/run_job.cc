#include "gateway/run_job.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/this_coro.hpp"
#include "common/log.h"
#include "gateway/grpc_call.h"
#include "gateway/upload.h"

namespace imgfleet::gateway {
namespace {

using Async = v1::Jobs::StubInterface::async_interface;

// What ends a running job early, be it the client's leaving or the limit's.
class Ending {
 public:
  explicit Ending(ClientGone& client) : client_(client) {}
  ~Ending() { client_.Set(nullptr); }

  void Set(std::function<void()> end) {
    client_.Set(end);
    end_ = std::move(end);
    if (late_) end_();
  }
  void Unset() {
    client_.Set(nullptr);
    end_ = nullptr;
  }
  void LimitIsOver() {
    late_ = true;
    if (end_ != nullptr) end_();
  }
  bool late() const { return late_; }

 private:
  ClientGone& client_;
  std::function<void()> end_;
  bool late_ = false;
};

// OK: every item of the job was handed on.
Task<absl::Status> ReadAll(const Backend& backend, Upload& upload, std::string job_id,
                           OutcomeStream::Sink sink, Ending& ending) {
  OutcomeStream outcomes(backend.jobs, job_id, backend.patience);
  ending.Set([&upload, &outcomes] {
    upload.Cancel();
    outcomes.Cancel();
  });
  const absl::Cleanup forget = [&ending] { ending.Unset(); };
  uint64_t received = 0;
  OutcomeStream::Sink counting = [&received, &sink](const v1::OutcomeChunk& chunk) {
    received += static_cast<uint64_t>(chunk.outcomes_size());
    return sink(chunk);
  };
  absl::Status status = co_await outcomes.ReadAll(std::move(counting));
  if (!status.ok()) co_return status;
  const absl::StatusOr<v1::Job> uploaded = co_await upload.Finished();
  if (!uploaded.ok()) co_return uploaded.status();
  v1::GetJobRequest request;
  request.set_id(job_id);
  const auto job = co_await Call(backend.jobs.async(), &Async::GetJob, request, backend.call_timeout);
  if (absl::IsDeadlineExceeded(job.status())) co_return absl::UnavailableError(job.status().message());
  if (!job.ok()) co_return job.status();
  if (job->state() != v1::Job::COMPLETED) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("the job ended ", v1::Job::State_Name(job->state()).c_str(), ": ", job->failure()));
  }
  if (received != job->items()) {
    co_return absl::InternalError(
        absl::StrCat("the job has ", job->items(), " items, its outcomes are ", received));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Run(const Backend& backend, Submission& submission, OutcomeStream::Sink sink,
                       Ending& ending) {
  auto source = co_await OpenList(backend.lists, submission);
  if (!source.ok()) co_return source.status();
  std::unique_ptr<ListSource> list = *std::move(source);
  const auto upload = co_await Upload::Start(backend.jobs, submission, std::move(list));
  ending.Set([upload] { upload->Cancel(); });
  const absl::StatusOr<v1::Job> job = co_await upload->Created();
  ending.Unset();
  if (!job.ok()) co_return ListRefusal(submission, job.status());

  const absl::Status status = co_await ReadAll(backend, *upload, job->id(), std::move(sink), ending);
  if (status.ok()) co_return status;
  upload->Cancel();
  v1::CancelJobRequest cancel;
  cancel.set_id(job->id());
  const auto cancelled = co_await Call(backend.jobs.async(), &Async::CancelJob, cancel, backend.call_timeout);
  if (!cancelled.ok()) {
    log::Warning("job %s could not be cancelled: %s", job->id(), cancelled.status().ToString());
  }
  co_return status;
}

}  // namespace

Task<absl::Status> RunJob(const Backend& backend, Submission& submission, ClientGone& client,
                          OutcomeStream::Sink sink, absl::Duration limit) {
  const auto ending = std::make_shared<Ending>(client);
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  if (limit < absl::InfiniteDuration()) {
    timer.expires_after(absl::ToChronoNanoseconds(limit));
    timer.async_wait([weak = std::weak_ptr<Ending>(ending)](const boost::system::error_code& stopped) {
      const std::shared_ptr<Ending> running = weak.lock();
      if (!stopped && running != nullptr) running->LimitIsOver();
    });
  }
  const absl::Status status = co_await Run(backend, submission, std::move(sink), *ending);
  if (status.ok() || client.gone() || !ending->late()) co_return status;
  co_return absl::DeadlineExceededError("the time for the job is over");
}

}  // namespace imgfleet::gateway
