#include "cli/results.h"

#include <memory>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "common/outcome/result_reader.h"
#include "common/status.h"
#include "grpcpp/client_context.h"

namespace imgfleet::cli {
namespace {

constexpr absl::Duration kRetryPause = absl::Milliseconds(500);
constexpr int kMostRetries = 120;

// One stream: until it ends. `progressed` tells whether anything came.
absl::Status ReadOnce(v1::Jobs::StubInterface& jobs, Reading& reading, Printer& printer, Interrupt& interrupt,
                      bool& progressed) {
  v1::ReadResultsRequest request;
  request.set_job_id(reading.job_id);
  request.set_from_index(reading.next_index);
  request.set_follow(reading.follow);
  request.set_encoding(v1::PACKED);
  grpc::ClientContext context;
  auto registered = interrupt.OnRequest([&] { context.TryCancel(); });
  auto stream = jobs.ReadResults(&context, request);
  outcome::ResultReader reader(reading.next_index,
                               reading.gaps ? outcome::Gaps::kMayBe : outcome::Gaps::kNone);
  absl::Status printed;
  const auto print = [&](const v1::Outcome& outcome) {
    if (printed.ok()) printed = printer.Print(outcome);
    if (printed.ok()) reading.next_index = outcome.index() + 1;
  };
  v1::Outcomes message;
  absl::Status taken;
  while (taken.ok() && printed.ok() && stream->Read(&message)) {
    progressed = true;
    taken = reader.Take(message, print);
    if (printed.ok()) printed = printer.Flush();
  }
  if (!taken.ok() || !printed.ok()) context.TryCancel();
  const absl::Status ended = FromGrpc(stream->Finish());
  if (!printed.ok()) return printed;
  return taken.ok() ? ended : taken;
}

// Sleeps, unless interrupted.
void Pause(Interrupt& interrupt) {
  absl::Notification woken;
  auto registered = interrupt.OnRequest([&] { woken.Notify(); });
  woken.WaitForNotificationWithTimeout(kRetryPause);
}

}  // namespace

absl::Status PrintResults(v1::Jobs::StubInterface& jobs, Reading& reading, Printer& printer,
                          Interrupt& interrupt) {
  for (int retries = 0;; ++retries) {
    bool progressed = false;
    const absl::Status status = ReadOnce(jobs, reading, printer, interrupt, progressed);
    if (interrupt.requested()) return absl::CancelledError("interrupted");
    if (progressed) retries = 0;
    if (status.code() != absl::StatusCode::kUnavailable || retries >= kMostRetries) return status;
    Pause(interrupt);
  }
}

}  // namespace imgfleet::cli
