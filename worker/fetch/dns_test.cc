// Names through a real name server.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/dns_server.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Answer = ScriptedOrigin::Answer;

class DnsTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> MakeEngine() {
    Options options = TestOptions();
    options.dns_servers = dns_.server();
    return Engine::Create(options).value();
  }
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

TEST_F(DnsTest, TheHostsFileGoesFirst) {
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, Url("localhost")).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(dns_.questions(), 0);
}

}  // namespace
}  // namespace imgfleet::fetch
