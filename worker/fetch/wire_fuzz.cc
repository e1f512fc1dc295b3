// Fuzzes fetching as a whole: the input is what an origin sends, and the engine that ships fetches it, libcurl and all,
// over a network in which every address is this machine. Byte 0: bit 0, there is a second attempt; bits 1 and 2, if both
// are set connections stay open between answers; the other bits and byte 1, which byte is wanted. The rest are the
// answers, one for each request, "\n--\n" between them. What must hold whatever the bytes:
//
// - The fetch ends, with something or with a reason, and once nobody wants it any more it ends at once.
// - Nobody connects to an address that is not public, wherever redirects lead.
// - Every request is one that we meant to send: nothing of an answer becomes a header or a second request.
// - What is fetched from the same origin afterwards is what that origin sends then, whatever it left on connections.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "worker/fetch/testing/any_address.h"
#include "worker/fetch/testing/harness.h"

namespace imgfleet::fetch {
namespace {

constexpr uint16_t kPort = 80;
constexpr char kBetween[] = "\n--\n";
constexpr char kGood[] = "HTTP/1.1 200 OK\r\nETag: \"good\"\r\nContent-Length: 4\r\n\r\nGOOD";

void Require(bool holds, const char* what, absl::string_view seen) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; \"%s\"\n", what, absl::CEscape(seen).c_str());
  std::abort();
}

// What the engine may send, line by line.
void CheckRequest(absl::string_view head) {
  const std::vector<absl::string_view> lines = absl::StrSplit(head, "\r\n");
  Require(absl::StartsWith(lines[0], "GET /") && absl::EndsWith(lines[0], " HTTP/1.1"), "a request", head);
  for (const unsigned char c : head) {
    Require((c >= ' ' && c != 0x7f) || c == '\r' || c == '\n' || c == '\t', "a request of text", head);
  }
  Require(std::count(lines[0].begin(), lines[0].end(), ' ') == 2, "one path", head);
  static const char* const kOurs[] = {"Host",  "User-Agent", "Accept",       "Accept-Encoding",
                                      "Range", "If-Range",   "Authorization"};
  std::vector<absl::string_view> names;
  for (size_t i = 1; i < lines.size(); ++i) {
    const absl::string_view name = lines[i].substr(0, lines[i].find(':'));
    Require(std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs), "headers of ours", head);
    Require(std::find(names.begin(), names.end(), name) == names.end(), "each header once", head);
    names.push_back(name);
    Require(lines[i].find_first_of("\r\n") == absl::string_view::npos, "a header of one line", head);
  }
}

