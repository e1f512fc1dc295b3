// Names through a real name server.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/dns_server.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Answer = ScriptedOrigin::Answer;

class DnsTest : public testing::Test {
 protected:
  Options WithDns() const {
    Options options = TestOptions();
    options.dns_servers = dns_.server();
    return options;
  }
  std::unique_ptr<Engine> MakeEngine() const { return Engine::Create(WithDns()).value(); }
  static Limits Once() { return {.max_attempts = 1}; }
  std::string Url(const std::string& host) const {
    return absl::StrCat("http://", host, ":", origin_.port(), "/x");
  }

  DnsServer dns_;
  ScriptedOrigin origin_{[](const ScriptedOrigin::Request& request) {
    return Answer{ScriptedOrigin::Serve(request, std::string(50'000, 'x'))};
  }};
};

TEST_F(DnsTest, ManyItemsOfOneHostAskOnce) {
  dns_.Set("images.example", "127.0.0.1");
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 100; ++i) reports.push_back(Submit(*engine, Url("images.example")));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  Submit(*engine, Url("images.example")).wait();
  EXPECT_EQ(dns_.questions(), 1);
  EXPECT_TRUE(
      absl::StrContains(origin_.log()[0].head, absl::StrCat("Host: images.example:", origin_.port())));
}

TEST_F(DnsTest, ManyHosts) {
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 600; ++i) {
    const std::string host = absl::StrCat("host", i, ".example");
    dns_.Set(host, "127.0.0.1");
    reports.push_back(Submit(*engine, Url(host)));
  }
  for (auto& report : reports) {
    const Report got = report.get();
    EXPECT_EQ(got.failure, Failure::kNone) << got.message;
  }
}

TEST_F(DnsTest, AHostThatDoesNotExistIsNotAskedForAgain) {
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, Url("nowhere.example")).get();
  EXPECT_EQ(report.failure, Failure::kDns);
  EXPECT_FALSE(report.retryable);
  EXPECT_EQ(report.attempts, 1u);
  EXPECT_EQ(Submit(*engine, Url("nowhere.example")).get().failure, Failure::kDns);
  EXPECT_EQ(dns_.questions(), 1);
}

TEST_F(DnsTest, ClosedAddressesBehindNamesAreNotReached) {
  dns_.Set("inside.example", "10.0.0.1");
  dns_.Set("metadata.example", "169.254.169.254");
  const auto engine = MakeEngine();
  EXPECT_EQ(Submit(*engine, Url("inside.example")).get().failure, Failure::kBlockedAddress);
  EXPECT_EQ(Submit(*engine, Url("metadata.example")).get().failure, Failure::kBlockedAddress);
}

TEST_F(DnsTest, AttemptsEndWhileNobodyAnswers) {
  const auto engine = MakeEngine();
  const Limits brief{.attempt_timeout = absl::Milliseconds(100), .max_attempts = 1};
  EXPECT_EQ(Submit(*engine, Url("silent.example"), 0, brief).get().failure, Failure::kTimeout);
}

// The first address refuses, the second serves: one attempt.
TEST_F(DnsTest, TheNextAddressAfterARefusedConnect) {
  dns_.Play("two.example", {{.records = {"A 127.0.0.2", "A 127.0.0.3", "A 127.0.0.1"}}});
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, Url("two.example"), 0, Once()).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.attempts, 1u);
  EXPECT_EQ(origin_.connections(), 1);
  // The origin stays with the address that served.
  EXPECT_EQ(Submit(*engine, Url("two.example"), 0, Once()).get().failure, Failure::kNone);
}

TEST_F(DnsTest, AllAddressesRefuse) {
  dns_.Play("none.example", {{.records = {"A 127.0.0.2", "A 127.0.0.3"}}});
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, Url("none.example"), 0, Once()).get();
  EXPECT_EQ(report.failure, Failure::kConnect);
  EXPECT_TRUE(absl::StrContains(report.message, "127.0.0.3")) << report.message;
}

