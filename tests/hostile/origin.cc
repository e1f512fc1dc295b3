#include "tests/hostile/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "tests/hostile/http2.h"

namespace imgfleet::hostile {
namespace {

void Honest(Peer& peer) {
  while (peer.Read() && peer.Send(Peer::Good())) continue;
}

// HTTP/2 where the client offers it, else nothing is agreed on.
int SelectHttp2(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                unsigned offered_size, void*) {
  static const unsigned char kHttp2[] = {2, 'h', '2'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, size, kHttp2, sizeof(kHttp2), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

HostileOrigin::HostileOrigin(std::vector<Case> cases)
    : cases_(std::move(cases)),
      good_{.name = "good", .sends = "", .ends = {}, .guard = "", .converse = Honest},
      wakeup_(eventfd(0, EFD_CLOEXEC)) {
  signal(SIGPIPE, SIG_IGN);
  for (const Tls tls : {Tls::kTrusted, Tls::kHttp2, Tls::kOld, Tls::kExpired, Tls::kSelfSigned,
                        Tls::kWrongHost, Tls::kStranger}) {
    contexts_[tls] = Context(tls);
  }
  Open("good", &good_, false, "127.0.0.1");
  Open("good-tls", &good_, true, "127.0.0.1");
  Open("forbidden", &good_, false, "127.0.0.2");
  for (const Case& one : cases_) Open(one.name, &one, one.tls != Tls::kNone, "127.0.0.1");
  acceptor_ = std::thread([this] { Accept(); });
}

HostileOrigin::~HostileOrigin() {
  stopping_ = true;
  const uint64_t one = 1;
  IMGFLEET_CHECK(write(wakeup_, &one, sizeof(one)) == sizeof(one));
  acceptor_.join();
  HangUp();
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& [name, site] : sites_) close(site->listener);
  for (auto& [tls, context] : contexts_) SSL_CTX_free(context);
  close(wakeup_);
}

SSL_CTX* HostileOrigin::Context(Tls tls) {
  const std::string here = "IP:127.0.0.1";
  switch (tls) {
    case Tls::kExpired:
      return authority_.Server(here, /*self_signed=*/false, /*valid_seconds=*/-60);
    case Tls::kSelfSigned:
      return authority_.Server(here, /*self_signed=*/true);
    case Tls::kWrongHost:
      return authority_.Server("DNS:other.example");
    case Tls::kStranger:
      return stranger_.Server(here);
    default:
      break;
  }
  SSL_CTX* context = authority_.Server(here);
  if (tls == Tls::kHttp2) SSL_CTX_set_alpn_select_cb(context, &SelectHttp2, nullptr);
  if (tls == Tls::kOld) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  return context;
}

void HostileOrigin::Open(const std::string& name, const Case* shown, bool https, const std::string& address) {
  auto site = std::make_unique<Site>();
  site->shown = shown;
  site->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in own{};
  own.sin_family = AF_INET;
  inet_pton(AF_INET, address.c_str(), &own.sin_addr);
  socklen_t size = sizeof(own);
  IMGFLEET_CHECK(bind(site->listener, reinterpret_cast<sockaddr*>(&own), size) == 0 &&
                 listen(site->listener, 512) == 0);
  getsockname(site->listener, reinterpret_cast<sockaddr*>(&own), &size);
  site->base = absl::StrCat(https ? "https://" : "http://", address, ":", ntohs(own.sin_port));
  site->surroundings.own = site->base + "/x";
  site->surroundings.other = [this](absl::string_view other) { return Url(other); };
  site->surroundings.mended = [this] { return mended_.load(); };
  site->surroundings.owe = [this](int more) {
    absl::MutexLock lock(&mutex_);
    owed_ += more;
  };
  site->surroundings.count = [raw = site.get()](const std::string& path) {
    absl::MutexLock lock(&raw->mutex);
    return ++raw->counts[path];
  };
  IMGFLEET_CHECK(sites_.emplace(name, std::move(site)).second);  // Else two cases share a name.
}

std::string HostileOrigin::Url(absl::string_view name, absl::string_view path) const {
  const auto site = sites_.find(std::string(name));
  IMGFLEET_CHECK(site != sites_.end());
  return absl::StrCat(site->second->base, path);
}

void HostileOrigin::Mend() {
  mended_ = true;
  const auto paid = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return owed_ == 0; };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&paid));
}

void HostileOrigin::HangUp() {
  absl::MutexLock lock(&mutex_);
  for (const int fd : open_) shutdown(fd, SHUT_RDWR);
}

int HostileOrigin::connections(absl::string_view name) const {
  return sites_.find(std::string(name))->second->connections;
}

void HostileOrigin::Accept() {
  std::vector<pollfd> events{{wakeup_, POLLIN, 0}};
  std::vector<Site*> sites{nullptr};
  for (auto& [name, site] : sites_) {
    events.push_back({site->listener, POLLIN, 0});
    sites.push_back(site.get());
  }
  while (!stopping_) {
    if (poll(events.data(), events.size(), -1) < 0) continue;
    for (size_t i = 1; i < events.size(); ++i) {
      if (events[i].revents == 0) continue;
      const int fd = accept4(events[i].fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
      const int number = ++sites[i]->connections;
      absl::MutexLock lock(&mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, site = sites[i], fd, number] { Converse(site, fd, number); });
    }
  }
}

void HostileOrigin::Converse(Site* site, int fd, int number) {
  const bool mended = mended_;
  const Case& shown = mended ? good_ : *site->shown;
  const bool https = site->base[4] == 's';
  const Tls tls = https && (mended || &shown == &good_) ? Tls::kTrusted : shown.tls;
  {
    Peer peer(fd, number, &site->surroundings);
    const auto context = contexts_.find(tls);
    if (context == contexts_.end() || peer.StartTls(context->second)) shown.converse(peer);
  }
  absl::MutexLock lock(&mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  close(fd);
}

}  // namespace imgfleet::hostile
