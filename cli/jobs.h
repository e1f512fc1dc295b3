// `imgfleet jobs`: looks after the jobs of a server.
#pragma once

#include <cstdint>
#include <string>

#include "cli/interrupt.h"
#include "cli/printer.h"
#include "common/clock.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

struct JobsOptions {
  std::string action;  // One of list, get, results, pause, resume, cancel, retry, prioritize.
  std::string job_id;  // For all but list.
  Format format = Format::kNdjson;
  uint64_t from_index = 0;
  int32_t priority = 0;  // Of prioritize, and of the job that retry makes.
  std::string server;
};

// Jobs are printed as one JSON object a line, outcomes in `format`. Returns an exit code of cli/info.h.
int RunJobs(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock);

}  // namespace imgfleet::cli
