// `imgfleet info`: measures the images of a list.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "cli/interrupt.h"
#include "cli/printer.h"
#include "common/clock.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

// How a command ends.
inline constexpr int kAllMeasured = 0;
inline constexpr int kSomeFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kCouldNotRun = 3;

struct InfoOptions {
  std::string list;  // A file, or "-".
  Format format = Format::kNdjson;
  v1::ListFormat list_format = v1::LIST_FORMAT_UNSPECIFIED;
  std::string url_column, id_column;
  std::string credential;
  v1::Depth depth = v1::HEADER;
  absl::Duration attempt_timeout = absl::Seconds(30);
  uint32_t max_attempts = 3;
  int32_t priority = 0;
  bool quiet = false;
  // Only named in messages.
  std::string server;  // Empty: the work is done in this process.
  std::string
      reachable;  // The flag by which another run finds the job: "--server=..." or "--store=..."; else empty.
};

// Submits the list through `jobs`, prints outcomes on standard output as they come and messages on standard
// error. Returns one of the exit codes above, or kInterrupted.
int RunInfo(const InfoOptions& options, v1::Jobs::StubInterface& jobs, Interrupt& interrupt,
            const Clock& clock);

// Prints "imgfleet: " and the message of a status that ended a command.
int Complain(const absl::Status& status, const std::string& server);

}  // namespace imgfleet::cli
