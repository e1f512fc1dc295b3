// Reads a job's outcomes in the order of its list and prints them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/interrupt.h"
#include "cli/printer.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

struct Reading {
  std::string job_id;
  uint64_t next_index = 0;  // In: the first index wanted. Out: the first that was not printed.
  bool follow = true;       // Wait for what is missing.
  bool gaps = false;        // The job has no item for some indices.
};

// Prints what there is, in index order, each as soon as all before it were. A coordinator that goes away is
// waited for, a minute long, and the reading goes on where it was. CANCELLED where it was interrupted or the
// reader of standard output has gone; else the status of the RPC or of the writing.
absl::Status PrintResults(v1::Jobs::StubInterface& jobs, Reading& reading, Printer& printer,
                          Interrupt& interrupt);

}  // namespace imgfleet::cli
