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
  std::string action;  // One of list, get, results, cancel.
  std::string job_id;  // For all but list.
  Format format = Format::kNdjson;
  uint64_t from_index = 0;
  std::string server;
};

// Jobs are printed as one JSON object a line, outcomes in `format`. Returns an exit code of cli/info.h.
int RunJobs(const JobsOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock);

}  // namespace imgfleet::cli
