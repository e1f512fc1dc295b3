#include "coordinator/coordinator.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/list_root.h"
#include "common/status.h"
#include "coordinator/service/express_lane.h"
#include "coordinator/service/job_watch.h"
#include "coordinator/service/jobs_service.h"
#include "coordinator/service/ledger_metrics.h"
#include "coordinator/service/list_files.h"
#include "coordinator/service/origin_desk.h"
#include "coordinator/service/threads.h"
#include "coordinator/service/workers_service.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/memory_store.h"
#include "coordinator/store/open_store.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace imgfleet {
namespace {

// A client that is gone without a word (a machine that died, a cable that was cut) is noticed within 15 seconds.
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
// Clients may ping as often.
constexpr int kMinPingIntervalMs = 5'000;
// Inline lists, upload messages and chunks stay below; so does what we send.
constexpr int kMaxMessageBytes = 8 << 20;
// Behind an address that stands for several coordinators a client stays where its connection is, so after a restart all
// would stay with those that were there. A connection that has reached this part of max_stream_age takes no new calls:
// the client makes another, to whichever coordinator comes. gRPC varies that by a tenth either way, so it is over before
// a stream ends for its age (0.9 to 1 of it), and the worker's next stream is on a new connection. No grace is set:
// calls and streams go on, on the old one, for as long as they last.
constexpr double kConnectionAge = 0.8;
// For calls in work when the coordinator stops.
constexpr absl::Duration kShutdownGrace = absl::Seconds(3);

service::WorkersService::Options WorkersOptions(const Coordinator::Options& options) {
  service::WorkersService::Options workers;
  workers.session.lease_period = options.lease_period;
  workers.session.report_interval = options.lease_period / 3;
  workers.max_stream_age = options.max_stream_age;
  for (const std::string& text : options.origin_limits) {
    if (auto limit = service::ParseOriginLimit(text); limit.ok()) workers.origins.limits.insert(*limit);
  }
  return workers;
}

// What is done there ends with the call that asked for it, so there is nothing to retain. Quotas hold here by themselves: as
// many requests at a time as jobs, with as many items.
store::Ledger::Options ExpressOptions(const Coordinator::Options& options) {
  store::Ledger::Options ledger;
  ledger.lease_period = options.lease_period;
  ledger.holds_trials = false;
  ledger.quotas = options.quotas;
  return ledger;
}

store::Ledger::Options LedgerOptions(const Coordinator::Options& options, const Clock& clock) {
  store::Ledger::Options ledger;
  ledger.lease_period = options.lease_period;
  ledger.coordinator = NewUuid(clock.Wall());
  ledger.quotas = options.quotas;
  ledger.retention = options.retention;
  return ledger;
}

service::OriginDesk::Cluster OriginsCluster(const Coordinator::Options& options, const Clock& clock) {
  service::OriginDesk::Cluster cluster;
  cluster.board = store::OpenOriginBoard(options.store, clock);
  cluster.homes.coordinator = NewUuid(clock.Wall());
  return cluster;
}

lists::Places::Options PlacesOptions(const Coordinator::Options& options) {
  return {options.list_roots,  options.spool,       options.http,   options.s3,
          options.credentials, options.spool_limit, options.parquet};
}

}  // namespace

