// The progress bar, and the sentence at the end.
#pragma once

#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/clock.h"
#include "grpcpp/client_context.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

// "[=========>          ]  45% 2,250 of 5,005, 12 failed, 1,875/s, 1 s left", where the job's items are all
// known, else "2,250 done of 4,000 read so far, ..."; `elapsed` since the job began. Pure.
std::string ProgressLine(const v1::Job& job, absl::Duration elapsed);

// "5,005 items in 2.7 s (1,853/s, 61.2 MB fetched): 4,650 measured." and the job's own summary of what went
// wrong. Pure.
std::string EndSentence(const v1::Job& job, absl::Duration elapsed);

// Draws a job's progress on standard error, four times a second, until destroyed, and wipes it away then.
// Make one only where standard error is a terminal.
class ProgressBar {
 public:
  ProgressBar(v1::Jobs::StubInterface& jobs, std::string job_id, const Clock& clock, absl::Time start);
  ~ProgressBar();

 private:
  void Watch();

  v1::Jobs::StubInterface& jobs_;
  const std::string job_id_;
  const Clock& clock_;
  const absl::Time start_;  // Boot time.

  grpc::ClientContext context_;
  std::thread watcher_;
};

}  // namespace imgfleet::cli
