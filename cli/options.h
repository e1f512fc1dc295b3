// What `imgfleet` takes on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/info.h"
#include "cli/jobs.h"
#include "cli/schedules.h"
#include "common/config/config.h"
#include "common/log.h"

namespace imgfleet::cli {

// How the worker inside this process fetches, where no server is named. The flags are those of imgfleet-worker.
struct FetchOptions {
  uint32_t threads = 0;  // 0: one per core.
  uint32_t concurrency = 512;
  std::vector<std::string> allow_addresses;
  std::vector<std::string> map_hosts;
  std::string ca_file;
  std::string user_agent;
  std::string decoder = "auto";
  std::string parquet = "auto";
  std::string contact;
  std::vector<std::string> polite_exempt;
  absl::Duration max_retry_after = absl::Seconds(30);
};

// Where lists of s3:// URLs lie.
struct S3Options {
  std::string endpoint;
  std::string region = "us-east-1";
  bool virtual_host = false;
};

struct Options {
  InfoOptions info;
  S3Options s3;
  JobsOptions jobs;
  SchedulesOptions schedules;
  FetchOptions fetch;
  config::HostPort server;  // Empty: none.
  // Where the coordinator inside this process keeps jobs, as imgfleet-coordinator's flag has it.
  std::string store = "memory:";
  log::Level log_level = log::Level::kWarning;
};

// Declares the commands `info`, `jobs` and `schedules` with their options. `options` must outlive the parsing.
void Declare(config::Program& program, Options& options);

}  // namespace imgfleet::cli
