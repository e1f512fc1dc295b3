// Schedules: made by POST /api/v1/jobs with "schedule", looked after here.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/json.h"
#include "gateway/grpc_call.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

using Async = v1::Jobs::StubInterface::async_interface;

template <typename Message>
using Method = void (Async::*)(grpc::ClientContext*, const Message*, v1::Schedule*,
                               std::function<void(grpc::Status)>);
constexpr Method<v1::GetScheduleRequest> kGet = &Async::GetSchedule;
constexpr Method<v1::PauseScheduleRequest> kPause = &Async::PauseSchedule;
constexpr Method<v1::ResumeScheduleRequest> kResume = &Async::ResumeSchedule;

std::string ScheduleJson(const v1::Schedule& schedule) {
  std::string body;
  outcome::AppendScheduleJson(schedule, body);
  body += '\n';
  return body;
}

Task<absl::Status> ListSchedules(const Backend& backend, const Request& request, Response& response) {
  const absl::StatusOr<Page> page = ParsePage(request);
  if (!page.ok()) {
    co_return co_await response.Send(Problem(400, "INVALID_ARGUMENT", std::string(page.status().message())));
  }
  v1::ListSchedulesRequest list;
  list.set_page_token(page->token);
  list.set_page_size(page->size);
  const auto found = co_await Call(backend.jobs.async(), &Async::ListSchedules, list, backend.call_timeout);
  if (!found.ok()) co_return co_await response.Send(Problem(found.status()));
  std::vector<std::string> rows;
  for (const v1::Schedule& schedule : found->schedules()) {
    outcome::AppendScheduleJson(schedule, rows.emplace_back());
  }
  co_return co_await response.Send(PageReply("schedules", rows, found->next_page_token()));
}

// One call that is answered with a schedule.
template <typename Message, auto kMethod>
Task<absl::Status> Ask(const Backend& backend, const Request& request, Response& response) {
  Message message;
  std::optional<Reply> refusal = RefuseAbout("schedule", request, message.mutable_id());
  if (refusal.has_value()) co_return co_await response.Send(*std::move(refusal));
  const absl::StatusOr<v1::Schedule> schedule =
      co_await Call(backend.jobs.async(), kMethod, message, backend.call_timeout);
  if (!schedule.ok()) co_return co_await response.Send(Problem(schedule.status()));
  Reply reply = Json(200, ScheduleJson(*schedule));
  reply.head.headers.emplace_back("Cache-Control", "no-store");
  co_return co_await response.Send(std::move(reply));
}

Task<absl::Status> DeleteSchedule(const Backend& backend, const Request& request, Response& response) {
  v1::DeleteScheduleRequest message;
  std::optional<Reply> refusal = RefuseAbout("schedule", request, message.mutable_id());
  if (refusal.has_value()) co_return co_await response.Send(*std::move(refusal));
  const auto deleted =
      co_await Call(backend.jobs.async(), &Async::DeleteSchedule, message, backend.call_timeout);
  if (!deleted.ok()) co_return co_await response.Send(Problem(deleted.status()));
  Reply done;
  done.head.code = 204;
  co_return co_await response.Send(std::move(done));
}

}  // namespace

// The coordinator reads the list itself, each time anew: the path is one below its own list folders.
Task<absl::Status> CreateSchedule(const Backend& backend, const Submission& submission, Response& response) {
  v1::CreateScheduleRequest create;
  v1::Schedule& schedule = *create.mutable_schedule();
  schedule.set_display_name(submission.spec.display_name());
  *schedule.mutable_spec() = submission.spec;
  schedule.mutable_file()->set_path(submission.filepath);
  schedule.set_priority(submission.priority);
  if (submission.cron.empty()) {
    schedule.mutable_every()->set_seconds(submission.every_seconds);
  } else {
    schedule.set_cron(submission.cron);
  }
  const auto made = co_await Call(backend.jobs.async(), &Async::CreateSchedule, create, backend.call_timeout);
  if (!made.ok()) co_return co_await response.Send(Problem(made.status()));
  Reply reply = Json(201, ScheduleJson(*made));
  reply.head.headers.emplace_back("Location", absl::StrCat("/api/v1/schedules/", made->id()));
  co_return co_await response.Send(std::move(reply));
}

void AddScheduleRoutes(const Backend& backend, Router& router) {
  const auto add = [&](absl::string_view method, absl::string_view pattern, auto serve) {
    router.Add(method, pattern, [&backend, serve](const Request& request, Response& response) {
      return serve(backend, request, response);
    });
  };
  add("GET", "/api/v1/schedules", ListSchedules);
  add("GET", "/api/v1/schedules/{id}", Ask<v1::GetScheduleRequest, kGet>);
  add("DELETE", "/api/v1/schedules/{id}", DeleteSchedule);
  add("POST", "/api/v1/schedules/{id}:pause", Ask<v1::PauseScheduleRequest, kPause>);
  add("POST", "/api/v1/schedules/{id}:resume", Ask<v1::ResumeScheduleRequest, kResume>);
}

}  // namespace imgfleet::gateway
