// `imgfleet schedules`: looks after the schedules of a server, or of a file.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::cli {

struct SchedulesOptions {
  std::string action;  // One of list, get, create, pause, resume, delete.
  std::string
      what;  // The schedule's id; of create, the list: a path below a list folder of the coordinator, or a URL.
  std::string name;
  absl::Duration every;  // Zero: `cron` says when.
  std::string cron;
  v1::Depth depth = v1::HEADER;
  int32_t priority = 0;
  std::string credential;
  std::string server;
};

// Schedules are printed as one JSON object a line; of delete nothing is. Returns an exit code of cli/info.h.
int RunSchedules(const SchedulesOptions& options, v1::Jobs::StubInterface& jobs);

}  // namespace imgfleet::cli
