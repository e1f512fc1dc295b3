// API v1. The three error texts, the shapes and the codes are a contract that clients match on.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "gateway/answer_few.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"
#include "gateway/run_job.h"

namespace imgfleet::gateway {
namespace {

constexpr char kNoData[] = "Data is not provided";
constexpr char kBadFile[] = "Invalid input file url";

Reply V1Refusal(const absl::Status& status) {
  if (absl::IsNotFound(status)) return V1Error(kNoData, status.message());
  if (absl::IsInvalidArgument(status)) return V1Error(kBadFile, status.message());
  return Problem(status);
}

// One images_info request. Few items are asked for at once; what the coordinator does not take so, and every longer list,
// is a job, its list going up and its outcomes coming down at the same time.
class ImagesInfo {
 public:
  ImagesInfo(const Backend& backend, const Request& request, Response& response)
      : backend_(backend), response_(response), ndjson_(Accepts(request.accept, kNdjson)) {}

  Task<absl::Status> Run(Submission& submission) {
    absl::Status status;
    if (submission.few.empty() || !backend_.express) {
      status = co_await AsOneJob(submission);
    } else {
      status = co_await RunFew(submission);
    }
    if (status.ok()) co_return co_await Close();
    co_return co_await Fail(status);
  }

 private:
  // OK: every item was written. Nothing of it is refused because a coordinator is away for a while.
  Task<absl::Status> RunFew(Submission& submission) {
    FewItems few(std::move(submission.few));
    const FewSink sink = [this](const v1::OutcomeChunk& chunk) { return WriteOutcomes(chunk); };
    co_return co_await AnswerFew(backend_, submission, few, response_.client_gone(), sink);
  }

  // OK: every item of one job of all that is submitted was written.
  Task<absl::Status> AsOneJob(Submission& submission) {
    OutcomeStream::Sink sink = [this](const v1::OutcomeChunk& chunk) { return WriteOutcomes(chunk); };
    co_return co_await RunJob(backend_, submission, response_.client_gone(), std::move(sink));
  }

  Task<absl::Status> WriteOutcomes(const v1::OutcomeChunk& chunk) {
    buffer_.clear();
    if (!begun_) {
      if (absl::Status status = co_await Begin(); !status.ok()) co_return status;
      if (!ndjson_) buffer_ = "{";
    }
    for (const v1::Outcome& outcome : chunk.outcomes()) {
      if (ndjson_) {
        outcome::AppendOutcomeJson(outcome, buffer_);
        buffer_ += '\n';
      } else {
        if (written_ > 0) buffer_ += ",\n";
        outcome::AppendV1Entry(outcome, buffer_);
      }
      ++written_;
    }
    co_return co_await response_.Write(buffer_);
  }

  Task<absl::Status> Begin() {
    begun_ = true;
    Head head = Streamed(ndjson_ ? kNdjson : kJson);
    co_return co_await response_.Begin(std::move(head));
  }

  Task<absl::Status> Close() {
    if (!begun_) {
      if (absl::Status status = co_await Begin(); !status.ok()) co_return status;
      if (!ndjson_) {
        if (absl::Status status = co_await response_.Write("{"); !status.ok()) co_return status;
      }
    }
    if (!ndjson_) {
      if (absl::Status status = co_await response_.Write("}\n"); !status.ok()) co_return status;
    }
    co_return co_await response_.End();
  }

  // Before the answer has begun it can still say what went wrong; after that only breaking off tells.
  Task<absl::Status> Fail(const absl::Status& status) {
    if (begun_ || response_.client_gone().gone()) co_return status;
    // NOT_FOUND would read as a request without data; here it is the job that is gone.
    absl::Status told = status;
    if (absl::IsNotFound(told)) told = absl::InternalError(status.message());
    Reply reply = V1Refusal(told);
    co_return co_await response_.Send(std::move(reply));
  }

  const Backend& backend_;
  Response& response_;
  const bool ndjson_;
  bool begun_ = false;
  uint64_t written_ = 0;
  std::string buffer_;
};

Task<absl::Status> ServeImagesInfo(const Backend& backend, const Request& request, Response& response) {
  if (IsCrossSite(request))
    co_return co_await response.Send(Problem(403, "PERMISSION_DENIED", "not from another site"));
  absl::StatusOr<Submission> submission = ParseSubmission(request.body, Strangers::kPass);
  if (!submission.ok()) co_return co_await response.Send(V1Refusal(submission.status()));
  ImagesInfo exchange(backend, request, response);
  co_return co_await exchange.Run(*submission);
}

Task<absl::Status> ServeAsync(const Backend& backend, const Request& request, Response& response) {
  if (IsCrossSite(request))
    co_return co_await response.Send(Problem(403, "PERMISSION_DENIED", "not from another site"));
  absl::StatusOr<Submission> submission = ParseSubmission(request.body, Strangers::kPass);
  if (!submission.ok()) co_return co_await response.Send(V1Refusal(submission.status()));
  const absl::StatusOr<v1::Job> job = co_await Submit(backend, *submission, response.client_gone());
  if (!job.ok()) co_return co_await response.Send(V1Refusal(job.status()));
  std::string body = "{\"ok\": \"Processing Images\", \"job\": ";
  outcome::AppendJobJson(*job, backend.clock.Wall(), body);
  body += "}\n";
  Reply reply = Json(200, std::move(body));
  reply.head.headers.emplace_back("Location", absl::StrCat("/api/v1/jobs/", job->id()));
  co_return co_await response.Send(std::move(reply));
}

}  // namespace

void AddImagesInfoRoutes(const Backend& backend, Router& router) {
  router.Add("POST", "/api/v1/images_info", [&backend](const Request& request, Response& response) {
    return ServeImagesInfo(backend, request, response);
  });
  router.Add("POST", "/api/v1/images_info_async", [&backend](const Request& request, Response& response) {
    return ServeAsync(backend, request, response);
  });
  router.Add("GET", "/ping", [](const Request&, Response& response) {
    return response.Send(Json(200, "{\"ping\": \"pong\"}\n"));
  });
}

}  // namespace imgfleet::gateway
