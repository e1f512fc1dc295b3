#include "worker/fetch/testing/any_address.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace imgfleet::fetch {
namespace {

absl::Status Failed(const char* what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::Status WriteFile(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) close(fd);
  return written ? absl::OkStatus() : Failed(path);
}

absl::Status RaiseLoopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
  return result == 0 ? absl::OkStatus() : Failed("raising lo");
}

// "ip route add local default dev lo" for one family.
absl::Status AllAddressesAreLocal(unsigned char family) {
  struct {
    nlmsghdr header;
    rtmsg route;
    rtattr attribute;
    int device;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_NEWROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
  request.route.rtm_family = family;
  request.route.rtm_table = RT_TABLE_LOCAL;
  request.route.rtm_protocol = RTPROT_STATIC;
  request.route.rtm_scope = RT_SCOPE_HOST;
  request.route.rtm_type = RTN_LOCAL;
  request.attribute.rta_type = RTA_OIF;
  request.attribute.rta_len = RTA_LENGTH(sizeof(int));
  request.device = static_cast<int>(if_nametoindex("lo"));
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[256];
  } reply{};
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  const bool asked =
      send(fd, &request, sizeof(request), 0) == sizeof(request) && recv(fd, &reply, sizeof(reply), 0) > 0;
  close(fd);
  if (!asked) return Failed("netlink");
  errno = -reply.error.error;
  return reply.error.error == 0 ? absl::OkStatus() : Failed("adding a route to every address");
}

ssize_t Receive(int fd, SSL* ssl, char* data, int size) {
  return ssl != nullptr ? SSL_read(ssl, data, size) : recv(fd, data, size, 0);
}

void Send(int fd, SSL* ssl, const std::string& bytes) {
  if (ssl != nullptr) {
    SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()));
  } else {
    send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
}

}  // namespace

absl::Status EnterAnyAddressNetwork() {
  const std::string user = absl::StrCat("0 ", getuid(), " 1");
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return Failed("unshare");
  RETURN_IF_ERROR(WriteFile("/proc/self/uid_map", user));
  RETURN_IF_ERROR(RaiseLoopback());
  RETURN_IF_ERROR(AllAddressesAreLocal(AF_INET));
  return AllAddressesAreLocal(AF_INET6);
}

Watcher::Watcher(uint16_t port, Script script, SSL_CTX* tls)
    : port_(port),
      script_(std::move(script)),
      tls_(tls),
      listener_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  signal(SIGPIPE, SIG_IGN);
  const int one = 1, zero = 0;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  setsockopt(listener_, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  IMGFLEET_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                 listen(listener_, 64) == 0);
  acceptor_ = std::thread([this] { Accept(); });
}

Watcher::~Watcher() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    absl::MutexLock lock(&mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

// Connections are accepted in their order: once our own has been, all before it are in the books.
Watcher::Seen Watcher::Take() {
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 own{}, there{};
  own.sin6_family = there.sin6_family = AF_INET6;
  own.sin6_addr = there.sin6_addr = in6addr_loopback;
  there.sin6_port = htons(port_);
  socklen_t size = sizeof(own);
  IMGFLEET_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&own), size) == 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
  {
    absl::MutexLock lock(&mutex_);
    barrier_ = own.sin6_port;
  }
  IMGFLEET_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&there), sizeof(there)) == 0);
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](uint16_t* barrier) { return *barrier == 0; }, &barrier_));
  close(fd);
  return std::exchange(seen_, {});
}

void Watcher::Accept() {
  while (!stopping_) {
    sockaddr_in6 from{}, to{};
    socklen_t size = sizeof(from);
    const int fd = accept4(listener_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
    if (fd < 0) continue;
    size = sizeof(to);
    getsockname(fd, reinterpret_cast<sockaddr*>(&to), &size);
    const std::string address = IpAddress::FromSockaddr(reinterpret_cast<sockaddr*>(&to))->ToString();
    absl::MutexLock lock(&mutex_);
    if (barrier_ != 0 && from.sin6_port == barrier_) {
      barrier_ = 0;
      close(fd);
      continue;
    }
    seen_.connected.push_back(address);
    open_.push_back(fd);
    threads_.emplace_back([this, fd, address] { Serve(fd, address); });
  }
}

// Request after request, until the other side hangs up.
void Watcher::Serve(int fd, const std::string& address) {
  SSL* ssl = nullptr;
  bool alive = true;
  if (tls_ != nullptr) {
    ssl = SSL_new(tls_);
    SSL_set_fd(ssl, fd);
    alive = SSL_accept(ssl) == 1;
  }
  std::string buffer;
  while (alive) {
    char data[4096];
    const ssize_t got = Receive(fd, ssl, data, sizeof(data));
    if (got <= 0) break;
    buffer.append(data, got);
    if (buffer.find("\r\n\r\n") == std::string::npos) continue;
    const size_t space = buffer.find(' ');
    const std::string path = buffer.substr(space + 1, buffer.find(' ', space + 1) - space - 1);
    buffer.clear();
    {
      absl::MutexLock lock(&mutex_);
      seen_.asked.push_back(address);
    }
    Send(fd, ssl, script_(path));
  }
  if (ssl != nullptr) SSL_free(ssl);
  absl::MutexLock lock(&mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  close(fd);
}

}  // namespace imgfleet::fetch
