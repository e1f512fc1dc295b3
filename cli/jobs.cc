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

absl::Status Get(const std::string& id, v1::Jobs::StubInterface& jobs, const Clock& clock, Output& output) {
  v1::GetJobRequest request;
  request.set_id(id);
  grpc::ClientContext context;
  v1::Job job;
  RETURN_IF_ERROR(FromGrpc(jobs.GetJob(&context, request, &job)));
  RETURN_IF_ERROR(Print(job, clock, output));
  return output.Flush();
}

absl::Status Cancel(const std::string& id, v1::Jobs::StubInterface& jobs, const Clock& clock,
                    Output& output) {
  v1::CancelJobRequest request;
  request.set_id(id);
  grpc::ClientContext context;
  v1::Job job;
  RETURN_IF_ERROR(FromGrpc(jobs.CancelJob(&context, request, &job)));
  RETURN_IF_ERROR(Print(job, clock, output));
  return output.Flush();
}

absl::Status Results(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Output& output,
                     Interrupt& interrupt) {
  Printer printer(options.format, output);
  Reading reading{options.job_id, options.from_index, true};
  RETURN_IF_ERROR(printer.Begin());
  RETURN_IF_ERROR(PrintResults(jobs, reading, printer, interrupt));
  return printer.End();
}

}  // namespace

int RunJobs(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock) {
  Output output(STDOUT_FILENO);
  absl::Status status;
  if (options.action == "list") status = List(jobs, clock, output);
  if (options.action == "get") status = Get(options.job_id, jobs, clock, output);
  if (options.action == "cancel") status = Cancel(options.job_id, jobs, clock, output);
  if (options.action == "results") status = Results(options, jobs, output, interrupt);
  if (output.closed()) return kAllMeasured;
  if (interrupt.requested()) return kInterrupted;
  return status.ok() ? kAllMeasured : Complain(status, options.server);
}

}  // namespace imgfleet::cli
