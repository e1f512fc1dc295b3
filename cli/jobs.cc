#include "cli/jobs.h"

#include <unistd.h>

#include "cli/ask.h"
#include "cli/info.h"
#include "cli/output.h"
#include "cli/results.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

absl::Status Control(const JobsOptions& options, Stub& jobs, const Clock& clock, Output& output) {
  const std::string& id = options.job_id;
  const auto print = [&](const v1::Job& job) {
    outcome::AppendJobJson(job, clock.Wall(), output.buffer());
    output.buffer() += '\n';
    return output.Written();
  };
  const auto ask = [&](auto method, const auto& request) {
    return Ask(method, request, jobs, output, print);
  };
  if (options.action == "list") {
    const auto rows = [](const v1::ListJobsResponse& page) -> const auto& { return page.jobs(); };
    return List(&Stub::ListJobs, jobs, output, rows, print);
  }
  if (options.action == "get") return ask(&Stub::GetJob, About<v1::GetJobRequest>(id));
  if (options.action == "cancel") return ask(&Stub::CancelJob, About<v1::CancelJobRequest>(id));
  if (options.action == "pause") return ask(&Stub::PauseJob, About<v1::PauseJobRequest>(id));
  if (options.action == "resume") return ask(&Stub::ResumeJob, About<v1::ResumeJobRequest>(id));
  if (options.action == "retry") {
    auto retry = About<v1::RetryFailedRequest>(id);
    retry.set_priority(options.priority);
    return ask(&Stub::RetryFailed, retry);
  }
  auto prioritize = About<v1::PrioritizeJobRequest>(id);
  prioritize.set_priority(options.priority);
  return ask(&Stub::PrioritizeJob, prioritize);
}

absl::Status Results(const JobsOptions& options, Stub& jobs, Output& output, Interrupt& interrupt) {
  grpc::ClientContext context;
  v1::Job job;
  RETURN_IF_ERROR(FromGrpc(jobs.GetJob(&context, About<v1::GetJobRequest>(options.job_id), &job)));
  Printer printer(options.format, output);
  Reading reading{options.job_id, options.from_index, true, !job.parent_id().empty()};
  RETURN_IF_ERROR(printer.Begin());
  RETURN_IF_ERROR(PrintResults(jobs, reading, printer, interrupt));
  return printer.End();
}

}  // namespace

int RunJobs(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock) {
  Output output(STDOUT_FILENO);
  absl::Status status;
  if (options.action == "results") {
    status = Results(options, jobs, output, interrupt);
  } else {
    status = Control(options, jobs, clock, output);
  }
  if (output.closed()) return kAllMeasured;
  if (interrupt.requested()) return kInterrupted;
  return status.ok() ? kAllMeasured : Complain(status, options.server);
}

}  // namespace imgfleet::cli
