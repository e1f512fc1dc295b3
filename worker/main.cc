// imgfleet-worker: options in, parts joined, signals waited for.
#include <optional>
#include <string>
#include <vector>

#include "common/address_policy.h"
#include "common/admin/admin.h"
#include "common/config/config.h"
#include "common/grpc_log.h"
#include "common/log.h"
#include "common/metrics/metrics.h"
#include "common/status.h"
#include "common/stop_signal.h"
#include "common/version.h"
#include "worker/worker.h"

namespace imgfleet {
namespace {

struct Settings {
  std::vector<config::HostPort> coordinators{{"127.0.0.1", 7070}};
  Worker::Options worker;
  std::vector<std::string> allow_addresses;
  std::vector<std::string> map_hosts;
  std::vector<std::string> polite_exempt;
  absl::Duration drain_timeout = absl::Seconds(20);
  config::Daemon daemon{{"127.0.0.1", 9092}};

  void Declare(config::Program& program) {
    fetch::Options& fetch = worker.fetch;
    program.Addresses(
        "coordinator", &coordinators,
        "A coordinator's gRPC address. One whose name stands for several, or several IP addresses: all "
        "of them are equal.");
    program.Check([this] { return Annotate(config::DialTarget(coordinators).status(), "--coordinator"); });
    program.Text("name", "NAME", &worker.name,
                 "What the coordinator calls this worker; empty: the host's name.");
    program.Integer("threads", &fetch.threads, 0, 256, "Fetching threads; 0: one a core.");
    program.Integer("concurrency", &fetch.concurrency, 1, 100'000,
                    "Items in flight at a time, all threads together.");
    program.Texts("allow-address", "CIDR", &allow_addresses,
                  "Addresses that may be fetched from besides those of the public Internet.");
    program.Texts("map-host", "HOST[:PORT]=ADDRESS[:PORT]", &map_hosts,
                  "Where a host is found, instead of asking DNS.");
    program.Text("ca-file", "PEM", &fetch.ca_file, "Certificate authorities to trust besides the system's.");
    program.Text("user-agent", "TEXT", &fetch.user_agent,
                 "What fetches call themselves; empty: imgfleet/VERSION (+CONTACT).");
    program.Text("decoder", "PATH", &worker.decoder,
                 "imgfleet-decoder, for jobs that want pixels; auto: beside this program; empty: none.");
    program.Text("contact", "URL", &fetch.contact,
                 "Where operators of origins reach you; sent with every fetch.");
    program.Duration(
        "max-retry-after", &fetch.max_retry_after, absl::ZeroDuration(), absl::Hours(1),
        "How long items wait in the worker for an origin that asks for it; for longer they are handed back.");
    program.Texts("polite-exempt", "HOST", &polite_exempt,
                  "A host of your own: full concurrency at once, and no slowing down when it refuses.");
    program.Duration("drain-timeout", &drain_timeout, absl::ZeroDuration(), absl::Hours(1),
                     "How long items that were begun may go on after SIGTERM.");
    program.AddDaemon(&daemon);
    program.Check([this] { return Complete(); });
  }

  absl::Status Complete() {
    std::vector<Cidr> allowed;
    for (const std::string& text : allow_addresses) {
      const absl::StatusOr<Cidr> cidr = Cidr::Parse(text);
      if (!cidr.ok()) return Annotate(cidr.status(), "--allow-address");
      allowed.push_back(*cidr);
    }
    worker.fetch.policy = AddressPolicy(std::move(allowed));
    for (const std::string& entry : map_hosts) {
      if (const absl::Status added = worker.fetch.host_map.Add(entry); !added.ok()) {
        return Annotate(added, "--map-host");
      }
    }
    for (const std::string& host : polite_exempt) {
      if (const absl::Status added = worker.fetch.Exempt(host); !added.ok()) {
        return Annotate(added, "--polite-exempt");
      }
    }
    return absl::OkStatus();
  }
};

int Fail(const absl::Status& status) {
  log::Error("%s", std::string(status.message()));
  return 3;
}

int Main(int argc, char** argv) {
  Settings settings;
  settings.worker.check_decoder = true;
  config::Program program("imgfleet-worker", "Fetches images for a coordinator, and measures them.");
  settings.Declare(program);
  if (const auto exit_code = program.Parse(argc, argv)) return *exit_code;
  log::Init("worker", settings.daemon.log_level);
  log::AdoptGrpcLog();

  StopSignal stop;

  metrics::Registry metrics("worker");
  auto started = Worker::Start(ConnectToCoordinators(*config::DialTarget(settings.coordinators)),
                               settings.worker, metrics, Clock::System());
  if (!started.ok()) return Fail(started.status());
  Worker& worker = **started;
  const auto admin = AdminServer::Start(
      settings.daemon.admin_listen, metrics, [&worker] { return worker.Ready(); },
      [&worker] { return worker.Lacking(); });
  if (!admin.ok()) return Fail(admin.status());
  log::Info("imgfleet %s working coordinator=%s admin=%s", kVersion,
            *config::DialTarget(settings.coordinators),
            *admin == nullptr ? "off" : (*admin)->address().ToString());

  const int signal_number = stop.Wait();
  log::Info("draining signal=%d timeout=%s", signal_number, absl::FormatDuration(settings.drain_timeout));
  worker.Drain(settings.drain_timeout);
  log::Info("stopped");
  return 0;
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) { return imgfleet::Main(argc, argv); }
