// The admin port that every process has beside its own: what Kubernetes, Prometheus and a person with curl
// ask.
//
//   GET /healthz   200 "ok" as long as the process answers at all
//   GET /readyz    200 "ready" (and what it does without, see Start), or 503 with one line that says why not
//   GET /metrics   the metrics in Prometheus' text format
//
// GET and HEAD only (405 otherwise), anything else is 404. Plain HTTP without authentication: listen on
// loopback or on a network of one's own. Has two threads of its own (libmicrohttpd), so that it answers while
// the process is busy; connections are limited in number and in time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/config/host_port.h"
#include "common/metrics/metrics.h"

namespace imgfleet {

class AdminServer {
 public:
  // Whether the process is to be sent work now; the status says why not. Called on the server's threads, at
  // any time until the server is destroyed; must be quick.
  using Ready = std::function<absl::Status()>;
  using Lacking = std::function<std::string()>;

  // Serves at `listen` until destroyed; null where that is empty (turned off). `metrics` must outlive it.
  // `lacking` is called like `ready` and gives one line to be shown to whoever asks a ready process: what it cannot do
  // though it works; empty: nothing is lacking. UNAVAILABLE where the address cannot be listened on.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const config::HostPort& listen,
                                                            const metrics::Registry& metrics, Ready ready,
                                                            Lacking lacking = nullptr);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Where it listens, with the port the system chose if that was 0.
  const config::HostPort& address() const { return address_; }

 private:
  class Daemon;

  AdminServer(config::HostPort address, std::unique_ptr<Daemon> daemon);

  const config::HostPort address_;
  const std::unique_ptr<Daemon> daemon_;
};

}  // namespace imgfleet