// Members in the order in which they are made; what stands above serves what stands below.
class Coordinator::Parts {
 public:
  Parts(const Options& options, std::unique_ptr<store::Store> store, metrics::Registry& metrics,
        const Clock& clock)
      : readers_(options.read_threads),
        ledger_(std::make_unique<store::Ledger>(std::move(store), clock, LedgerOptions(options, clock))),
        counting_(std::make_unique<service::LedgerMetrics>(*ledger_, metrics)),
        express_ledger_(std::make_unique<store::Ledger>(
            store::NewMemoryStore(clock), clock, ExpressOptions(options), store::Ledger::Turned::kByWhoAsks)),
        workers_(*ledger_, clock, metrics, WorkersOptions(options), express_ledger_.get(),
                 OriginsCluster(options, clock)),
        express_(
            *express_ledger_, clock, service::ExpressLane::Options(),
            [this](uint64_t items) { return workers_.OfferExpress(items); },
            [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
        lists_(*ledger_, clock, PlacesOptions(options), options.list_threads,
               [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
        jobs_(*ledger_, clock, watch_, readers_, lists_, express_,
              [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
        listening_(ledger_->Listen([this](const store::Ledger::Changes& changes) {
          counting_->Count(changes);
          watch_.Changed(changes.jobs);
          for (const std::string& job_id : changes.stopped) workers_.JobEnded(job_id);
          if (changes.lists_waiting) lists_.LookSoon();
          if (changes.work_available) workers_.WorkAvailable();
        })),
        listening_express_(express_ledger_->Listen([this](const store::Ledger::Changes& changes) {
          counting_->Count(changes);
          express_.Changed(changes);
        })) {
    workers_.OnWorkerLeft([this] { express_.WorkerLeft(); });
  }

  absl::Status Serve(const config::HostPort& listen, absl::Duration max_stream_age) {
    grpc::ServerBuilder builder;
    if (!listen.empty()) {
      builder.AddChannelArgument(
          GRPC_ARG_MAX_CONNECTION_AGE_MS,
          static_cast<int>(absl::ToInt64Milliseconds(max_stream_age * kConnectionAge)));
      grpc::EnableDefaultHealthCheckService(true);
      grpc::reflection::InitProtoReflectionServerBuilderPlugin();
      builder.AddListeningPort(listen.ToString(), grpc::InsecureServerCredentials(), &port_);
    }
    // Two coordinators on one port would share its connections and see each other's workers by chance.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.SetMaxSendMessageSize(kMaxMessageBytes);
    builder.RegisterService(&jobs_);
    builder.RegisterService(&workers_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || (!listen.empty() && port_ == 0)) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", listen.ToString(),
                       ": the address is in use or not of this machine; see --listen"));
    }
    address_ = listen;
    if (!listen.empty()) address_.port = static_cast<uint16_t>(port_);
    RETURN_IF_ERROR(lists_.Resume());
    SetServing(true);
    return absl::OkStatus();
  }

  void Shutdown() {
    if (std::exchange(shut_down_, true)) return;
    if (server_ != nullptr) {
      SetServing(false);
      express_.Close();
      workers_.Close();
      watch_.Close();
      server_->Shutdown(absl::ToChronoTime(absl::Now() + kShutdownGrace));
      server_->Wait();
    }
    lists_.Stop();
    readers_.Stop();
    listening_express_.reset();
    listening_.reset();
    counting_.reset();
    express_ledger_.reset();
    // Finishes what is queued, and answers it: to services that are all still there.
    ledger_.reset();
  }

  grpc::Server& server() { return *server_; }
  const config::HostPort& address() const { return address_; }
  bool serving() const { return serving_; }

 private:
  void SetServing(bool serving) {
    serving_ = serving;
    grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
    if (health == nullptr) return;
    health->SetServingStatus(serving);
    health->SetServingStatus("imgfleet.v1.Jobs", serving);
    health->SetServingStatus("imgfleet.v1.Workers", serving);
  }

  service::JobWatch watch_;
  service::Threads readers_;
  std::unique_ptr<store::Ledger> ledger_;
  std::unique_ptr<service::LedgerMetrics> counting_;
  std::unique_ptr<store::Ledger> express_ledger_;
  service::WorkersService workers_;
  service::ExpressLane express_;
  service::ListFiles lists_;
  service::JobsService jobs_;
  std::shared_ptr<void> listening_;
  std::shared_ptr<void> listening_express_;
  std::unique_ptr<grpc::Server> server_;
  config::HostPort address_;
  int port_ = 0;
  std::atomic<bool> serving_{false};
  bool shut_down_ = false;
};

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(const Options& options,
                                                                metrics::Registry& metrics,
                                                                const Clock& clock) {
  for (const std::string& limit : options.origin_limits) {
    RETURN_IF_ERROR(Annotate(service::ParseOriginLimit(limit).status(), "--origin-limit"));
  }
  if (!options.list_roots.empty()) RETURN_IF_ERROR(CheckListRoots(options.list_roots));
  ASSIGN_OR_RETURN(std::unique_ptr<store::Store> store, store::OpenStore(options.store, clock));
  auto parts = std::make_unique<Parts>(options, std::move(store), metrics, clock);
  if (const absl::Status served = parts->Serve(options.listen, options.max_stream_age); !served.ok()) {
    parts->Shutdown();
    return served;
  }
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(parts)));
}

Coordinator::Coordinator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Coordinator::~Coordinator() { Shutdown(); }

std::shared_ptr<grpc::Channel> Coordinator::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return parts_->server().InProcessChannel(arguments);
}

config::HostPort Coordinator::address() const { return parts_->address(); }

absl::Status Coordinator::Ready() const {
  if (parts_->serving()) return absl::OkStatus();
  return absl::UnavailableError("stopping");
}

void Coordinator::Shutdown() { parts_->Shutdown(); }

}  // namespace imgfleet
