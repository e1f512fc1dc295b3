// The API of our own: jobs, their state and their results.
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/ids.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "gateway/grpc_call.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"
#include "gateway/results.h"
#include "gateway/upload.h"

namespace imgfleet::gateway {
namespace {

constexpr uint32_t kMaxPageSize = 1000;

}  // namespace

bool IsJson(absl::string_view content_type) {
  const std::string type(absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
  return type.empty() || absl::EqualsIgnoreCase(type, "application/json") ||
         (absl::StartsWithIgnoreCase(type, "application/") && absl::EndsWithIgnoreCase(type, "+json"));
}

bool IsCrossSite(const Request& request) { return request.fetch_site == "cross-site"; }

std::optional<Reply> RefuseAbout(absl::string_view kind, const Request& request, std::string* id) {
  if (request.method != "GET" && IsCrossSite(request)) {
    return Problem(403, "PERMISSION_DENIED", "not from another site");
  }
  if (!IsUuid(request.id)) {
    return Problem(404, "NOT_FOUND", absl::StrCat("there is no ", kind, " ", request.id));
  }
  *id = absl::AsciiStrToLower(request.id);
  return std::nullopt;
}

Task<absl::StatusOr<v1::Job>> Submit(const Backend& backend, Submission& submission, ClientGone& client) {
  auto source = co_await OpenList(backend.lists, submission);
  if (!source.ok()) co_return source.status();
  std::unique_ptr<ListSource> list = *std::move(source);
  const auto upload = co_await Upload::Start(backend.jobs, submission, std::move(list));
  client.Set([upload] { upload->Cancel(); });
  const absl::Cleanup forget = [&client] { client.Set(nullptr); };
  absl::StatusOr<v1::Job> job = co_await upload->Created();
  if (job.ok()) job = co_await upload->Finished();
  if (!job.ok()) co_return ListRefusal(submission, job.status());
  co_return job;
}

absl::StatusOr<Page> ParsePage(const Request& request) {
  Page page;
  page.token = std::string(request.Parameter("page_token"));
  const absl::string_view size = request.Parameter("page_size");
  if (size.empty()) return page;
  if (!absl::SimpleAtoi(size, &page.size) || page.size == 0 || page.size > kMaxPageSize) {
    return absl::InvalidArgumentError(absl::StrCat("page_size is to be from 1 to ", kMaxPageSize));
  }
  return page;
}

Reply PageReply(absl::string_view name, const std::vector<std::string>& rows,
                absl::string_view next_page_token) {
  std::string body = absl::StrCat("{\"", name, "\":[", absl::StrJoin(rows, ",\n"), "],\"next_page_token\":");
  if (next_page_token.empty()) {
    body += "null";
  } else {
    outcome::AppendJsonString(next_page_token, body);
  }
  body += "}\n";
  return Json(200, std::move(body));
}

namespace {

using Async = v1::Jobs::StubInterface::async_interface;

template <typename Message>
using Method = void (Async::*)(grpc::ClientContext*, const Message*, v1::Job*,
                               std::function<void(grpc::Status)>);
constexpr Method<v1::CancelJobRequest> kCancel = &Async::CancelJob;
constexpr Method<v1::PauseJobRequest> kPause = &Async::PauseJob;
constexpr Method<v1::ResumeJobRequest> kResume = &Async::ResumeJob;
constexpr Method<v1::PrioritizeJobRequest> kPrioritize = &Async::PrioritizeJob;
constexpr Method<v1::RetryFailedRequest> kRetry = &Async::RetryFailed;

std::string JobJson(const Backend& backend, const v1::Job& job) {
  std::string body;
  outcome::AppendJobJson(job, backend.clock.Wall(), body);
  body += '\n';
  return body;
}

Task<absl::Status> CreateJob(const Backend& backend, const Request& request, Response& response) {
  if (IsCrossSite(request))
    co_return co_await response.Send(Problem(403, "PERMISSION_DENIED", "not from another site"));
  if (!IsJson(request.content_type)) {
    co_return co_await response.Send(Problem(415, "INVALID_ARGUMENT", "send Content-Type: application/json"));
  }
  absl::StatusOr<Submission> submission = ParseSubmission(request.body, Strangers::kRefuse);
  if (absl::IsNotFound(submission.status())) {
    co_return co_await response.Send(
        Problem(400, "INVALID_ARGUMENT", std::string(submission.status().message())));
  }
  if (!submission.ok()) co_return co_await response.Send(Problem(submission.status()));
  if (submission->every_seconds > 0 || !submission->cron.empty()) {
    if (!request.idempotency_key.empty()) {
      co_return co_await response.Send(
          Problem(400, "INVALID_ARGUMENT",
                  "Idempotency-Key: a schedule has none; GET /api/v1/schedules shows whether it was made"));
    }
    co_return co_await CreateSchedule(backend, *submission, response);
  }
  if (!request.idempotency_key.empty()) {
    submission->idempotency_key = request.idempotency_key;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(request.body.data()), request.body.size(), digest);
    submission->request_hash.assign(reinterpret_cast<const char*>(digest), sizeof digest);
  }
  const absl::StatusOr<v1::Job> job = co_await Submit(backend, *submission, response.client_gone());
  if (!job.ok()) co_return co_await response.Send(Problem(job.status()));
  Reply reply = Json(202, JobJson(backend, *job));
  reply.head.headers.emplace_back("Location", absl::StrCat("/api/v1/jobs/", job->id()));
  reply.head.headers.emplace_back("Retry-After", "1");
  co_return co_await response.Send(std::move(reply));
}

Task<absl::Status> ListJobs(const Backend& backend, const Request& request, Response& response) {
  const absl::StatusOr<Page> page = ParsePage(request);
  if (!page.ok()) {
    co_return co_await response.Send(Problem(400, "INVALID_ARGUMENT", std::string(page.status().message())));
  }
  v1::ListJobsRequest list;
  list.set_page_token(page->token);
  list.set_page_size(page->size);
  const auto found = co_await Call(backend.jobs.async(), &Async::ListJobs, list, backend.call_timeout);
  if (!found.ok()) co_return co_await response.Send(Problem(found.status()));
  std::vector<std::string> rows;
  for (const v1::Job& job : found->jobs()) {
    outcome::AppendJobJson(job, backend.clock.Wall(), rows.emplace_back());
  }
  co_return co_await response.Send(PageReply("jobs", rows, found->next_page_token()));
}

Task<absl::StatusOr<v1::Job>> Find(const Backend& backend, const std::string& id) {
  if (!IsUuid(id)) co_return absl::NotFoundError(absl::StrCat("there is no job ", id));
  v1::GetJobRequest get;
  get.set_id(absl::AsciiStrToLower(id));
  co_return co_await Call(backend.jobs.async(), &Async::GetJob, get, backend.call_timeout);
}

Task<absl::Status> GetJob(const Backend& backend, const Request& request, Response& response) {
  const absl::StatusOr<v1::Job> job = co_await Find(backend, request.id);
  if (!job.ok()) co_return co_await response.Send(Problem(job.status()));
  Reply reply = Json(200, JobJson(backend, *job));
  reply.head.headers.emplace_back("Cache-Control", "no-store");
  if (!job->has_end_time()) reply.head.headers.emplace_back("Retry-After", "1");
  co_return co_await response.Send(std::move(reply));
}

// What a verb takes besides the job's id.
template <typename Message>
absl::Status ReadBody(const Request&, Message&) {
  return absl::OkStatus();
}
absl::Status ReadBody(const Request& request, v1::RetryFailedRequest& retry) {
  retry.set_idempotency_key(request.idempotency_key);
  return absl::OkStatus();
}
absl::Status ReadBody(const Request& request, v1::PrioritizeJobRequest& prioritize) {
  ASSIGN_OR_RETURN(const int32_t priority, ParsePriority(request.body));
  prioritize.set_priority(priority);
  return absl::OkStatus();
}

// POST /api/v1/jobs/{id}:verb. `code` is 202 where the answer is another job, which goes on by itself.
template <typename Message, auto kMethod, unsigned kCode = 200>
Task<absl::Status> Control(const Backend& backend, const Request& request, Response& response) {
  Message message;
  std::optional<Reply> refusal = RefuseAbout("job", request, message.mutable_id());
  if (refusal.has_value()) co_return co_await response.Send(*std::move(refusal));
  if (const absl::Status read = ReadBody(request, message); !read.ok()) {
    co_return co_await response.Send(Problem(read));
  }
  const absl::StatusOr<v1::Job> job =
      co_await Call(backend.jobs.async(), kMethod, message, backend.call_timeout);
  if (!job.ok()) co_return co_await response.Send(Problem(job.status()));
  Reply reply = Json(kCode, JobJson(backend, *job));
  if (kCode == 202) reply.head.headers.emplace_back("Location", absl::StrCat("/api/v1/jobs/", job->id()));
  co_return co_await response.Send(std::move(reply));
}

Task<absl::Status> GetResults(const Backend& backend, const Request& request, Response& response) {
  absl::StatusOr<ResultsRequest> wanted = ParseResultsRequest(request);
  if (!wanted.ok())
    co_return co_await response.Send(
        Problem(400, "INVALID_ARGUMENT", std::string(wanted.status().message())));
  const absl::StatusOr<v1::Job> job = co_await Find(backend, request.id);
  if (!job.ok()) co_return co_await response.Send(Problem(job.status()));
  wanted->gaps = !job->parent_id().empty();
  co_return co_await StreamResults(backend.jobs, job->id(), *wanted, request.head, response);
}

}  // namespace

void AddJobRoutes(const Backend& backend, Router& router) {
  const auto add = [&](absl::string_view method, absl::string_view pattern, auto serve) {
    router.Add(method, pattern, [&backend, serve](const Request& request, Response& response) {
      return serve(backend, request, response);
    });
  };
  add("POST", "/api/v1/jobs", CreateJob);
  add("GET", "/api/v1/jobs", ListJobs);
  add("GET", "/api/v1/jobs/{id}", GetJob);
  add("GET", "/api/v1/jobs/{id}/results", GetResults);
  add("POST", "/api/v1/jobs/{id}:cancel", Control<v1::CancelJobRequest, kCancel>);
  add("POST", "/api/v1/jobs/{id}:pause", Control<v1::PauseJobRequest, kPause>);
  add("POST", "/api/v1/jobs/{id}:resume", Control<v1::ResumeJobRequest, kResume>);
  add("POST", "/api/v1/jobs/{id}:prioritize", Control<v1::PrioritizeJobRequest, kPrioritize>);
  add("POST", "/api/v1/jobs/{id}:retryFailed", Control<v1::RetryFailedRequest, kRetry, 202>);
}

}  // namespace imgfleet::gateway
