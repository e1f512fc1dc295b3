#include "worker/worker.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/version.h"
#include "grpcpp/create_channel.h"
#include "worker/agent/agent_thread.h"
#include "worker/task/engine_runner.h"

namespace imgfleet {
namespace {

constexpr int kMaxMessageBytes = 8 << 20;

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "worker";
}

}  // namespace

class Worker::Parts {
 public:
  Parts(std::shared_ptr<grpc::Channel> channel, std::unique_ptr<task::EngineRunner> runner,
        metrics::Registry& metrics, const Clock& clock, agent::Agent::Options options)
      : runner_(std::move(runner)),
        agent_(std::make_unique<agent::AgentThread>(std::move(channel), *runner_, clock, metrics,
                                                    std::move(options))) {}

  agent::AgentThread& agent() { return *agent_; }
  const task::EngineRunner& runner() const { return *runner_; }

 private:
  const std::unique_ptr<task::EngineRunner> runner_;
  // Ends first; what the runner still calls after that goes nowhere.
  const std::unique_ptr<agent::AgentThread> agent_;
};

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(std::shared_ptr<grpc::Channel> channel,
                                                      const Options& options, metrics::Registry& metrics,
                                                      const Clock& clock) {
  decoder::Client::Options decoder;
  decoder.program = options.decoder;
  decoder.check = options.check_decoder;
  ASSIGN_OR_RETURN(auto runner, task::EngineRunner::Create(options.fetch, std::move(decoder)));
  agent::Agent::Options agent;
  agent.worker_id = NewUuid(clock.Wall());
  agent.display_name = options.name.empty() ? HostName() : options.name;
  agent.version = kVersion;
  agent.capacity_items = runner->capacity();
  return std::unique_ptr<Worker>(new Worker(
      std::make_unique<Parts>(std::move(channel), std::move(runner), metrics, clock, std::move(agent))));
}

Worker::Worker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Worker::~Worker() = default;

void Worker::Drain(absl::Duration timeout) { parts_->agent().Drain(timeout); }

absl::Status Worker::Ready() const { return parts_->agent().Ready(); }

std::string Worker::Lacking() const {
  const absl::Status decoding = parts_->runner().decoding();
  return decoding.ok() ? "" : absl::StrCat("no image can be decoded: ", decoding.message());
}

std::shared_ptr<grpc::Channel> ConnectToCoordinators(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // gRPC's own waits go up to two minutes; the agent has better ones.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // A name's addresses may all be new after a restart of all coordinators; by default gRPC looks every 30 seconds.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace imgfleet
