// How fast names are looked up, beside what libcurl and the C library do, in one run:
//
//   bazel run -c opt //worker/fetch:dns_load -- [HOSTS] [ROUNDS] [WAY]
//
// Runs in a network of its own with a small name server on 127.0.0.1:53 that answers every A question with an address
// and every AAAA question with none. Each way (or WAY alone) of looking up HOSTS (100,000) different names has a process of its own:
//
//   getaddrinfo  the C library, 64 threads
//   libcurl      256 easy handles at a time on one multi handle over epoll, with its threaded resolver; the connect is
//                refused at once
//   resolver     this folder's, alone
//   engine       the whole engine; the addresses are not public, so every item ends as BLOCKED_ADDRESS
//
// CPU is that of the process without the name server; memory is what it grew by.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "worker/fetch/engine.h"
#include "worker/fetch/resolver.h"
#include "worker/fetch/testing/any_address.h"

namespace imgfleet::fetch {
namespace {

std::string Host(size_t number) { return absl::StrCat("host", number, ".load.example"); }

void WriteFile(const char* path, const std::string& text) { std::ofstream(path, std::ios::trunc) << text; }

// The C library knows its name servers from /etc/resolv.conf only.
void PointSystemAtOurServer() {
  IMGFLEET_CHECK(unshare(CLONE_NEWNS) == 0 && mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  char folder[] = "/tmp/dns_load.XXXXXX";
  IMGFLEET_CHECK(mkdtemp(folder) != nullptr);
  const std::string resolv = absl::StrCat(folder, "/resolv.conf"),
                    nss = absl::StrCat(folder, "/nsswitch.conf");
  WriteFile(resolv.c_str(), "nameserver 127.0.0.1\noptions ndots:1\n");
  WriteFile(nss.c_str(), "hosts: files dns\n");
  IMGFLEET_CHECK(mount(resolv.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0);
  IMGFLEET_CHECK(mount(nss.c_str(), "/etc/nsswitch.conf", nullptr, MS_BIND, nullptr) == 0);
}

// A questions have 127.0.0.2 for an answer, all others none (RFC 1035 section 4).
[[noreturn]] void ServeNames() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int buffer = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  IMGFLEET_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  constexpr int kBatch = 64;
  static unsigned char packets[kBatch][600];
  static sockaddr_in from[kBatch];
  static mmsghdr messages[kBatch];
  static iovec vectors[kBatch];
  while (true) {
    for (int i = 0; i < kBatch; ++i) {
      vectors[i] = {packets[i], 512};
      messages[i].msg_hdr = {&from[i], sizeof(from[i]), &vectors[i], 1, nullptr, 0, 0};
    }
    const int got = recvmmsg(fd, messages, kBatch, MSG_WAITFORONE, nullptr);
    for (int i = 0; i < got; ++i) {
      unsigned char* const packet = packets[i];
      size_t end = 12;
      while (end < messages[i].msg_len && packet[end] != 0) end += 1 + packet[end];
      const bool a = packet[end + 1] == 0 && packet[end + 2] == 1;
      end += 5;
      packet[2] = 0x81;
      packet[3] = 0x80;
      std::memset(packet + 6, 0, 6);
      packet[7] = a;
      static constexpr unsigned char kAnswer[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4, 127, 0, 0, 2};
      if (a) std::memcpy(packet + end, kAnswer, sizeof(kAnswer));
      vectors[i].iov_len = end + (a ? sizeof(kAnswer) : 0);
    }
    for (int sent = 0; sent < got;) {
      const int more = sendmmsg(fd, messages + sent, got - sent, 0);
      if (more <= 0) break;
      sent += more;
    }
  }
}

size_t StatusKb(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    size_t value = 0;
    if (absl::StartsWith(line, field) && std::sscanf(line.c_str() + std::strlen(field), ": %zu", &value) == 1)
      return value;
  }
  return 0;
}

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Each returns how many names it found.
size_t GetAddrInfo(size_t hosts) {
  std::atomic<size_t> next{0}, found{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      for (size_t host; (host = next++) < hosts;) {
        addrinfo hints{}, *result = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        if (getaddrinfo(Host(host).c_str(), nullptr, &hints, &result) != 0) continue;
        ++found;
        freeaddrinfo(result);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return found;
}

size_t Libcurl(size_t hosts, size_t* max_threads) {
  CURLM* const multi = curl_multi_init();
  Poller poller;
  absl::Time due = absl::InfiniteFuture();
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, &poller);
  curl_multi_setopt(
      multi, CURLMOPT_SOCKETFUNCTION, +[](CURL*, curl_socket_t fd, int what, void* poller, void*) {
        const uint32_t events = what == CURL_POLL_REMOVE ? 0u
                                                         : (what & CURL_POLL_IN ? 1u * EPOLLIN : 0u) |
                                                               (what & CURL_POLL_OUT ? 1u * EPOLLOUT : 0u);
        static_cast<Poller*>(poller)->Watch(fd, Poller::Kind::kCurl, events);
        return 0;
      });
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, &due);
  curl_multi_setopt(
      multi, CURLMOPT_TIMERFUNCTION, +[](CURLM*, long ms, void* due) {
        *static_cast<absl::Time*>(due) =
            ms < 0 ? absl::InfiniteFuture() : absl::Now() + absl::Milliseconds(ms);
        return 0;
      });
  size_t next = 0, found = 0, running = 0;
  const auto add = [&](CURL* handle) {
    curl_easy_setopt(handle, CURLOPT_URL, absl::StrCat("http://", Host(next++), ":1/").c_str());
    curl_multi_add_handle(multi, handle);
  };
  for (; running < 256 && next < hosts; ++running) {
    CURL* const handle = curl_easy_init();
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    add(handle);
  }
  int active, left;
  for (size_t turn = 0; running > 0; ++turn) {
    const absl::Duration wait = std::clamp(due - absl::Now(), absl::ZeroDuration(), absl::Seconds(1));
    poller.Wait(static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)))),
                [&](int fd, Poller::Kind, uint32_t events) {
                  const int flags = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                                    (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                                    (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
                  curl_multi_socket_action(multi, fd, flags, &active);
                });
    if (absl::Now() >= due) curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &active);
    if (turn % 256 == 0) *max_threads = std::max(*max_threads, StatusKb("Threads"));
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      CURL* const handle = message->easy_handle;
      found += message->data.result == CURLE_COULDNT_CONNECT;
      curl_multi_remove_handle(multi, handle);
      if (next < hosts) {
        add(handle);
      } else {
        curl_easy_cleanup(handle);
        --running;
      }
    }
  }
  curl_multi_cleanup(multi);
  return found;
}

