// The HTTP server: one listening socket, one event loop per thread, connections dealt out in turn.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/config/host_port.h"
#include "common/metrics/metrics.h"
#include "gateway/connection.h"
#include "gateway/router.h"

namespace imgfleet::gateway {

class Server {
 public:
  struct Options {
    config::HostPort listen;
    int threads = 1;
    // Connections open at once; those beyond are closed as soon as they come.
    int max_connections = 10'000;
    Limits limits;
  };

  // Serves from here on. UNAVAILABLE where it cannot listen. All arguments outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options, const Router& router,
                                                       metrics::Registry& metrics, const Clock& clock);
  // As Stop(0).
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // With the port that the system chose where that was 0.
  const config::HostPort& address() const;

  // From here on each answer asks its client to connect anew: elsewhere, once whoever sends clients here has noticed that
  // the server is to stop. All else goes on.
  void Dismiss();

  // Accepts what has connected until now and nothing more, answers what is being asked, ends connections as they become
  // quiet (connection.h), breaks off what is left after `grace`, and returns when all is quiet. Once.
  void Stop(absl::Duration grace);

 private:
  class Loops;
  explicit Server(std::unique_ptr<Loops> loops);
  const std::unique_ptr<Loops> loops_;
};

}  // namespace imgfleet::gateway
