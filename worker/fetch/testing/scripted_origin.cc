#include "worker/fetch/testing/scripted_origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/log.h"

namespace imgfleet::fetch {
namespace {

std::string Header(absl::string_view head, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(head, "\r\n")) {
    if (absl::StartsWithIgnoreCase(line, absl::StrCat(name, ":"))) {
      return std::string(absl::StripAsciiWhitespace(line.substr(name.size() + 1)));
    }
  }
  return "";
}

bool SendAll(int fd, SSL* ssl, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ssl != nullptr ? SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size()))
                                        : send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

ssize_t Receive(int fd, SSL* ssl, char* data, size_t size) {
  return ssl != nullptr ? SSL_read(ssl, data, static_cast<int>(size)) : recv(fd, data, size, 0);
}

}  // namespace

ScriptedOrigin::ScriptedOrigin(Script script, SSL_CTX* tls) : script_(std::move(script)), tls_(tls) {
  signal(SIGPIPE, SIG_IGN);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  IMGFLEET_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                 listen(listener_, 512) == 0);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedOrigin::~ScriptedOrigin() {
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

std::string ScriptedOrigin::Url(const std::string& path) const {
  return absl::StrCat(tls_ != nullptr ? "https" : "http", "://127.0.0.1:", port_, path);
}

std::vector<ScriptedOrigin::Request> ScriptedOrigin::log() const {
  absl::MutexLock lock(&mutex_);
  return log_;
}

void ScriptedOrigin::Accept() {
  while (!stopping_) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int number = ++connections_;
    absl::MutexLock lock(&mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd, number] { Converse(fd, number); });
  }
}

void ScriptedOrigin::Converse(int fd, int connection) {
  SSL* ssl = nullptr;
  bool alive = true;
  if (tls_ != nullptr) {
    ssl = SSL_new(tls_);
    SSL_set_fd(ssl, fd);
    alive = SSL_accept(ssl) == 1;
  }
  std::string buffer;
  while (alive && Handle(fd, ssl, &buffer, connection)) continue;
  if (ssl != nullptr) SSL_free(ssl);
  absl::MutexLock lock(&mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  close(fd);
}

bool ScriptedOrigin::Handle(int fd, SSL* ssl, std::string* buffer, int connection) {
  size_t end;
  while ((end = buffer->find("\r\n\r\n")) == std::string::npos) {
    char data[4096];
    const ssize_t got = Receive(fd, ssl, data, sizeof(data));
    if (got <= 0) return false;
    buffer->append(data, got);
  }
  Request request;
  request.head = buffer->substr(0, end + 2);
  buffer->erase(0, end + 4);
  const std::vector<std::string> line = absl::StrSplit(request.head.substr(0, request.head.find('\r')), ' ');
  request.path = line.size() > 1 ? line[1] : "";
  request.range = Header(request.head, "range");
  request.if_range = Header(request.head, "if-range");
  request.connection = connection;
  ++requests_;
  Answer answer;
  {
    absl::MutexLock lock(&mutex_);
    request.count = ++counts_[request.path];
    log_.push_back(request);
    answer = script_(request);
  }
  if (!SendAll(fd, ssl, answer.bytes)) return false;
  if (answer.after == Answer::kReset) {
    const linger hard{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  }
  if (answer.after == Answer::kHang) {
    char data[256];
    while (Receive(fd, ssl, data, sizeof(data)) > 0) continue;  // Until the other side has had enough.
  }
  return answer.after == Answer::kKeep;
}

std::string ScriptedOrigin::Http(int status, const std::vector<std::string>& headers,
                                 const std::string& body) {
  std::string answer = absl::StrCat("HTTP/1.1 ", status, " X\r\nContent-Length: ", body.size(), "\r\n");
  for (const std::string& header : headers) absl::StrAppend(&answer, header, "\r\n");
  return absl::StrCat(answer, "\r\n", body);
}

std::string ScriptedOrigin::Serve(const Request& request, const std::string& file,
                                  const std::vector<std::string>& headers) {
  uint64_t first = 0, last = 0;
  const std::vector<std::string> range = absl::StrSplit(request.range, absl::ByAnyChar("=-"));
  if (range.size() != 3 || !absl::SimpleAtoi(range[1], &first) || !absl::SimpleAtoi(range[2], &last)) {
    return Http(200, headers, file);
  }
  last = std::min<uint64_t>(last, file.size() - 1);
  std::vector<std::string> all = headers;
  all.push_back(absl::StrCat("Content-Range: bytes ", first, "-", last, "/", file.size()));
  return Http(206, all, file.substr(first, last - first + 1));
}

}  // namespace imgfleet::fetch
