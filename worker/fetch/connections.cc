#include "worker/fetch/connections.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string_view>
#include <utility>

#include "absl/hash/hash.h"

namespace imgfleet::fetch {
namespace {

using Shared = std::shared_ptr<Connection>;

void Release(void*, void* shared, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Shared*>(shared); }

int Index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &Release);
  return index;
}

void OnInfo(const SSL* tls, int where, int value) {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (value & 0xff) != SSL_AD_CLOSE_NOTIFY) return;
  const auto* shared = static_cast<Shared*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(tls), Index()));
  if (shared != nullptr) (*shared)->close_notify = true;
}

// A look at a connection costs two system calls.
constexpr absl::Duration kLook = absl::Milliseconds(100);
// More than lies between an origin and us when we break an answer off.
constexpr int64_t kMostOfNothing = 16 << 20;

}  // namespace

int64_t BytesTaken(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  int waiting = 0;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || ioctl(fd, SIOCINQ, &waiting) != 0) return 0;
  return static_cast<int64_t>(info.tcpi_bytes_received) - waiting;
}

int LocalPort(int fd) {
  sockaddr_in6 own{};  // An IPv4 address has its port in the same place.
  socklen_t size = sizeof(own);
  getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
  return ntohs(own.sin6_port);
}

bool Connection::IsFlooded(absl::Time now) {
  if (!multiplexed || closed || now < next_look_) return false;
  next_look_ = now + kLook;
  const int64_t taken = BytesTaken(fd);
  if (std::exchange(seen_delivered_, delivered) != delivered) taken_ = taken;
  return taken - taken_ > kMostOfNothing;
}

void Connection::Cut() {
  flooded = true;
  shutdown(fd, SHUT_RDWR);
}

bool Connection::HasStrayBytes() const {
  char byte;
  return !multiplexed && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void Connection::Observe(const Shared& connection, SSL_CTX* context) {
  auto shared = std::make_unique<Shared>(connection);
  if (SSL_CTX_set_ex_data(context, Index(), shared.get()) != 1) return;
  shared.release();  // The context's now.
  SSL_CTX_set_info_callback(context, &OnInfo);
}

uint64_t Connections::Key(absl::string_view address, int port, int local_port) {
  return absl::HashOf(std::string_view(address.data(), address.size()), port, local_port) | 1;
}

void Connections::Add(uint64_t key, Shared connection) {
  const auto fd = static_cast<size_t>(connection->fd);
  if (fd >= keys_.size()) keys_.resize(fd + 64);
  keys_[fd] = key;
  connections_[key] = std::move(connection);
}

Shared Connections::Find(uint64_t key) const {
  const auto found = connections_.find(key);
  return found == connections_.end() ? nullptr : found->second;
}

void Connections::Flooded(int local_port) {
  for (const auto& [key, connection] : connections_) {
    if (LocalPort(connection->fd) == local_port) connection->flooded = true;
  }
}

void Connections::Remove(int fd) {
  if (static_cast<size_t>(fd) >= keys_.size() || keys_[fd] == 0) return;
  const auto found = connections_.find(keys_[fd]);
  if (found != connections_.end() && found->second->fd == fd) {
    found->second->closed = true;
    connections_.erase(found);
  }
  keys_[fd] = 0;
}

}  // namespace imgfleet::fetch
