#include "cli/schedules.h"

#include <unistd.h>

#include "cli/info.h"
#include "cli/output.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

using Stub = v1::Jobs::StubInterface;

absl::Status Print(const v1::Schedule& schedule, Output& output) {
  outcome::AppendScheduleJson(schedule, output.buffer());
  output.buffer() += '\n';
  return output.Written();
}

absl::Status List(Stub& jobs, Output& output) {
  v1::ListSchedulesRequest request;
  do {
    grpc::ClientContext context;
    v1::ListSchedulesResponse page;
    RETURN_IF_ERROR(FromGrpc(jobs.ListSchedules(&context, request, &page)));
    for (const v1::Schedule& schedule : page.schedules()) RETURN_IF_ERROR(Print(schedule, output));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return output.Flush();
}

// One call that is answered with a schedule, which is printed.
template <typename Request>
absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, v1::Schedule*),
                 const Request& request, Stub& jobs, Output& output) {
  grpc::ClientContext context;
  v1::Schedule schedule;
  RETURN_IF_ERROR(FromGrpc((jobs.*method)(&context, request, &schedule)));
  RETURN_IF_ERROR(Print(schedule, output));
  return output.Flush();
}

template <typename Request>
Request About(const std::string& id) {
  Request request;
  request.set_id(id);
  return request;
}

absl::Status Create(const SchedulesOptions& options, Stub& jobs, Output& output) {
  v1::CreateScheduleRequest request;
  v1::Schedule& schedule = *request.mutable_schedule();
  schedule.set_display_name(options.name);
  schedule.mutable_spec()->set_display_name(options.name);
  schedule.mutable_spec()->mutable_measure()->set_depth(options.depth);
  schedule.mutable_file()->set_path(options.what);
  schedule.mutable_file()->set_credential(options.credential);
  schedule.set_priority(options.priority);
  if (options.cron.empty()) {
    schedule.mutable_every()->set_seconds(absl::ToInt64Seconds(options.every));
  } else {
    schedule.set_cron(options.cron);
  }
  return Ask(&Stub::CreateSchedule, request, jobs, output);
}

absl::Status Do(const SchedulesOptions& options, Stub& jobs, Output& output) {
  const std::string& id = options.what;
  if (options.action == "list") return List(jobs, output);
  if (options.action == "create") return Create(options, jobs, output);
  if (options.action == "get")
    return Ask(&Stub::GetSchedule, About<v1::GetScheduleRequest>(id), jobs, output);
  if (options.action == "pause")
    return Ask(&Stub::PauseSchedule, About<v1::PauseScheduleRequest>(id), jobs, output);
  if (options.action == "resume")
    return Ask(&Stub::ResumeSchedule, About<v1::ResumeScheduleRequest>(id), jobs, output);
  grpc::ClientContext context;
  v1::DeleteScheduleResponse deleted;
  return FromGrpc(jobs.DeleteSchedule(&context, About<v1::DeleteScheduleRequest>(id), &deleted));
}

}  // namespace

int RunSchedules(const SchedulesOptions& options, v1::Jobs::StubInterface& jobs) {
  Output output(STDOUT_FILENO);
  const absl::Status status = Do(options, jobs, output);
  if (output.closed()) return kAllMeasured;
  return status.ok() ? kAllMeasured : Complain(status, options.server);
}

}  // namespace imgfleet::cli
