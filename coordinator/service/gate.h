// Stands before the services while there is no store that they could work on: every call is answered with why. Once they
// are there it passes all calls on to them, on the connections that clients have.
//
// Thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"

namespace imgfleet::service {

class Gate {
 public:
  // `why`: what calls are answered with; called on gRPC's threads until Open.
  explicit Gate(std::function<absl::Status()> why);
  ~Gate();

  // To be registered with the server.
  grpc::Service& jobs();
  grpc::Service& workers();

  // From now on calls go to these, which must outlive the server. Once.
  void Open(v1::Jobs::CallbackService& jobs, v1::Workers::CallbackService& workers);

 private:
  class Jobs;
  class Workers;

  const std::function<absl::Status()> why_;
  const std::unique_ptr<Jobs> jobs_;
  const std::unique_ptr<Workers> workers_;
};

}  // namespace imgfleet::service
