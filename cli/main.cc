// The `imgfleet` command: joins its pieces. Without a server, this is the one place where coordinator and worker meet in
// one process: the worker dials a coordinator that listens nowhere, over a channel that is no socket.
#include <signal.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/info.h"
#include "cli/interrupt.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/schedules.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "common/log.h"
#include "common/metrics/metrics.h"
#include "common/status.h"
#include "coordinator/coordinator.h"
#include "worker/worker.h"

namespace imgfleet::cli {
namespace {

// Destroyed from the last to the first: the worker goes before the coordinator it talks to.
struct Fleet {
  metrics::Registry metrics{"imgfleet"};
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Worker> worker;
};

absl::StatusOr<fetch::Options> ToFetch(const FetchOptions& given) {
  fetch::Options options;
  options.threads = given.threads;
  options.concurrency = given.concurrency;
  options.ca_file = given.ca_file;
  options.user_agent = given.user_agent;
  options.contact = given.contact;
  options.max_retry_after = given.max_retry_after;
  std::vector<Cidr> allowed;
  for (const std::string& text : given.allow_addresses) {
    ASSIGN_OR_RETURN(Cidr cidr, Cidr::Parse(text));
    allowed.push_back(cidr);
  }
  options.policy = AddressPolicy(std::move(allowed));
  for (const std::string& entry : given.map_hosts) {
    if (absl::Status added = options.host_map.Add(entry); !added.ok()) return Annotate(added, "--map-host");
  }
  for (const std::string& host : given.polite_exempt) {
    if (absl::Status added = options.Exempt(host); !added.ok()) return Annotate(added, "--polite-exempt");
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Fleet>> StartFleet(const Options& options) {
  Coordinator::Options coordinator;
  coordinator.store = options.store;
  Worker::Options worker;
  ASSIGN_OR_RETURN(worker.fetch, ToFetch(options.fetch));
  coordinator.http.policy = worker.fetch.policy;
  coordinator.http.host_map = worker.fetch.host_map;
  coordinator.http.ca_file = worker.fetch.ca_file;
  coordinator.http.user_agent = worker.fetch.user_agent;
  coordinator.s3 = {options.s3.endpoint, options.s3.region, options.s3.virtual_host};
  coordinator.parquet.program = options.fetch.parquet;
  worker.decoder = options.fetch.decoder;
  auto fleet = std::make_unique<Fleet>();
  ASSIGN_OR_RETURN(fleet->coordinator, Coordinator::Start(coordinator, fleet->metrics, Clock::System()));
  ASSIGN_OR_RETURN(fleet->worker, Worker::Start(fleet->coordinator->InProcessChannel(), worker,
                                                fleet->metrics, Clock::System()));
  return fleet;
}

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  Interrupt interrupt;  // Before any other thread.
  Options options;
  config::Program program("imgfleet", "Measures images on the web, by the million.");
  Declare(program, options);
  if (std::optional<int> exit_code = program.Parse(argc, argv)) return *exit_code;
  log::Init("imgfleet", options.log_level);

  std::unique_ptr<Fleet> fleet;
  std::shared_ptr<grpc::Channel> channel;
  if (options.server.empty()) {
    auto started = StartFleet(options);
    if (!started.ok()) return Complain(started.status(), "");
    fleet = *std::move(started);
    channel = fleet->coordinator->InProcessChannel();
  } else {
    channel = ConnectToCoordinators(options.server.ToString());
  }
  const std::unique_ptr<v1::Jobs::Stub> jobs = v1::Jobs::NewStub(channel);
  if (program.command() == "jobs") return RunJobs(options.jobs, *jobs, interrupt, Clock::System());
  if (program.command() == "schedules") return RunSchedules(options.schedules, *jobs);
  return RunInfo(options.info, *jobs, interrupt, Clock::System());
}

}  // namespace
}  // namespace imgfleet::cli

int main(int argc, char** argv) { return imgfleet::cli::Main(argc, argv); }
