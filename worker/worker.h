// The worker, put together: the fetch engine, the tasks, and the agent that gets leases for them.
//
//   ASSIGN_OR_RETURN(auto worker, Worker::Start(channel, options, metrics, clock));
//   ...
//   worker->Drain(absl::Seconds(20));
//
// Stateless: what it holds and did not report when it is destroyed is done again by another.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/config/host_port.h"
#include "common/metrics/metrics.h"
#include "grpcpp/channel.h"
#include "worker/fetch/options.h"

namespace imgfleet {

// Thread-safe.
class Worker {
 public:
  struct Options {
    std::string name;  // For people; empty: the host's name.
    fetch::Options fetch;
    // Where imgfleet-decoder is, as decoder::Client::Options::program has it.
    std::string decoder = "auto";
    // Tell at the start whether it runs, in the log and in Lacking; else when the first image is to be decoded.
    bool check_decoder = false;
  };

  // Begins to work as soon as the channel reaches a coordinator. `metrics` and `clock` must outlive it.
  // INVALID_ARGUMENT where the fetch engine refuses its options.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(std::shared_ptr<grpc::Channel> channel,
                                                       const Options& options, metrics::Registry& metrics,
                                                       const Clock& clock);
  ~Worker();

  // Takes nothing new, hands back what was not begun, finishes what runs within `timeout` and hands back the rest.
  void Drain(absl::Duration timeout);
  // OK while a coordinator has welcomed it; else why not.
  absl::Status Ready() const;
  // One line on what it cannot do though it works; empty: it lacks nothing.
  std::string Lacking() const;

 private:
  class Parts;

  explicit Worker(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

// A channel to any of the coordinators at `target` (config::DialTarget) that notices a dead one and is quick to come back.
std::shared_ptr<grpc::Channel> ConnectToCoordinators(const std::string& target);

}  // namespace imgfleet
