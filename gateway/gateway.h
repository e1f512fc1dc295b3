// The gateway, put together: HTTP on one side, the coordinator's Jobs service on the other. Holds no state of
// its own: any number may run side by side.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/config/host_port.h"
#include "common/metrics/metrics.h"
#include "gateway/connection.h"
#include "grpcpp/channel.h"

namespace imgfleet::gateway {

struct Options {
  config::HostPort listen{"127.0.0.1", 8080};
  // Folders that `filepath` may name files in.
  std::vector<std::string> list_roots;
  // Event loops, each on a thread.
  int threads = 2;
  // What clients may do: see connection.h.
  Limits limits;
  // How long what was asked for waits for the fleet: Backend::patience.
  absl::Duration patience = absl::Seconds(60);
};

// Thread-safe.
class Gateway {
 public:
  // Serves from here on. `channel` leads to a coordinator, which need not be there yet.
  //   UNAVAILABLE       the address cannot be listened on
  //   INVALID_ARGUMENT  a list folder cannot be opened
  static absl::StatusOr<std::unique_ptr<Gateway>> Start(const Options& options,
                                                        std::shared_ptr<grpc::Channel> channel,
                                                        metrics::Registry& metrics, const Clock& clock);
  ~Gateway();  // As Shutdown(0).

  // Where it listens, with the port that the system chose where that was 0.
  const config::HostPort& address() const;

  // OK where the coordinator can be reached and neither of the two below was called.
  absl::Status Ready();

  // Not ready from here on. Everything is served as before, but answers ask their clients to connect anew (Connection:
  // close): to another gateway, once whoever sends clients here has noticed.
  void BeginDrain();
  // Not ready from here on; accepts nothing more, lets requests in work end for as long as `grace`, breaks
  // off what is left. Returns when all is quiet.
  void Shutdown(absl::Duration grace);

 private:
  class Parts;
  explicit Gateway(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

// A channel to the coordinators at `target` (config::DialTarget), one call after the other to another of them, that takes
// messages as large as a blob may be, and is quick to come back to one that was away.
std::shared_ptr<grpc::Channel> ConnectToCoordinators(const std::string& target);

}  // namespace imgfleet::gateway
