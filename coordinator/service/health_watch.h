// Keeps gRPC's health service at what the coordinator says of itself: of all and of each service, SERVING while it is ready.
//
// Thread-safe.
#pragma once

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/steady_cond_var.h"
#include "grpcpp/health_check_service_interface.h"

namespace imgfleet::service {

class HealthWatch {
 public:
  // Looks at `ready` now, and again all the while until it is destroyed; that it is no more, and that it is again, is told
  // in the log. `health` must outlive this.
  HealthWatch(grpc::HealthCheckServiceInterface& health, std::function<absl::Status()> ready);
  ~HealthWatch();

  // Looks now, before it returns.
  void Look();
  // NOT_SERVING from now on, and no word of it in the log.
  void Leave();

 private:
  void Watch();

  grpc::HealthCheckServiceInterface& health_;
  const std::function<absl::Status()> ready_;

  absl::Mutex mutex_;
  SteadyCondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  absl::Mutex looking_;
  bool serving_ ABSL_GUARDED_BY(looking_) = false;
  bool served_ ABSL_GUARDED_BY(looking_) = false;  // At any time.
  bool left_ ABSL_GUARDED_BY(looking_) = false;

  std::thread thread_;
};

}  // namespace imgfleet::service