// Listens on every address. One thread, one connection's turn at a time.
class Wire {
 public:
  Wire() : wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    signal(SIGPIPE, SIG_IGN);
    listener_ = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 own{};
    own.sin6_family = AF_INET6;
    own.sin6_port = htons(kPort);
    Require(
        bind(listener_, reinterpret_cast<sockaddr*>(&own), sizeof(own)) == 0 && listen(listener_, 512) == 0,
        "a listener", "");
    thread_ = std::thread([this] { Run(); });
  }
  ~Wire() {
    stopping_ = true;
    Wake();
    thread_.join();
    close(listener_);
    close(wakeup_);
  }

  // From now on: `answers` in this order, to whatever is asked for but "/good"; behind the last, and with `once`
  // behind each, the connection ends. Connections that exist end.
  void Play(std::vector<std::string> answers, bool once) {
    {
      absl::MutexLock lock(&mutex_);
      answers_ = std::move(answers);
      once_ = once;
      next_ = 0;
      renew_ = true;
    }
    Wake();
  }

 private:
  struct Connection {
    int fd;
    std::string asked;
  };

  void Wake() {
    const uint64_t one = 1;
    Require(write(wakeup_, &one, sizeof(one)) == sizeof(one), "a wake-up", "");
  }

  void Run() {
    while (!stopping_) {
      std::vector<pollfd> events{{wakeup_, POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const Connection& connection : connections_) events.push_back({connection.fd, POLLIN, 0});
      if (poll(events.data(), events.size(), -1) < 0) continue;
      for (size_t i = connections_.size(); i-- > 0;) {
        if (events[2 + i].revents == 0 || Serve(connections_[i])) continue;
        close(connections_[i].fd);
        connections_.erase(connections_.begin() + i);
      }
      uint64_t count;
      if (events[0].revents != 0 && read(wakeup_, &count, sizeof(count)) > 0) Renew();
      if (events[1].revents != 0) Accept();
    }
    for (const Connection& connection : connections_) close(connection.fd);
  }

  void Renew() {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(renew_, false)) return;
    for (const Connection& connection : connections_) close(connection.fd);
    connections_.clear();
  }

  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    sockaddr_in6 own{};
    socklen_t size = sizeof(own);
    getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size);
    std::array<uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &own.sin6_addr, bytes.size());
    const IpAddress address = IpAddress::V6(bytes);
    Require(IsGloballyRoutable(address), "public addresses only", address.ToString());
    // Ended with a reset: no port waits for two minutes.
    const linger reset{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connections_.push_back({fd, ""});
  }

  // False where the connection is to end.
  bool Serve(Connection& connection) {
    char data[16384];
    const ssize_t got = recv(connection.fd, data, sizeof(data), MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    connection.asked.append(data, got);
    for (size_t end; (end = connection.asked.find("\r\n\r\n")) != std::string::npos;) {
      const std::string head = connection.asked.substr(0, end);
      connection.asked.erase(0, end + 4);
      CheckRequest(head);
      if (!Answer(connection.fd, absl::StartsWith(head, "GET /good "))) return false;
    }
    return true;
  }

  bool Answer(int fd, bool good) {
    std::string answer = kGood;
    bool last = false;
    if (!good) {
      absl::MutexLock lock(&mutex_);
      if (next_ >= answers_.size()) return false;
      answer = answers_[next_++];
      last = once_ || next_ == answers_.size();
    }
    if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return false;
    if (last) shutdown(fd, SHUT_WR);
    return true;
  }

  const int wakeup_;
  int listener_;
  std::atomic<bool> stopping_{false};
  std::vector<Connection> connections_;  // The thread's.

  absl::Mutex mutex_;
  std::vector<std::string> answers_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  bool once_ ABSL_GUARDED_BY(mutex_) = false, renew_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

Options MakeOptions() {
  Options options;
  options.threads = 1;
  options.backoff = {.base = absl::Milliseconds(1), .max = absl::Milliseconds(1)};
  options.stall_timeout = absl::Milliseconds(20);
  options.max_retry_after = absl::ZeroDuration();
  options.dns_servers = "127.0.0.1:9";  // Nobody.
  return options;
}

class Fuzzer {
 public:
  // Null where this system has no namespaces for us.
  static Fuzzer* Get() {
    static const absl::Status entered = EnterAnyAddressNetwork();
    static Fuzzer* const fuzzer = entered.ok() ? new Fuzzer : nullptr;
    if (fuzzer == nullptr) std::fprintf(stderr, "%s\n", entered.ToString().c_str());
    return fuzzer;
  }

  void Run(const uint8_t* data, size_t size) {
    if (size < 2) return;
    const std::string script(reinterpret_cast<const char*>(data) + 2, size - 2);
    wire_.Play(absl::StrSplit(script, kBetween), (data[0] & 6) != 6);
    // Another origin each time.
    const uint32_t address = 0x0b000001 + ++runs_ % 0xfffff0;
    const std::string origin = absl::StrCat("http://", IpAddress::V4(address).ToString());
    Limits limits;
    limits.attempt_timeout = absl::Milliseconds(500);
    limits.max_attempts = 1 + (data[0] & 1);
    limits.max_body_bytes = 64 << 10;
    const auto abandoned = std::make_shared<std::atomic<bool>>(false);
    const uint64_t want = (data[0] >> 3) * 256u + data[1];
    std::future<Report> fetch = Submit(*engine_, origin + "/x", want, limits, abandoned);
    if (fetch.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
      *abandoned = true;
      engine_->DropAbandoned();
    }
    const Report report = End(fetch, origin);
    CheckReport(report);
    // An origin that asks for silence is given it.
    if (report.failure == Failure::kAbandoned || refused_) return;
    CheckGood(origin);
  }

 private:
  static Report End(std::future<Report>& fetch, absl::string_view origin) {
    Require(fetch.wait_for(std::chrono::seconds(20)) == std::future_status::ready, "an end", origin);
    return fetch.get();
  }

  void CheckReport(const Report& report) {
    refused_ =
        report.http_status == 429 || report.http_status == 503 || report.put_off > absl::ZeroDuration();
    if (report.failure != Failure::kNone) {
      Require(!report.message.empty(), "a failure says why", "");
      return;
    }
    Require(report.http_status / 100 == 2 || report.http_status == 416, "an answer",
            absl::StrCat(report.http_status));
    Require(report.fetched_bytes <= 1 << 20, "bounded bytes", absl::StrCat(report.fetched_bytes));
  }

  void CheckGood(const std::string& origin) {
    for (int tries = 0;; ++tries) {
      std::future<Report> fetch = Submit(*engine_, origin + "/good");
      const Report report = End(fetch, origin);
      // A machine with other work may not have answered in time.
      if (report.failure == Failure::kStalled && tries < 20) continue;
      if (report.failure == Failure::kHttpStatus) {
        Require(absl::StrContains(report.message, "asked to wait"), "an origin as it is now", report.message);
        return;
      }
      Require(report.failure == Failure::kNone, "an origin as it is now", report.message);
      Require(report.http_status == 200 && report.etag == "\"good\"" && report.size_bytes == 4,
              "the origin's own answer", absl::StrCat(report.http_status, " ", report.etag));
      return;
    }
  }

  Wire wire_;
  const std::unique_ptr<Engine> engine_ = MakeEngine(MakeOptions());
  uint32_t runs_ = 0;
  bool refused_ = false;
};

}  // namespace
}  // namespace imgfleet::fetch

// Before there are other threads: a process of several cannot move to another network.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  imgfleet::fetch::Fuzzer::Get();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (auto* fuzzer = imgfleet::fetch::Fuzzer::Get()) fuzzer->Run(data, size);
  return 0;
}
