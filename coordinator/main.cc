// imgfleet-coordinator: options in, parts joined, signals waited for.
#include <signal.h>
#include <unistd.h>

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
#include "coordinator/coordinator.h"
#include "coordinator/core/quota.h"
#include "coordinator/store/open_store.h"

namespace imgfleet {
namespace {

struct Settings {
  Coordinator::Options coordinator;
  std::vector<std::string> allow_addresses;
  std::vector<std::string> map_hosts;
  config::Daemon daemon{{"127.0.0.1", 9091}};
  std::vector<std::string> quotas;
  std::string default_quota = "none";
  absl::Duration retention = absl::Hours(7 * 24);
  absl::Duration drain_delay = absl::ZeroDuration();

  Settings() {
    coordinator.listen = {"127.0.0.1", 7070};
    coordinator.store = "sqlite:imgfleet.db";
    coordinator.wait_for_store = true;
    // Found by StopSignal::Wait.
    coordinator.store_refused = [] { kill(getpid(), SIGTERM); };
  }

  void Declare(config::Program& program) {
    program.Address("listen", &coordinator.listen, "Where gRPC is served, to gateways, workers and people.");
    program.Text(
        "store", "STORE", &coordinator.store,
        "Where jobs are kept: sqlite:PATH for one coordinator, postgresql://USER@HOST/DATABASE for any "
        "number "
        "of them (all that libpq knows; give a password in PGPASSWORD or a file, where no process list "
        "shows it), or memory: for as long as the process lives.");
    program.Texts("list-root", "DIR", &coordinator.list_roots, "A folder that jobs may name list files in.");
    program.Text("spool", "DIR", &coordinator.spool,
                 "The folder for temporary files: ids of long lists, remote lists. Empty: $TMPDIR, or /tmp.");
    program.Bytes(
        "spool-limit", &coordinator.spool_limit, 1 << 20, uint64_t{1} << 50,
        "What one list may take in that folder: one that is sent as Parquet, or comes from elsewhere and "
        "cannot be streamed.");
    program.Text("parquet", "PATH", &coordinator.parquet.program,
                 "imgfleet-parquet, for Parquet lists; auto: beside this program; empty: none.");
    program.Bytes("parquet-memory", &coordinator.parquet.memory_bytes, 16 << 20, uint64_t{64} << 30,
                  "What the pages of one Parquet list may take.");
    program.Texts("allow-address", "CIDR", &allow_addresses,
                  "Addresses that lists may be read from besides those of the public Internet.");
    program.Texts("map-host", "HOST[:PORT]=ADDRESS[:PORT]", &map_hosts,
                  "Where a host of lists is found, instead of asking DNS.");
    program.Text("ca-file", "PEM", &coordinator.http.ca_file,
                 "Certificate authorities to trust with lists, besides the system's.");
    program.Text("s3-endpoint", "URL", &coordinator.s3.url,
                 "Where s3:// lists lie; empty: Amazon's servers of the region.");
    program.Text("s3-region", "NAME", &coordinator.s3.region,
                 "The region that requests to S3 are signed for.");
    program.Switch("s3-virtual-host", &coordinator.s3.virtual_host,
                   "Ask --s3-endpoint for BUCKET.HOST/KEY instead of HOST/BUCKET/KEY.");
    program.Text("credentials", "DIR", &coordinator.credentials,
                 "The folder of credentials that jobs may name for their lists, a file each.");
    program.Texts("origin-limit", "HOST=CONCURRENCY[,RATE/s]", &coordinator.origin_limits,
                  "What all workers together may ask of a host: requests at a time, and a second.");
    program.Duration("lease-period", &coordinator.lease_period, absl::Seconds(1), absl::Hours(1),
                     "How long a worker's lease holds without a word from it.");
    program.Duration("max-stream-age", &coordinator.max_stream_age, absl::Seconds(1), absl::Hours(24),
                     "How long a worker's stream lasts, and connections a little less, before it is to "
                     "connect again: so load spreads over the coordinators behind one address.");
    program.Texts("quota", "OWNER=QUOTA", &quotas,
                  "What an owner may have going at a time: alice=jobs:10,items:1000000.",
                  [](const std::string& text) {
                    core::Quotas ignored;
                    return core::AddQuota(text, ignored);
                  });
    program.Text("default-quota", "QUOTA", &default_quota,
                 "The same for owners without one of their own, and for jobs without an owner.");
    program.Duration("retention", &retention, absl::ZeroDuration(), absl::Hours(24 * 3660),
                     "How long a job is kept after it has ended; 0 keeps it for ever.");
    program.Duration("drain-delay", &drain_delay, absl::ZeroDuration(), absl::Hours(1),
                     "How long everything is still served after SIGTERM, though not ready any more, until "
                     "whoever sends clients here has noticed.");
    program.AddDaemon(&daemon);
    program.Check([this] { return Complete(); });
  }

  absl::Status Complete() {
    ASSIGN_OR_RETURN(coordinator.quotas.otherwise, core::ParseQuota(default_quota));
    for (const std::string& text : quotas) RETURN_IF_ERROR(core::AddQuota(text, coordinator.quotas));
    if (retention > absl::ZeroDuration()) coordinator.retention = retention;
    std::vector<Cidr> allowed;
    for (const std::string& text : allow_addresses) {
      const absl::StatusOr<Cidr> cidr = Cidr::Parse(text);
      if (!cidr.ok()) return Annotate(cidr.status(), "--allow-address");
      allowed.push_back(*cidr);
    }
    coordinator.http.policy = AddressPolicy(std::move(allowed));
    for (const std::string& entry : map_hosts) {
      if (const absl::Status added = coordinator.http.host_map.Add(entry); !added.ok()) {
        return Annotate(added, "--map-host");
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
  config::Program program("imgfleet-coordinator",
                          "Cuts lists of image URLs into shards and leases them to workers.");
  settings.Declare(program);
  if (const auto exit_code = program.Parse(argc, argv)) return *exit_code;
  log::Init("coordinator", settings.daemon.log_level);
  log::AdoptGrpcLog();

  StopSignal stop;

  metrics::Registry metrics("coordinator");
  auto started = Coordinator::Start(settings.coordinator, metrics, Clock::System());
  if (!started.ok()) return Fail(started.status());
  Coordinator& coordinator = **started;
  const auto admin = AdminServer::Start(settings.daemon.admin_listen, metrics,
                                        [&coordinator] { return coordinator.Ready(); });
  if (!admin.ok()) return Fail(admin.status());
  log::Info("imgfleet %s listening address=%s store=%s admin=%s", kVersion, coordinator.address().ToString(),
            store::ShownStore(settings.coordinator.store),
            *admin == nullptr ? "off" : (*admin)->address().ToString());

  const int signal_number = stop.Wait();
  if (const absl::Status refused = coordinator.Refused(); !refused.ok()) return Fail(refused);
  log::Info("stopping signal=%d delay=%s", signal_number, absl::FormatDuration(settings.drain_delay));
  if (coordinator.BeginDrain()) stop.Delay(settings.drain_delay);
  coordinator.Shutdown();
  log::Info("stopped");
  return 0;
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) { return imgfleet::Main(argc, argv); }
