#include "common/admin/admin.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet {
namespace {

constexpr unsigned kConnections = 64;
constexpr unsigned kIdleSeconds = 10;
constexpr unsigned kThreads = 2;

struct Answer {
  unsigned code;
  const char* content_type;
  std::string body;
};

constexpr char kText[] = "text/plain; charset=utf-8";

absl::StatusOr<int> Listen(const config::HostPort& where) {
  const auto refuse = [&](const char* why) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", where.ToString(), ": ", why));
  };
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(where.host.c_str(), absl::StrCat(where.port).c_str(), &hints, &found);
      error != 0) {
    return refuse(gai_strerror(error));
  }
  absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return refuse(std::strerror(errno));
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 64) != 0) {
    const int error = errno;
    close(fd);
    return refuse(std::strerror(error));
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

MHD_Result Send(MHD_Connection* connection, const Answer& answer) {
  // libmicrohttpd leaves the body out by itself where the request was HEAD.
  MHD_Response* response = MHD_create_response_from_buffer(
      answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
  MHD_add_response_header(response, "Content-Type", answer.content_type);
  MHD_add_response_header(response, "Cache-Control", "no-store");
  MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
  if (answer.code == 405) MHD_add_response_header(response, "Allow", "GET, HEAD");
  const MHD_Result result = MHD_queue_response(connection, answer.code, response);
  MHD_destroy_response(response);
  return result;
}

}  // namespace

class AdminServer::Daemon {
 public:
  Daemon(const metrics::Registry& metrics, Ready ready, Lacking lacking)
      : metrics_(metrics), ready_(std::move(ready)), lacking_(std::move(lacking)) {}
  ~Daemon() {
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);  // Closes the socket and joins its threads.
  }

  bool Run(int listening) {
    daemon_ = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO, 0, nullptr, nullptr, &Handle,
                               this, MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_THREAD_POOL_SIZE,
                               kThreads, MHD_OPTION_CONNECTION_LIMIT, kConnections,
                               MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds, MHD_OPTION_END);
    return daemon_ != nullptr;
  }

 private:
  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* url, const char* method,
                           const char* /*version*/, const char* /*upload*/, size_t* upload_size,
                           void** seen) {
    // Called once for the headers, then for the body's parts, then to be answered.
    if (*seen == nullptr) {
      *seen = self;
      return MHD_YES;
    }
    if (*upload_size != 0) {
      *upload_size = 0;
      return MHD_YES;
    }
    return Send(connection, static_cast<const Daemon*>(self)->AnswerTo(method, url));
  }

  Answer AnswerTo(const std::string& method, std::string path) const {
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    if (path != "/healthz" && path != "/readyz" && path != "/metrics") {
      return {404, kText, "There are /healthz, /readyz and /metrics here.\n"};
    }
    if (method != "GET" && method != "HEAD") return {405, kText, "GET and HEAD only.\n"};
    if (path == "/healthz") return {200, kText, "ok\n"};
    if (path == "/metrics") return {200, "text/plain; version=0.0.4; charset=utf-8", metrics_.Render()};
    const absl::Status ready = ready_();
    if (ready.ok()) {
      const std::string lacking = lacking_ ? lacking_() : "";
      return {200, kText, lacking.empty() ? "ready\n" : absl::StrCat("ready\n", lacking, "\n")};
    }
    return {503, kText, absl::StrCat("not ready: ", ready.message(), "\n")};
  }

  const metrics::Registry& metrics_;
  const Ready ready_;
  const Lacking lacking_;
  MHD_Daemon* daemon_ = nullptr;
};

AdminServer::AdminServer(config::HostPort address, std::unique_ptr<Daemon> daemon)
    : address_(std::move(address)), daemon_(std::move(daemon)) {}

AdminServer::~AdminServer() = default;

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const config::HostPort& listen,
                                                                const metrics::Registry& metrics, Ready ready,
                                                                Lacking lacking) {
  if (listen.empty()) return nullptr;
  const absl::StatusOr<int> listening = Listen(listen);
  if (!listening.ok()) return Annotate(listening.status(), "admin port");
  const config::HostPort address{listen.host, PortOf(*listening)};
  auto daemon = std::make_unique<Daemon>(metrics, std::move(ready), std::move(lacking));
  if (!daemon->Run(*listening)) {
    close(*listening);
    return absl::ResourceExhaustedError("admin port: its threads cannot be started");
  }
  return std::unique_ptr<AdminServer>(new AdminServer(address, std::move(daemon)));
}

}  // namespace imgfleet