size_t OurResolver(size_t hosts) {
  Poller poller;
  Resolver resolver(&poller, "");
  size_t next = 0, found = 0, over = 0;
  absl::Time now = absl::Now(), tick = now;
  while (over < hosts) {
    while (next < hosts && next - over < 4096) {
      resolver.Lookup(Host(next++), now, [&](const Resolver::Answer& answer) {
        ++over;
        found += answer.addresses.size() == 1;
      });
    }
    poller.Wait(20, [&](int fd, Poller::Kind, uint32_t events) { resolver.OnEvent(fd, events, now); });
    now = absl::Now();
    if (now - tick > absl::Milliseconds(20)) resolver.OnTick(tick = now);
  }
  std::cout << "    " << resolver.cached() << " hosts cached\n";
  return found;
}

class Item final : public Client {
 public:
  Item(std::string url, std::atomic<size_t>* over, std::atomic<size_t>* found)
      : url_(std::move(url)), over_(over), found_(found) {}
  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived&) override { return {Verdict::kStop}; }
  void Finish(Report report) override {
    *found_ += report.failure == Failure::kBlockedAddress;
    ++*over_;
  }
  bool Abandoned() const override { return false; }

 private:
  const std::string url_;
  std::atomic<size_t>*const over_, *const found_;
};

size_t OurEngine(size_t hosts) {
  Options options;
  options.threads = 1;
  const auto engine = Engine::Create(options).value();
  std::atomic<size_t> over{0}, found{0};
  for (size_t next = 0; over < hosts;) {
    std::vector<Request> requests;
    while (next < hosts && next + requests.size() < hosts && next + requests.size() - over < 4096) {
      requests.push_back(
          {std::make_unique<Item>(absl::StrCat("http://", Host(next + requests.size()), "/"), &over, &found),
           {}});
    }
    next += requests.size();
    if (!requests.empty()) engine->Submit(std::move(requests));
    absl::SleepFor(absl::Milliseconds(5));  // The engine's own thread does the work.
  }
  return found;
}

void Measure(const char* name, size_t hosts, const std::function<size_t(size_t* threads)>& look_up) {
  const pid_t child = fork();
  if (child == 0) {
    const size_t memory = StatusKb("VmRSS");
    size_t threads = 0;
    const absl::Time before = absl::Now();
    const size_t found = look_up(&threads);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - before);
    std::printf("%-12s %9.0f lookups/s  %6.1f us CPU each  %5zu KB more at its peak  %zu of %zu found", name,
                hosts / seconds, CpuSeconds() * 1e6 / hosts, StatusKb("VmHWM") - memory, found, hosts);
    std::printf(threads > 0 ? "  up to %zu threads\n" : "\n", threads);
    std::fflush(stdout);
    std::_Exit(0);
  }
  waitpid(child, nullptr, 0);
}

int Main(size_t hosts, int rounds, absl::string_view only) {
  const absl::Status entered = EnterAnyAddressNetwork();
  if (!entered.ok()) {
    std::cerr << entered << "\n";
    return 1;
  }
  PointSystemAtOurServer();
  const pid_t server = fork();
  if (server == 0) ServeNames();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  absl::SleepFor(absl::Milliseconds(100));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto measure = [&](const char* way, const std::function<size_t(size_t*)>& look_up) {
    if (only.empty() || only == way) Measure(way, hosts, look_up);
  };
  for (int round = 0; round < rounds; ++round) {
    measure("getaddrinfo", [&](size_t* threads) {
      *threads = 65;
      return GetAddrInfo(hosts);
    });
    measure("libcurl", [&](size_t* threads) { return Libcurl(hosts, threads); });
    measure("resolver", [&](size_t*) { return OurResolver(hosts); });
    measure("engine", [&](size_t*) { return OurEngine(hosts); });
  }
  kill(server, SIGTERM);
  waitpid(server, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace imgfleet::fetch

int main(int argc, char** argv) {
  size_t hosts = 100'000;
  int rounds = 1;
  if (argc > 1 && !absl::SimpleAtoi(argv[1], &hosts)) return 2;
  if (argc > 2 && !absl::SimpleAtoi(argv[2], &rounds)) return 2;
  return imgfleet::fetch::Main(hosts, rounds, argc > 3 ? argv[3] : "");
}
