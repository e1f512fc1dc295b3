#include "coordinator/coordinator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/list_root.h"
#include "common/status.h"
#include "coordinator/service/gate.h"
#include "coordinator/service/health_watch.h"
#include "coordinator/service/origin_desk.h"
#include "coordinator/services.h"
#include "coordinator/store/open_store.h"
#include "coordinator/store/opening.h"
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

// So long Start waits for the store to answer at all, before it listens without one.
constexpr absl::Duration kFirstAnswer = absl::Seconds(2);

}  // namespace

// A server with a gate, and behind it the services, which are made when there is a store.
class Coordinator::Parts {
 public:
  Parts(const Options& options, metrics::Registry& metrics, const Clock& clock)
      : options_(options), metrics_(metrics), clock_(clock) {}

  absl::Status Start() {
    if (options_.wait_for_store) {
      OpenStore();
    } else {
      ASSIGN_OR_RETURN(std::unique_ptr<store::Store> store, store::OpenStore(options_.store, clock_));
      Opened(std::move(store));
    }
    RETURN_IF_ERROR(refused());
    RETURN_IF_ERROR(Listen());
    WatchHealth();
    return absl::OkStatus();
  }

  absl::Status Ready() const {
    absl::MutexLock lock(&mutex_);
    if (leaving_) return absl::UnavailableError("stopping");
    if (services_ == nullptr)
      return opening_ == nullptr ? absl::UnavailableError("starting") : opening_->why();
    return Annotate(services_->Health(), absl::StrCat("store ", store::ShownStore(options_.store)));
  }

  absl::Status refused() const {
    absl::MutexLock lock(&mutex_);
    return refused_;
  }

  // The services, if they are there.
  Services* BeginDrain() {
    store::Opening* opening;
    service::HealthWatch* health;
    {
      absl::MutexLock lock(&mutex_);
      leaving_ = true;
      opening = opening_.get();
      health = health_.get();
    }
    if (health != nullptr) health->Leave();
    if (opening != nullptr) opening->Stop();
    absl::MutexLock lock(&mutex_);
    return services_.get();
  }

  void Shutdown() {
    if (std::exchange(shut_down_, true)) return;
    Services* const services = BeginDrain();
    // Whoever looks takes the lock: it ends without.
    std::unique_ptr<service::HealthWatch> health;
    {
      absl::MutexLock lock(&mutex_);
      health = std::move(health_);
    }
    health = nullptr;
    if (services != nullptr) services->Close();
    if (server_ != nullptr) {
      server_->Shutdown(absl::ToChronoTime(absl::Now() + kShutdownGrace));
      server_->Wait();
    }
    if (services != nullptr) services->Stop();
  }

  grpc::Server& server() { return *server_; }
  const config::HostPort& address() const { return address_; }

 private:
  absl::Status Listen() {
    const config::HostPort& listen = options_.listen;
    grpc::ServerBuilder builder;
    if (!listen.empty()) {
      builder.AddChannelArgument(
          GRPC_ARG_MAX_CONNECTION_AGE_MS,
          static_cast<int>(absl::ToInt64Milliseconds(options_.max_stream_age * kConnectionAge)));
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
    builder.RegisterService(&gate_.jobs());
    builder.RegisterService(&gate_.workers());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || (!listen.empty() && port_ == 0)) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", listen.ToString(),
                       ": the address is in use or not of this machine; see --listen"));
    }
    address_ = listen;
    if (!listen.empty()) address_.port = static_cast<uint16_t>(port_);
    return absl::OkStatus();
  }

  // As soon as the store is there, which it is most often at once: so that whoever dials several coordinators does not come
  // to this one before.
  void OpenStore() {
    auto opening = std::make_unique<store::Opening>(
        store::ShownStore(options_.store),
        // Of a try that is left behind: nothing of this object.
        [name = options_.store, clock = &clock_] { return store::OpenStore(name, *clock); },
        [this](absl::StatusOr<std::unique_ptr<store::Store>> store) { Opened(std::move(store)); });
    store::Opening& first = *opening;
    {
      absl::MutexLock lock(&mutex_);
      opening_ = std::move(opening);
    }
    first.AwaitFirst(kFirstAnswer);
  }

  void WatchHealth() {
    grpc::HealthCheckServiceInterface* const health = server_->GetHealthCheckService();
    if (health == nullptr) return;
    auto watch = std::make_unique<service::HealthWatch>(*health, [this] { return Ready(); });
    absl::MutexLock lock(&mutex_);
    health_ = std::move(watch);
  }

  void Opened(absl::StatusOr<std::unique_ptr<store::Store>> store) {
    absl::Status opened = store.status();
    std::unique_ptr<Services> services;
    if (store.ok()) {
      services = std::make_unique<Services>(options_, *std::move(store), metrics_, clock_);
      opened = services->Begin();
      gate_.Open(services->jobs(), services->workers());
    }
    service::HealthWatch* health;
    {
      absl::MutexLock lock(&mutex_);
      services_ = std::move(services);
      refused_ = opened;
      health = health_.get();
    }
    if (health != nullptr) health->Look();
    if (!opened.ok() && options_.store_refused != nullptr) options_.store_refused();
  }

  const Options options_;
  metrics::Registry& metrics_;
  const Clock& clock_;
  service::Gate gate_{[this] { return Ready(); }};
  mutable absl::Mutex mutex_;
  std::unique_ptr<Services> services_ ABSL_GUARDED_BY(mutex_);       // Set once.
  std::unique_ptr<store::Opening> opening_ ABSL_GUARDED_BY(mutex_);  // Set once.
  std::unique_ptr<service::HealthWatch> health_ ABSL_GUARDED_BY(mutex_);
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::Server> server_;
  config::HostPort address_;
  int port_ = 0;
  bool shut_down_ = false;
};

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(const Options& options,
                                                                metrics::Registry& metrics,
                                                                const Clock& clock) {
  for (const std::string& limit : options.origin_limits) {
    RETURN_IF_ERROR(Annotate(service::ParseOriginLimit(limit).status(), "--origin-limit"));
  }
  if (!options.list_roots.empty()) RETURN_IF_ERROR(CheckListRoots(options.list_roots));
  auto parts = std::make_unique<Parts>(options, metrics, clock);
  if (const absl::Status started = parts->Start(); !started.ok()) {
    parts->Shutdown();
    return started;
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

absl::Status Coordinator::Ready() const { return parts_->Ready(); }

absl::Status Coordinator::Refused() const { return parts_->refused(); }

bool Coordinator::BeginDrain() { return parts_->BeginDrain() != nullptr; }

void Coordinator::Shutdown() { parts_->Shutdown(); }

}  // namespace imgfleet
