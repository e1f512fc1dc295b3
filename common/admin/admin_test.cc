#include "common/admin/admin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

// The whole answer to one request over a connection of its own.
std::string Ask(uint16_t port, const std::string& method, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  const std::string request =
      absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) answer.append(buffer, got);
  close(fd);
  return answer;
}

TEST(AdminServer, AnswersItsThreePathsAndNothingElse) {
  metrics::Registry metrics("test");
  absl::Mutex mutex;
  absl::Status state = absl::UnavailableError("the coordinator cannot be reached");
  const auto ready_state = [&] {
    absl::MutexLock lock(&mutex);
    return state;
  };
  auto server = AdminServer::Start({"127.0.0.1", 0}, metrics, ready_state,
                                   [] { return std::string("no tests can be run"); });
  ASSERT_TRUE(server.ok()) << server.status();
  const uint16_t port = (*server)->address().port;
  ASSERT_NE(port, 0);

  EXPECT_TRUE(absl::StartsWith(Ask(port, "GET", "/healthz"), "HTTP/1.1 200 "));
  const std::string unready = Ask(port, "GET", "/readyz");
  EXPECT_TRUE(absl::StartsWith(unready, "HTTP/1.1 503 ")) << unready;
  EXPECT_TRUE(absl::StrContains(unready, "not ready: the coordinator cannot be reached")) << unready;
  {
    absl::MutexLock lock(&mutex);
    state = absl::OkStatus();
  }
  const std::string ready = Ask(port, "GET", "/readyz");
  EXPECT_TRUE(absl::StartsWith(ready, "HTTP/1.1 200 ")) << ready;
  EXPECT_TRUE(absl::EndsWith(ready, "ready\nno tests can be run\n")) << ready;
  metrics.Counter("imgfleet_test_total", "Tests.").Increment();
  const std::string scraped = Ask(port, "GET", "/metrics");
  EXPECT_TRUE(absl::StrContains(scraped, "Content-Type: text/plain; version=0.0.4")) << scraped;
  EXPECT_TRUE(absl::StrContains(scraped, "\nimgfleet_test_total 1")) << scraped;

  const std::string head = Ask(port, "HEAD", "/healthz");
  EXPECT_TRUE(absl::StartsWith(head, "HTTP/1.1 200 "));
  EXPECT_TRUE(absl::EndsWith(head, "\r\n\r\n"));
  EXPECT_TRUE(absl::StartsWith(Ask(port, "GET", "/etc/passwd"), "HTTP/1.1 404 "));
  EXPECT_TRUE(absl::StartsWith(Ask(port, "GET", "/"), "HTTP/1.1 404 "));
  const std::string post = Ask(port, "POST", "/healthz");
  EXPECT_TRUE(absl::StartsWith(post, "HTTP/1.1 405 ")) << post;
  EXPECT_TRUE(absl::StrContains(post, "Allow: GET, HEAD")) << post;
}

TEST(AdminServer, ATakenPortIsAClearError) {
  metrics::Registry metrics("test");
  const auto ready = [] { return absl::OkStatus(); };
  auto first = AdminServer::Start({"127.0.0.1", 0}, metrics, ready);
  ASSERT_TRUE(first.ok());
  const auto second = AdminServer::Start((*first)->address(), metrics, ready);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(second.status().message(), (*first)->address().ToString()))
      << second.status();
}

TEST(AdminServer, ListensOnIpv6AndOnLocalhost) {
  metrics::Registry metrics("test");
  const auto ready = [] { return absl::OkStatus(); };
  EXPECT_TRUE(AdminServer::Start({"localhost", 0}, metrics, ready).ok());
  const auto v6 = AdminServer::Start({"::1", 0}, metrics, ready);
  EXPECT_TRUE(v6.ok()) << v6.status();
}

TEST(AdminServer, AnEmptyAddressTurnsItOff) {
  metrics::Registry metrics("test");
  const auto none = AdminServer::Start({}, metrics, nullptr);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->get(), nullptr);
}

}  // namespace
}  // namespace imgfleet
