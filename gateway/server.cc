#include "gateway/server.h"

#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "common/log.h"

namespace imgfleet::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kResult = asio::as_tuple(asio::use_awaitable);

}  // namespace

class Server::Loops {
 public:
  Loops(const Options& options, const Router& router, metrics::Registry& metrics, const Clock& clock)
      : options_(options),
        context_{router, metrics, options.limits, clock},
        open_gauge_(metrics.Gauge("imgfleet_gateway_connections", "Connections open now.")),
        refused_(metrics.Counter("imgfleet_gateway_connections_refused_total",
                                 "Connections closed at once, since too many were open.")) {
    for (int i = 0; i < options.threads; ++i) loops_.push_back(std::make_unique<Loop>());
    acceptor_ = std::make_unique<tcp::acceptor>(loops_.front()->io);
  }

  absl::Status Listen() {
    const auto refuse = [this](const boost::system::error_code& error) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options_.listen.ToString(), ": ", error.message()));
    };
    boost::system::error_code error;
    tcp::resolver resolver(loops_.front()->io);
    const auto found = resolver.resolve(options_.listen.host, absl::StrCat(options_.listen.port),
                                        tcp::resolver::passive, error);
    if (error) return refuse(error);
    const tcp::endpoint endpoint = *found.begin();
    if (acceptor_->open(endpoint.protocol(), error); error) return refuse(error);
    if (acceptor_->set_option(tcp::acceptor::reuse_address(true), error); error) return refuse(error);
    if (acceptor_->bind(endpoint, error); error) return refuse(error);
    if (acceptor_->listen(tcp::acceptor::max_listen_connections, error); error) return refuse(error);
    address_ = {options_.listen.host, acceptor_->local_endpoint(error).port()};
    return absl::OkStatus();
  }

  void Run() {
    {
      absl::MutexLock lock(&mutex_);
      accepting_ = true;
    }
    asio::co_spawn(loops_.front()->io, Accept(), asio::detached);
    for (auto& loop : loops_) loop->thread = std::thread([&loop = *loop] { loop.io.run(); });
  }

  void Dismiss() { Enter(Phase::kDismissing); }

  void Stop(absl::Duration grace) {
    if (std::exchange(stopped_, true)) return;
    asio::post(loops_.front()->io, [this] { AcceptTheLast(); });
    Enter(Phase::kDraining);
    {
      absl::MutexLock lock(&mutex_);
      if (!mutex_.AwaitWithTimeout(absl::Condition(this, &Loops::Quiet), grace) && open_ > 0) {
        log::Warning("%d connections are broken off after %s of grace", open_, absl::FormatDuration(grace));
      }
    }
    Enter(Phase::kBreaking);
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Loops::Quiet));
    }
    for (auto& loop : loops_) loop->work.reset();
    for (auto& loop : loops_) {
      if (loop->thread.joinable()) loop->thread.join();
    }
  }

  ~Loops() { Stop(absl::ZeroDuration()); }

  const config::HostPort& address() const { return address_; }

 private:
  struct Loop {
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::set<std::shared_ptr<Connection>> connections;  // Touched on its thread only.
    std::thread thread;
  };

  // What connections are told, those to come as well.
  enum class Phase { kServing, kDismissing, kDraining, kBreaking };

  bool Quiet() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !accepting_ && open_ == 0; }

  void Enter(Phase phase) {
    {
      absl::MutexLock lock(&mutex_);
      phase_ = phase;
    }
    for (auto& loop : loops_) {
      asio::post(loop->io, [&loop = *loop, phase] {
        // A copy: what it is told may end a connection, which takes itself out of the set.
        const auto connections = loop.connections;
        for (const auto& connection : connections) Tell(*connection, phase);
      });
    }
  }

  static void Tell(Connection& connection, Phase phase) {
    switch (phase) {
      case Phase::kServing:
        return;
      case Phase::kDismissing:
        return connection.Dismiss();
      case Phase::kDraining:
        return connection.Drain();
      case Phase::kBreaking:
        return connection.Break();
    }
  }

  Task<void> Accept() {
    for (size_t turn = 0;; ++turn) {
      Loop& loop = *loops_[turn % loops_.size()];
      auto [error, socket] = co_await acceptor_->async_accept(loop.io, kResult);
      if (error && !acceptor_->is_open()) break;
      if (error) {
        // Out of descriptors, or the client was gone before it came: neither is worth a busy loop.
        log::Warning("accepting a connection failed: %s", error.message());
        asio::steady_timer timer(acceptor_->get_executor(), std::chrono::milliseconds(100));
        co_await timer.async_wait(kResult);
      } else {
        Admit(loop, std::move(socket));
      }
      if (!acceptor_->is_open()) break;
    }
    absl::MutexLock lock(&mutex_);
    accepting_ = false;
  }

  // Closing resets whoever has connected and was not accepted: their requests may be here already.
  void AcceptTheLast() {
    boost::system::error_code error;
    acceptor_->non_blocking(true, error);
    const auto most = static_cast<size_t>(options_.max_connections);
    for (size_t turn = 0; !error && turn < most; ++turn) {
      Loop& loop = *loops_[turn % loops_.size()];
      tcp::socket socket = acceptor_->accept(loop.io, error);
      if (!error) Admit(loop, std::move(socket));
    }
    // Ends Accept, which may have one more by now.
    acceptor_->close(error);
  }

  void Admit(Loop& loop, tcp::socket socket) {
    if (!HasPlace()) return;  // Closes it.
    asio::post(loop.io,
               [this, &loop, socket = std::move(socket)]() mutable { Serve(loop, std::move(socket)); });
  }

  bool HasPlace() {
    absl::MutexLock lock(&mutex_);
    if (open_ >= options_.max_connections) {
      refused_.Increment();
      return false;
    }
    open_gauge_.Set(++open_);
    return true;
  }

  void Serve(Loop& loop, tcp::socket socket) {
    auto connection = Connection::Make(std::move(socket), context_);
    loop.connections.insert(connection);
    {
      absl::MutexLock lock(&mutex_);
      Tell(*connection, phase_);
    }
    asio::co_spawn(loop.io, connection->Run(), [this, &loop, connection](std::exception_ptr failed) {
      if (failed) log::Error("a connection ended with an exception");
      loop.connections.erase(connection);
      absl::MutexLock lock(&mutex_);
      open_gauge_.Set(--open_);
    });
  }

  const Options options_;
  const ConnectionContext context_;
  config::HostPort address_;
  bool stopped_ = false;

  prometheus::Gauge& open_gauge_;
  prometheus::Counter& refused_;

  std::vector<std::unique_ptr<Loop>> loops_;
  std::unique_ptr<tcp::acceptor> acceptor_;  // Used on the first loop's thread.

  absl::Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  bool accepting_ ABSL_GUARDED_BY(mutex_) = false;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kServing;
};

Server::Server(std::unique_ptr<Loops> loops) : loops_(std::move(loops)) {}
Server::~Server() = default;

const config::HostPort& Server::address() const { return loops_->address(); }
void Server::Dismiss() { loops_->Dismiss(); }
void Server::Stop(absl::Duration grace) { loops_->Stop(grace); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Options& options, const Router& router,
                                                      metrics::Registry& metrics, const Clock& clock) {
  auto loops = std::make_unique<Loops>(options, router, metrics, clock);
  if (absl::Status status = loops->Listen(); !status.ok()) return status;
  loops->Run();
  return std::unique_ptr<Server>(new Server(std::move(loops)));
}

}  // namespace imgfleet::gateway