// The first address takes no connection: its queue is full, and the kernel drops what comes.
TEST_F(DnsTest, TheNextAddressAfterASilentOne) {
  const int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(origin_.port());
  address.sin_addr.s_addr = htonl(0x7f000002);
  ASSERT_EQ(bind(full, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(full, 0), 0);
  int waiting[4];
  for (int& fd : waiting) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  dns_.Play("slow.example", {{.records = {"A 127.0.0.2", "A 127.0.0.1"}}});
  Options options = WithDns();
  options.connect_timeout = absl::Seconds(1);  // A quarter of it where there is another address.
  const auto engine = Engine::Create(options).value();
  const absl::Time before = absl::Now();
  const Report report = Submit(*engine, Url("slow.example"), 0, Once()).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_LT(absl::Now() - before, absl::Milliseconds(900));
  for (const int fd : waiting) close(fd);
  close(full);
}

TEST_F(DnsTest, AHostOfTheOtherKindIsReached) {
  dns_.Play("six.example", {{.records = {"AAAA ::1", "A 127.0.0.1"}}});  // Nobody listens at ::1.
  Options options = WithDns();
  options.policy = AddressPolicy({*Cidr::Parse("127.0.0.0/8"), *Cidr::Parse("::1")});
  const auto engine = Engine::Create(options).value();
  EXPECT_EQ(Submit(*engine, Url("six.example"), 0, Once()).get().failure, Failure::kNone);
}

// A lookup that fails ends the attempt of each item that waits for it, not the item: each tries again as often as it
// may, and each has its own typed error in the end.
TEST_F(DnsTest, EachItemOfAHostThatIsNotAnsweredForHasItsRetries) {
  dns_.Play("ill.example", {{.records = {}, .rcode = 2}});
  Options options = WithDns();
  options.backoff = {.base = absl::Milliseconds(500), .max = absl::Seconds(1)};
  const auto engine = Engine::Create(options).value();
  std::vector<std::future<Report>> reports;
  for (uint32_t i = 0; i < 50; ++i) {
    reports.push_back(Submit(*engine, Url("ill.example"), 0, {.max_attempts = 1 + i % 2}));
  }
  for (uint32_t i = 0; i < 50; ++i) {
    const Report report = reports[i].get();
    EXPECT_EQ(report.failure, Failure::kDns);
    EXPECT_TRUE(report.retryable);
    EXPECT_EQ(report.attempts, 1 + i % 2);
    EXPECT_TRUE(absl::StrContains(report.message, "ill.example")) << report.message;
  }
  EXPECT_GE(dns_.questions(), 6);   // Each lookup is three questions; the retries asked again,
  EXPECT_LE(dns_.questions(), 15);  // and not each for itself.
}

TEST_F(DnsTest, ItemsOutliveALookupThatFailsOnce) {
  const DnsServer::Reply ill{.records = {}, .rcode = 2};
  dns_.Play("brief.example", {ill, ill, ill, {.records = {"A 127.0.0.1"}}});
  Options options = WithDns();
  options.backoff = {.base = absl::Milliseconds(500), .max = absl::Seconds(1)};
  const auto engine = Engine::Create(options).value();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 20; ++i) reports.push_back(Submit(*engine, Url("brief.example")));
  for (auto& future : reports) {
    const Report report = future.get();
    EXPECT_EQ(report.failure, Failure::kNone) << report.message;
    EXPECT_EQ(report.attempts, 2u);
  }
}

TEST_F(DnsTest, EachItemOfABlockedHostIsToldSo) {
  dns_.Play("inside.example", {{.records = {"A 10.0.0.1"}}});
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 50; ++i) reports.push_back(Submit(*engine, Url("inside.example")));
  for (auto& future : reports) {
    const Report report = future.get();
    EXPECT_EQ(report.failure, Failure::kBlockedAddress);
    EXPECT_FALSE(report.retryable);
    EXPECT_EQ(report.attempts, 1u);
    EXPECT_TRUE(absl::StrContains(report.message, "10.0.0.1")) << report.message;
  }
}

// Name servers that fall silent take nothing away from an origin whose address is known; that a name is gone does.
TEST_F(DnsTest, KnownAddressesOutliveTheirNameServers) {
  ShiftedClock clock;
  Options options = WithDns();
  options.clock = &clock;
  const auto engine = Engine::Create(options).value();
  const DnsServer::Reply good{.records = {"A 127.0.0.1"}, .ttl = 1}, ill{.records = {}, .rcode = 2};
  dns_.Play("stale.example", {good, ill});
  dns_.Play("gone.example", {good, {.records = {}, .rcode = 3}});
  for (const char* host : {"stale.example", "gone.example"}) {
    EXPECT_EQ(Submit(*engine, Url(host), 0, Once()).get().failure, Failure::kNone);
  }
  PutForward(&clock, engine.get(), 60);
  EXPECT_EQ(Submit(*engine, Url("stale.example"), 0, Once()).get().failure, Failure::kNone);
  EXPECT_EQ(Submit(*engine, Url("gone.example"), 0, Once()).get().failure, Failure::kDns);
  PutForward(&clock, engine.get(), 2 * 3600);
  EXPECT_EQ(Submit(*engine, Url("stale.example"), 0, Once()).get().failure, Failure::kDns);
}

TEST_F(DnsTest, TheHostsFileGoesFirst) {
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, Url("localhost")).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(dns_.questions(), 0);
}

}  // namespace
}  // namespace imgfleet::fetch
