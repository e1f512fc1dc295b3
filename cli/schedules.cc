#include "cli/schedules.h"

#include <unistd.h>

#include "cli/ask.h"
#include "cli/info.h"
#include "cli/output.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

v1::CreateScheduleRequest CreateRequest(const SchedulesOptions& options) {
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
  return request;
}

absl::Status Do(const SchedulesOptions& options, Stub& jobs, Output& output) {
  const std::string& id = options.what;
  const auto print = [&](const v1::Schedule& schedule) {
    outcome::AppendScheduleJson(schedule, output.buffer());
    output.buffer() += '\n';
    return output.Written();
  };
  const auto ask = [&](auto method, const auto& request) {
    return Ask(method, request, jobs, output, print);
  };
  if (options.action == "list") {
    const auto rows = [](const v1::ListSchedulesResponse& page) -> const auto& { return page.schedules(); };
    return List(&Stub::ListSchedules, jobs, output, rows, print);
  }
  if (options.action == "create") return ask(&Stub::CreateSchedule, CreateRequest(options));
  if (options.action == "get") return ask(&Stub::GetSchedule, About<v1::GetScheduleRequest>(id));
  if (options.action == "pause") return ask(&Stub::PauseSchedule, About<v1::PauseScheduleRequest>(id));
  if (options.action == "resume") return ask(&Stub::ResumeSchedule, About<v1::ResumeScheduleRequest>(id));
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
