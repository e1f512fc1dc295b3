#include "gateway/gateway.h"

#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/thread_pool.hpp"
#include "common/blob.h"
#include "common/list_root.h"
#include "common/status.h"
#include "gateway/handlers.h"
#include "gateway/server.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace imgfleet::gateway {
namespace {

// Reading from a disk or a network folder can block; two lists at once are enough to fill the coordinator.
constexpr int kListReaders = 2;
// Shorter than the timeout that probes have by default, a second.
constexpr auto kReadyPatience = std::chrono::milliseconds(300);
constexpr auto kReconnectPause = std::chrono::milliseconds(500);

}  // namespace

class Gateway::Parts {
 public:
  Parts(const Options& options, std::shared_ptr<grpc::Channel> channel, const Clock& clock)
      : channel_(std::move(channel)),
        jobs_(v1::Jobs::NewStub(channel_)),
        readers_(kListReaders),
        backend_{.jobs = *jobs_,
                 .lists = {options.list_roots, readers_},
                 .clock = clock,
                 .patience = options.patience} {
    AddImagesInfoRoutes(backend_, router_);
    AddImageRoute(backend_, router_);
    AddJobRoutes(backend_, router_);
    AddScheduleRoutes(backend_, router_);
    AddPageRoutes(router_);
    Reconnect();
  }

  absl::Status Serve(const Options& options, metrics::Registry& metrics, const Clock& clock) {
    Server::Options server;
    server.listen = options.listen;
    server.threads = options.threads;
    server.limits = options.limits;
    ASSIGN_OR_RETURN(server_, Server::Start(server, router_, metrics, clock));
    return absl::OkStatus();
  }

  ~Parts() {
    keeping_.stop();
    keeping_.join();
  }

  absl::Status Ready() {
    if (stopping_) return absl::UnavailableError("shutting down");
    // Waiting makes an idle channel connect. Without somebody who waits or calls, gRPC looks at a connection
    // that is coming about only every five seconds.
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kReadyPatience))
      return absl::OkStatus();
    return absl::UnavailableError("the coordinator cannot be reached");
  }

  void BeginDrain() {
    stopping_ = true;
    server_->Dismiss();
  }

  void Shutdown(absl::Duration grace) {
    stopping_ = true;
    if (server_ != nullptr) server_->Stop(grace);
  }

  const Server& server() const { return *server_; }

 private:
  // Time and again: gRPC's own wait before it connects anew goes by the wall clock, which may have been set back meanwhile.
  void Reconnect() {
    if (channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
    }
    reconnecting_.expires_after(kReconnectPause);
    reconnecting_.async_wait([this](const boost::system::error_code& stopped) {
      if (!stopped) Reconnect();
    });
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Jobs::Stub> jobs_;
  boost::asio::thread_pool readers_;
  const Backend backend_;
  Router router_;
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<Server> server_;  // Its connections use all of the above.
  boost::asio::thread_pool keeping_{1};
  boost::asio::steady_timer reconnecting_{keeping_};
};

Gateway::Gateway(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Gateway::~Gateway() = default;

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Start(const Options& options,
                                                        std::shared_ptr<grpc::Channel> channel,
                                                        metrics::Registry& metrics, const Clock& clock) {
  if (!options.list_roots.empty()) RETURN_IF_ERROR(CheckListRoots(options.list_roots));
  auto parts = std::make_unique<Parts>(options, std::move(channel), clock);
  RETURN_IF_ERROR(parts->Serve(options, metrics, clock));
  return std::unique_ptr<Gateway>(new Gateway(std::move(parts)));
}

const config::HostPort& Gateway::address() const { return parts_->server().address(); }
absl::Status Gateway::Ready() { return parts_->Ready(); }
void Gateway::BeginDrain() { parts_->BeginDrain(); }
void Gateway::Shutdown(absl::Duration grace) { parts_->Shutdown(grace); }

std::shared_ptr<grpc::Channel> ConnectToCoordinators(const std::string& target) {
  grpc::ChannelArguments arguments;
  // A coordinator that is gone without a word is noticed within 15 seconds, and another one asked.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxBlobRawBytes) + (1 << 20));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A name's addresses may all be new after a restart of all coordinators; by default gRPC looks every 30 seconds.
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace imgfleet::gateway
