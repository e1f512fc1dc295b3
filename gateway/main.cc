// imgfleet-gateway: options in, parts joined, signals waited for.
#include <algorithm>
#include <thread>

#include "common/admin/admin.h"
#include "common/config/config.h"
#include "common/grpc_log.h"
#include "common/log.h"
#include "common/metrics/metrics.h"
#include "common/status.h"
#include "common/stop_signal.h"
#include "common/version.h"
#include "gateway/gateway.h"

namespace imgfleet {
namespace {

struct Settings {
  gateway::Options gateway;
  std::vector<config::HostPort> coordinators{{"127.0.0.1", 7070}};
  bool allow_anonymous = false;
  absl::Duration drain_delay = absl::ZeroDuration();
  absl::Duration drain_timeout = absl::Seconds(25);
  config::Daemon daemon{{"127.0.0.1", 9090}};

  Settings() { gateway.threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 4); }

  void Declare(config::Program& program) {
    program.Address("listen", &gateway.listen, "Where HTTP is served.");
    program.Addresses(
        "coordinator", &coordinators,
        "A coordinator's gRPC address. One whose name stands for several, or several IP addresses: all "
        "of them are equal.");
    program.Check([this] { return Annotate(config::DialTarget(coordinators).status(), "--coordinator"); });
    program.Texts("list-root", "DIR", &gateway.list_roots,
                  "A folder that \"filepath\" may name list files in.");
    program.Switch(
        "allow-anonymous", &allow_anonymous,
        "Listen on other addresses than loopback though everybody who reaches them may use the gateway.");
    program.Integer("threads", &gateway.threads, 1, 64, "Event loops that serve HTTP, each on a thread.");
    program.Bytes("max-body", &gateway.limits.max_body_bytes, 1 << 10, 256 << 20,
                  "Largest body of a request.");
    program.Duration("request-timeout", &gateway.limits.request_timeout, absl::Milliseconds(100),
                     absl::Hours(1), "How long a request may take to arrive.");
    program.Duration("idle-timeout", &gateway.limits.idle_timeout, absl::Milliseconds(100), absl::Hours(1),
                     "How long a connection may stay open without a request.");
    program.Duration("write-timeout", &gateway.limits.write_timeout, absl::Milliseconds(100), absl::Hours(1),
                     "How long a client may read nothing of an answer.");
    program.Duration(
        "wait-timeout", &gateway.patience, absl::ZeroDuration(), absl::Hours(1),
        "How long an answer waits for a coordinator that is away, and one image for a worker with room.");
    program.Duration(
        "drain-delay", &drain_delay, absl::ZeroDuration(), absl::Hours(1),
        "How long everything is still served after SIGTERM, not ready at once and asking clients to connect "
        "anew (Connection: close): for whoever sends clients here to notice, as Kubernetes' Services and "
        "load balancers do within seconds.");
    program.Duration(
        "drain-timeout", &drain_timeout, absl::ZeroDuration(), absl::Hours(1),
        "How long requests in work may go on after that. Both together are to be less than what the process "
        "is given to end: Kubernetes' terminationGracePeriodSeconds, systemd's TimeoutStopSec.");
    program.AddDaemon(&daemon);
    program.Check([this] {
      if (gateway.listen.IsLoopback() || allow_anonymous) return absl::OkStatus();
      return absl::InvalidArgumentError(
          "--listen: without keys the gateway serves loopback only; add --allow-anonymous if everybody who "
          "reaches " +
          gateway.listen.ToString() + " may use it");
    });
  }
};

int Fail(const absl::Status& status) {
  log::Error("%s", std::string(status.message()));
  return 3;
}

int Main(int argc, char** argv) {
  Settings settings;
  config::Program program("imgfleet-gateway", "Serves REST and the web page in front of a coordinator.");
  settings.Declare(program);
  if (const auto exit_code = program.Parse(argc, argv)) return *exit_code;
  log::Init("gateway", settings.daemon.log_level);
  log::AdoptGrpcLog();

  StopSignal stop;

  metrics::Registry metrics("gateway");
  auto started = gateway::Gateway::Start(
      settings.gateway, gateway::ConnectToCoordinators(*config::DialTarget(settings.coordinators)), metrics,
      Clock::System());
  if (!started.ok()) return Fail(started.status());
  gateway::Gateway& serving = **started;
  const auto admin =
      AdminServer::Start(settings.daemon.admin_listen, metrics, [&serving] { return serving.Ready(); });
  if (!admin.ok()) return Fail(admin.status());
  log::Info("imgfleet %s listening address=%s coordinator=%s admin=%s", kVersion,
            serving.address().ToString(), *config::DialTarget(settings.coordinators),
            *admin == nullptr ? "off" : (*admin)->address().ToString());

  const int signal_number = stop.Wait();
  log::Info("draining signal=%d delay=%s timeout=%s", signal_number,
            absl::FormatDuration(settings.drain_delay), absl::FormatDuration(settings.drain_timeout));
  serving.BeginDrain();
  stop.Delay(settings.drain_delay);
  serving.Shutdown(settings.drain_timeout);
  log::Info("stopped");
  return 0;
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) { return imgfleet::Main(argc, argv); }
