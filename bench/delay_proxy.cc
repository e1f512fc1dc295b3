// A TCP proxy on loopback that makes the other end seem far away, where netem is not to be had.
//
//   delay_proxy LISTEN_PORT UPSTREAM_PORT ONE_WAY_MILLIS
//
// Every byte arrives ONE_WAY_MILLIS after it was sent, in both directions, and a connection's first bytes
// wait one round trip more, as for TCP's handshake. Throughput is not limited: up to kWindow bytes are under
// way in each direction of a connection. One thread.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using Steady = std::chrono::steady_clock;
constexpr size_t kWindow = 8 << 20;
constexpr size_t kReadSize = 256 << 10;

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(3);
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// What is under way from one end of a connection to the other. An empty chunk is the end of the stream.
struct Direction {
  int from = -1;
  int to = -1;
  std::deque<std::pair<Steady::time_point, std::string>> chunks;
  size_t sent_of_first = 0;
  size_t bytes = 0;
  bool reading = true;   // False once `from` has ended.
  bool blocked = false;  // `to` takes no more for now.
  bool ended = false;    // The end of the stream was passed on.
};

struct Connection {
  Direction up, down;
  Steady::time_point open_at;  // When the handshake is over.
};

class Proxy {
 public:
  Proxy(int listen_port, int upstream_port, std::chrono::milliseconds delay)
      : upstream_(Loopback(upstream_port)), delay_(delay), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = Loopback(listen_port);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("delay_proxy: bind");
    if (listen(listener_, 4096) != 0) Die("delay_proxy: listen");
    Watch(listener_, EPOLLIN);
  }

  [[noreturn]] void Run() {
    std::vector<epoll_event> events(512);
    for (;;) {
      int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), TimeoutMillis());
      now_ = Steady::now();
      for (int i = 0; i < count; ++i) {
        int fd = events[i].data.fd;
        if (fd == listener_) {
          Accept();
          continue;
        }
        auto found = connections_.find(fd);
        if (found == connections_.end()) continue;
        std::shared_ptr<Connection> connection = found->second;
        bool is_client = connection->up.from == fd;
        Direction& out = is_client ? connection->down : connection->up;
        Direction& in = is_client ? connection->up : connection->down;
        out.blocked = false;  // Edge-triggered: any event may mean room.
        Read(*connection, in);
        Write(*connection, out);
      }
      Deliver();
    }
  }

 private:
  using Due = std::pair<Steady::time_point, int>;  // When, and the client's socket of the connection.

  void Watch(int fd, uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("delay_proxy: epoll_ctl");
  }

  int TimeoutMillis() const {
    if (due_.empty()) return -1;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(due_.top().first - Steady::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  }

  void Accept() {
    int client;
    while ((client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      int on = 1;
      setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (connect(server, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_) != 0 &&
          errno != EINPROGRESS) {
        close(server);
        close(client);
        continue;
      }
      auto connection = std::make_shared<Connection>();
      connection->up.from = connection->down.to = client;
      connection->up.to = connection->down.from = server;
      connection->open_at = now_ + 2 * delay_;
      connections_[client] = connections_[server] = connection;
      Watch(client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
      Watch(server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  void Read(Connection& connection, Direction& direction) {
    while (direction.reading && direction.bytes < kWindow) {
      ssize_t size = recv(direction.from, buffer_.data(), buffer_.size(), 0);
      if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return;
      if (size <= 0) direction.reading = false;
      Steady::time_point due = std::max(now_, connection.open_at) + delay_;
      direction.chunks.emplace_back(due, std::string(buffer_.data(), size > 0 ? size : 0));
      direction.bytes += std::max<ssize_t>(size, 0);
      due_.emplace(due, connection.up.from);
    }
  }

  void Write(Connection& connection, Direction& direction) {
    bool was_full = direction.bytes >= kWindow;
    while (!direction.chunks.empty() && !direction.blocked && direction.chunks.front().first <= now_) {
      const std::string& chunk = direction.chunks.front().second;
      if (chunk.empty()) {
        shutdown(direction.to, SHUT_WR);
        direction.ended = true;
        direction.chunks.pop_front();
        break;
      }
      ssize_t size = send(direction.to, chunk.data() + direction.sent_of_first,
                          chunk.size() - direction.sent_of_first, MSG_NOSIGNAL);
      if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) {
        direction.blocked = true;
      } else if (size < 0) {  // The reader is gone: so is the connection.
        connection.up.ended = connection.down.ended = true;
        break;
      } else {
        direction.bytes -= size;
        direction.sent_of_first += size;
        if (direction.sent_of_first == chunk.size()) {
          direction.chunks.pop_front();
          direction.sent_of_first = 0;
        }
      }
    }
    if (connection.up.ended && connection.down.ended) {
      Close(connection);
    } else if (was_full && direction.bytes < kWindow) {
      Read(connection, direction);
    }
  }

  void Deliver() {
    while (!due_.empty() && due_.top().first <= now_) {
      auto found = connections_.find(due_.top().second);
      due_.pop();
      if (found == connections_.end()) continue;
      std::shared_ptr<Connection> connection = found->second;
      Write(*connection, connection->up);
      if (connection->up.from >= 0) Write(*connection, connection->down);
    }
  }

  void Close(Connection& connection) {
    for (int fd : {connection.up.from, connection.up.to}) {
      if (fd < 0) continue;
      connections_.erase(fd);
      close(fd);
    }
    connection.up = connection.down = Direction{};
  }

  const sockaddr_in upstream_;
  const std::chrono::milliseconds delay_;
  const int epoll_;
  int listener_ = -1;
  Steady::time_point now_ = Steady::now();
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;  // By both of its sockets.
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: delay_proxy LISTEN_PORT UPSTREAM_PORT ONE_WAY_MILLIS\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  Proxy(atoi(argv[1]), atoi(argv[2]), std::chrono::milliseconds(atoi(argv[3]))).Run();
}
