#include "tests/hostile/peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/hostile/bodies.h"

namespace imgfleet::hostile {
namespace {

std::string Header(absl::string_view head, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    if (absl::StartsWithIgnoreCase(line, absl::StrCat(name, ":"))) {
      return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)));
    }
  }
  return "";
}

}  // namespace

Peer::Peer(int fd, int number, const Surroundings* surroundings)
    : fd_(fd), number_(number), surroundings_(surroundings) {}

Peer::~Peer() {
  if (tls_ != nullptr) {
    SSL_shutdown(tls_);
    SSL_free(tls_);
  }
  // The descriptor is closed by its owner, who may still want to shut it down.
}

bool Peer::StartTls(SSL_CTX* context) {
  tls_ = SSL_new(context);
  SSL_set_fd(tls_, fd_);
  if (SSL_accept(tls_) == 1) return true;
  SSL_set_quiet_shutdown(tls_, 1);
  return false;
}

ssize_t Peer::Receive(char* data, size_t size) {
  return tls_ != nullptr ? SSL_read(tls_, data, static_cast<int>(size)) : recv(fd_, data, size, 0);
}

bool Peer::Fill() {
  char data[4096];
  const ssize_t got = Receive(data, sizeof(data));
  if (got <= 0) return false;
  buffer_.append(data, got);
  return true;
}

bool Peer::ReadBytes(size_t size, std::string* bytes) {
  while (buffer_.size() < size) {
    if (!Fill()) return false;
  }
  *bytes = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return true;
}

std::string Peer::Good() { return Whole("200 OK", {"Content-Type: image/gif"}, Gif(123, 45)); }

std::optional<Request> Peer::Read() {
  while (true) {
    size_t end;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return std::nullopt;
    }
    Request request;
    request.head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    const std::vector<std::string> line =
        absl::StrSplit(request.head.substr(0, request.head.find('\r')), ' ');
    request.path = line.size() > 1 ? line[1] : "";
    if (absl::StartsWith(request.path, "/good")) {
      if (!Send(Good())) return std::nullopt;
      continue;
    }
    request.range = Header(request.head, "range");
    request.if_range = Header(request.head, "if-range");
    const std::vector<std::string> range = absl::StrSplit(request.range, absl::ByAnyChar("=-"));
    if (range.size() == 3 && absl::SimpleAtoi(range[1], &request.first)) {
      (void)absl::SimpleAtoi(range[2], &request.last);
    }
    request.count = surroundings_->count(request.path);
    return request;
  }
}

bool Peer::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                         : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

void Peer::SendAndClose(absl::string_view bytes) {
  const auto cork = [this](int on) { setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)); };
  cork(1);
  Send(bytes);
  SSL_shutdown(tls_);
  cork(0);
}

bool Peer::SendThenLater(absl::string_view now, absl::string_view later) {
  surroundings_->owe(1);  // Before the answer, with which the item may be over.
  bool there = Send(now);
  while (there && !mended()) there = Wait(10);
  there = there && Send(later);
  surroundings_->owe(-1);
  return there;
}

void Peer::SendMuch(absl::string_view bytes, uint64_t size) {
  const std::string many = Repeat(bytes, 64 << 10);
  for (uint64_t sent = 0; sent < size && Send(many); sent += many.size()) continue;
}

void Peer::SendForEver(absl::string_view bytes) {
  const std::string many = Repeat(bytes, 64 << 10);
  while (Send(many)) continue;
}

bool Peer::Wait(int milliseconds) {
  pollfd events{fd_, POLLRDHUP, 0};
  return poll(&events, 1, milliseconds) == 0;
}

void Peer::DripForEver(absl::string_view bytes) {
  for (size_t i = 0; Send(bytes.substr(i, 1)) && Wait(30); i = (i + 1) % bytes.size()) continue;
}

void Peer::Hang() { Wait(-1); }

void Peer::Reset() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  if (tls_ != nullptr) SSL_set_quiet_shutdown(tls_, 1);
}

void Peer::CloseWithoutNotice() { SSL_set_quiet_shutdown(tls_, 1); }

}  // namespace imgfleet::hostile
