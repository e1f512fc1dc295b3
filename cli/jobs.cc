#include "cli/jobs.h"

#include <unistd.h>

#include "cli/info.h"
#include "cli/output.h"
#include "cli/results.h"
#include "common/outcome/json.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

absl::Status Print(const v1::Job& job, const Clock& clock, Output& output) {
  outcome::AppendJobJson(job, clock.Wall(), output.buffer());
  output.buffer() += '\n';
  return output.Written();
}

absl::Status List(v1::Jobs::StubInterface& jobs, const Clock& clock, Output& output) {
  v1::ListJobsRequest request;
  do {
    grpc::ClientContext context;
    v1::ListJobsResponse page;
    RETURN_IF_ERROR(FromGrpc(jobs.ListJobs(&context, request, &page)));
    for (const v1::Job& job : page.jobs()) RETURN_IF_ERROR(Print(job, clock, output));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return output.Flush();
}

using Stub = v1::Jobs::StubInterface;

// One call that is answered with a job, which is printed.
template <typename Request>
absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, v1::Job*),
                 const Request& request, Stub& jobs, const Clock& clock, Output& output) {
  grpc::ClientContext context;
  v1::Job job;
  RETURN_IF_ERROR(FromGrpc((jobs.*method)(&context, request, &job)));
  RETURN_IF_ERROR(Print(job, clock, output));
  return output.Flush();
}

template <typename Request>
Request About(const std::string& id) {
  Request request;
  request.set_id(id);
  return request;
}

absl::Status Control(const JobsOptions& options, Stub& jobs, const Clock& clock, Output& output) {
  const std::string& id = options.job_id;
  if (options.action == "get") return Ask(&Stub::GetJob, About<v1::GetJobRequest>(id), jobs, clock, output);
  if (options.action == "cancel")
    return Ask(&Stub::CancelJob, About<v1::CancelJobRequest>(id), jobs, clock, output);
  if (options.action == "pause")
    return Ask(&Stub::PauseJob, About<v1::PauseJobRequest>(id), jobs, clock, output);
  if (options.action == "resume")
    return Ask(&Stub::ResumeJob, About<v1::ResumeJobRequest>(id), jobs, clock, output);
  if (options.action == "retry") {
    auto retry = About<v1::RetryFailedRequest>(id);
    retry.set_priority(options.priority);
    return Ask(&Stub::RetryFailed, retry, jobs, clock, output);
  }
  auto prioritize = About<v1::PrioritizeJobRequest>(id);
  prioritize.set_priority(options.priority);
  return Ask(&Stub::PrioritizeJob, prioritize, jobs, clock, output);
}

absl::Status Results(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Output& output,
                     Interrupt& interrupt) {
  v1::GetJobRequest get;
  get.set_id(options.job_id);
  grpc::ClientContext context;
  v1::Job job;
  RETURN_IF_ERROR(FromGrpc(jobs.GetJob(&context, get, &job)));
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
  if (options.action == "list") {
    status = List(jobs, clock, output);
  } else if (options.action == "results") {
    status = Results(options, jobs, output, interrupt);
  } else {
    status = Control(options, jobs, clock, output);
  }
  if (output.closed()) return kAllMeasured;
  if (interrupt.requested()) return kInterrupted;
  return status.ok() ? kAllMeasured : Complain(status, options.server);
}

}  // namespace imgfleet::cli
