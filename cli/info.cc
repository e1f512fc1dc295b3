#include "cli/info.h"

#include <stdio.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/list_source.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/results.h"
#include "cli/upload.h"
#include "common/outcome/summary.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

void Say(const std::string& text) { fprintf(stderr, "imgfleet: %s\n", text.c_str()); }

v1::UploadJobRequest FirstMessage(const InfoOptions& options) {
  v1::UploadJobRequest first;
  v1::JobSpec& spec = *first.mutable_spec();
  spec.set_display_name(options.list == "-" ? "stdin" : options.list);
  spec.mutable_measure()->set_depth(options.depth);
  const int64_t micros = absl::ToInt64Microseconds(options.attempt_timeout);
  spec.mutable_limits()->mutable_attempt_timeout()->set_seconds(micros / 1'000'000);
  spec.mutable_limits()->mutable_attempt_timeout()->set_nanos(
      static_cast<int32_t>(micros % 1'000'000 * 1000));
  spec.mutable_limits()->set_max_attempts(options.max_attempts);
  first.set_priority(options.priority);
  first.mutable_list()->set_format(options.list_format);
  first.mutable_list()->set_url_column(options.url_column);
  first.mutable_list()->set_id_column(options.id_column);
  first.mutable_list()->set_credential(options.credential);
  return first;
}

// What is left to do after Ctrl-C, and how.
int SayHowToGoOn(const InfoOptions& options, const Reading& reading, bool uploaded) {
  std::string text =
      absl::StrCat("stopped after the list's first ", outcome::Grouped(reading.next_index), " items");
  if (options.reachable.empty()) {
    absl::StrAppend(
        &text,
        "; their outcomes are written. To go on, give the rest of the list to another run. With "
        "--store=sqlite:FILE a run can be gone on with, and with --server a job goes on by itself.");
  } else if (!uploaded) {
    absl::StrAppend(&text, ", before the whole list was taken over: run the command again.");
  } else {
    absl::StrAppend(&text, options.server.empty() ? "." : "; the job goes on.",
                    " To have the rest: imgfleet jobs results ", reading.job_id, " ", options.reachable,
                    " --from-index=", reading.next_index);
    if (options.server.empty()) absl::StrAppend(&text, " (and this run's flags for fetching, if any).");
    if (!options.server.empty()) {
      absl::StrAppend(&text, ". To end it: imgfleet jobs cancel ", reading.job_id, " ", options.reachable);
    }
  }
  Say(text);
  return kInterrupted;
}

int Conclude(const InfoOptions& options, const v1::Job& job, absl::Duration elapsed) {
  if (job.state() == v1::Job::FAILED) Say(job.failure());
  if (job.state() == v1::Job::CANCELLED) Say("the job was cancelled");
  if (!options.quiet) Say(EndSentence(job, elapsed));
  if (job.state() != v1::Job::COMPLETED) return kCouldNotRun;
  return job.failed() == 0 ? kAllMeasured : kSomeFailed;
}

}  // namespace

int Complain(const absl::Status& status, const std::string& server) {
  std::string text(status.message());
  if (absl::IsUnavailable(status) && !server.empty()) {
    text = absl::StrCat("the coordinator at ", server, " does not answer (", text, "); is it running there?");
  }
  Say(text);
  return kCouldNotRun;
}

int RunInfo(const InfoOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock) {
  auto source = ListSource::Open(options.list);
  if (!source.ok()) return Complain(source.status(), "");
  const absl::Time start = clock.Boot();
  Output output(STDOUT_FILENO);
  Printer printer(options.format, output);

  Upload upload(jobs, **source, FirstMessage(options));
  Reading reading;
  absl::Status status;
  {
    // Ctrl-C leaves a job alone that a server has whole.
    auto registered = interrupt.OnRequest([&] { upload.Stop(); });
    auto job_id = upload.JobId();
    if (interrupt.requested()) return SayHowToGoOn(options, reading, false);
    if (!job_id.ok()) return Complain(job_id.status(), options.server);
    reading.job_id = *job_id;

    std::optional<ProgressBar> bar;
    if (!options.quiet && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO))
      bar.emplace(jobs, *job_id, clock, start);
    status = printer.Begin();
    if (status.ok()) status = PrintResults(jobs, reading, printer, interrupt);
    if (status.ok()) status = printer.End();
  }
  if (printer.reader_gone()) return kAllMeasured;
  if (interrupt.requested()) return SayHowToGoOn(options, reading, upload.finished());
  if (!status.ok()) return Complain(status, options.server);

  // A list that broke off has its reason in the job; the upload's own failure says more where it is ours.
  const absl::Status uploaded = upload.Finish();
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_id(reading.job_id);
  v1::Job job;
  status = FromGrpc(jobs.GetJob(&context, request, &job));
  if (!status.ok()) return Complain(status, options.server);
  if (!uploaded.ok() && job.state() != v1::Job::FAILED) return Complain(uploaded, options.server);
  return Conclude(options, job, clock.Boot() - start);
}

}  // namespace imgfleet::cli
