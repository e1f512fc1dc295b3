// The resolver by itself, against a real name server on loopback.
#include "worker/fetch/resolver.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/dns_server.h"

namespace imgfleet::fetch {
namespace {

std::string HostsPath() { return absl::StrCat(std::getenv("TEST_TMPDIR"), "/hosts"); }

void WriteHosts(const std::string& text) { std::ofstream(HostsPath(), std::ios::trunc) << text; }

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() { WriteHosts(""); }

  // Turns the loop until `done`, for at most ten seconds. The resolver's time is `now_`, the questions' the system's.
  template <typename Done>
  void Run(Done done) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (!done() && absl::Now() < end) {
      poller_.Wait(5, [&](int fd, Poller::Kind, uint32_t events) { resolver_.OnEvent(fd, events, now_); });
      if (real_time_) now_ = absl::Now();
      resolver_.OnTick(now_);
    }
    EXPECT_TRUE(done());
  }
  Resolver::Answer Lookup(const std::string& host) {
    std::optional<Resolver::Answer> got;
    resolver_.Lookup(host, now_, [&](const Resolver::Answer& answer) { got = answer; });
    Run([&] { return got.has_value(); });
    return got.value_or(Resolver::Answer());
  }
  std::string Addresses(const std::string& host) {
    return absl::StrJoin(Lookup(host).addresses, " ",
                         [](std::string* out, const IpAddress& address) { *out += address.ToString(); });
  }

  DnsServer dns_;
  Poller poller_;
  absl::Time now_ = absl::Now();
  bool real_time_ = false;
  Resolver resolver_{&poller_, dns_.server(), HostsPath()};
};

TEST_F(ResolverTest, BothKindsByTurns) {
  dns_.Play("both.example",
            {{.records = {"A 127.0.0.1", "A 127.0.0.2", "A 127.0.0.3", "AAAA ::1", "AAAA ::2"}}});
  dns_.Set("four.example", "127.0.0.4");
  dns_.Set("six.example", "::6");
  // There is a way to ::1, and IPv6 comes first.
  EXPECT_EQ(Addresses("both.example"), "::1 127.0.0.1 ::2 127.0.0.2 127.0.0.3");
  // To this one there is none.
  dns_.Play("far.example", {{.records = {"A 127.0.0.1", "AAAA 2606:4700::1"}}});
  EXPECT_EQ(Addresses("far.example"), "127.0.0.1 2606:4700::1");
  EXPECT_EQ(Addresses("four.example"), "127.0.0.4");
  EXPECT_EQ(Addresses("six.example"), "::6");
}

TEST_F(ResolverTest, FollowsAliases) {
  dns_.Play("alias.example",
            {{.records = {"CNAME b.example", "CNAME c.example", "A 127.0.0.9", "AAAA ::9"}}});
  EXPECT_EQ(Addresses("alias.example"), "127.0.0.9 ::9");
  dns_.Play("dangling.example", {{.records = {"CNAME nowhere.example"}}});
  EXPECT_TRUE(Lookup("dangling.example").final);
}

TEST_F(ResolverTest, LongAnswersComeOverTcpAndAreCapped) {
  DnsServer::Reply many;
  for (int i = 1; i <= 100; ++i) many.records.push_back(absl::StrCat("A 127.0.1.", i));
  dns_.Play("many.example", {many});
  EXPECT_EQ(Lookup("many.example").addresses.size(), 16u);
  EXPECT_GE(dns_.tcp_questions(), 1);
}

TEST_F(ResolverTest, KeepsAnswersForTheirTimeWithinBounds) {
  dns_.Play("brief.example",
            {{.records = {"A 127.0.0.1"}, .ttl = 0}, {.records = {"A 127.0.0.2"}, .ttl = 7}});
  EXPECT_EQ(Addresses("brief.example"), "127.0.0.1");
  now_ += absl::Milliseconds(900);
  EXPECT_EQ(Addresses("brief.example"), "127.0.0.1");  // Not less than a second.
  now_ += absl::Milliseconds(100);
  EXPECT_EQ(Addresses("brief.example"), "127.0.0.2");
  const Resolver::Answer answer = Lookup("brief.example");
  EXPECT_EQ(answer.expiry, now_ + absl::Seconds(7));
  dns_.Play("long.example", {{.records = {"CNAME x.example", "A 127.0.0.1"}, .ttl = 1'000'000}});
  EXPECT_EQ(Lookup("long.example").expiry, now_ + absl::Minutes(10));
  EXPECT_EQ(dns_.questions(), 3);
}

TEST_F(ResolverTest, ThatANameHasNoAddressIsKeptForAMinute) {
  dns_.Play("empty.example", {{.records = {}}});
  EXPECT_TRUE(Lookup("empty.example").final);
  EXPECT_TRUE(Lookup("nowhere.example").final);
  now_ += absl::Seconds(59);
  EXPECT_TRUE(Lookup("nowhere.example").final);
  EXPECT_EQ(dns_.questions(), 2);
  dns_.Set("nowhere.example", "127.0.0.1");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Addresses("nowhere.example"), "127.0.0.1");
}

TEST_F(ResolverTest, ThatNobodyAnsweredIsAskedAgainByARetry) {
  const DnsServer::Reply ill{.records = {}, .rcode = 2};
  dns_.Play("ill.example", {ill, ill, ill, {.records = {"A 127.0.0.1"}}});  // Three tries are one lookup.
  const Resolver::Answer failed = Lookup("ill.example");
  EXPECT_FALSE(failed.final);
  EXPECT_TRUE(absl::StrContains(failed.error, "ill.example")) << failed.error;
  EXPECT_TRUE(Lookup("ill.example").addresses.empty());  // At the same time: not again.
  EXPECT_EQ(dns_.questions(), 3);
  now_ += absl::Milliseconds(250);  // The least that a retry waits.
  EXPECT_EQ(Addresses("ill.example"), "127.0.0.1");
}

TEST_F(ResolverTest, AServerSilentAboutOneKindDelaysTheOtherLittle) {
  real_time_ = true;
  dns_.Play("half.example", {{.records = {"A 127.0.0.1"}, .silent_v6 = true}});
  const absl::Time before = absl::Now();
  EXPECT_EQ(Addresses("half.example"), "127.0.0.1");
  EXPECT_LT(absl::Now() - before, absl::Seconds(1));
}

// Forged answers are waited past; the question is asked again.
TEST_F(ResolverTest, WrongAnswersAreNone) {
  real_time_ = true;
  const DnsServer::Reply right{.records = {"A 127.0.0.1"}};
  DnsServer::Reply id{.records = {"A 127.6.6.6"}}, name = id, port = id;
  id.wrong_id = true;
  name.wrong_name = "other.example";
  port.wrong_port = true;
  dns_.Play("id.example", {id, right});
  dns_.Play("name.example", {name, right});
  dns_.Play("port.example", {port, right});
  std::vector<std::string> got;
  for (const char* host : {"id.example", "name.example", "port.example"}) {
    resolver_.Lookup(host, now_, [&, host](const Resolver::Answer& answer) {
      got.push_back(answer.addresses.size() == 1 ? answer.addresses[0].ToString() : answer.error);
    });
  }
  Run([&] { return got.size() == 3; });
  EXPECT_EQ(got, std::vector<std::string>(3, "127.0.0.1"));
}

TEST_F(ResolverTest, NoSearchListAndNoFile) {
  dns_.Set("plain", "127.0.0.1");
  EXPECT_EQ(Addresses("plain"), "127.0.0.1");
  EXPECT_EQ(Addresses("plain."), "127.0.0.1");
  EXPECT_TRUE(Lookup("missing").final);
  EXPECT_EQ(dns_.questions(), 3);  // Each name as it is, once.
}

TEST_F(ResolverTest, NamesThatAreNeverAskedFor) {
  dns_.Set("localhost", "8.8.8.8");
  dns_.Set("a.localhost", "8.8.8.8");
  dns_.Set("x.onion", "8.8.8.8");
  EXPECT_EQ(Addresses("localhost"), "127.0.0.1 ::1");
  EXPECT_EQ(Addresses("a.localhost."), "127.0.0.1 ::1");
  EXPECT_TRUE(Lookup("x.onion").final);
  EXPECT_TRUE(Lookup(std::string(64, 'x') + ".example").final);  // A label of 64.
  EXPECT_TRUE(Lookup("a..example").final);
  EXPECT_EQ(dns_.questions(), 0);
}

TEST_F(ResolverTest, TheHostsFileGoesFirstAndIsReadAgainWhenItChanges) {
  dns_.Set("listed.example", "8.8.8.8");
  now_ += absl::Seconds(1);
  WriteHosts(
      "# hosts\n127.0.0.5\tListed.Example  alias # 127.0.0.6 x\n::5 listed.example\nbad line\n1.2.3 "
      "y\nfe80::1%lo z\n");
  EXPECT_EQ(Addresses("listed.example"), "127.0.0.5 ::5");
  EXPECT_EQ(Addresses("alias"), "127.0.0.5");
  EXPECT_EQ(dns_.questions(), 0);
  WriteHosts("127.0.0.77 listed.example\n");
  EXPECT_EQ(Addresses("listed.example"), "127.0.0.5 ::5");  // Looked at once a second.
  now_ += absl::Seconds(1);
  EXPECT_EQ(Addresses("listed.example"), "127.0.0.77");
  std::remove(HostsPath().c_str());
  now_ += absl::Seconds(1);
  EXPECT_EQ(Addresses("listed.example"), "8.8.8.8");
}

// More hosts than are asked for at a time, and than the cache holds.
TEST_F(ResolverTest, ManyHostsInBoundedMemory) {
  size_t answered = 0;
  const size_t hosts = Resolver::kMaxCached * 3 / 2;
  for (size_t i = 0; i < hosts; ++i) {
    // Names that no server is asked for, so that the test is about the cache.
    resolver_.Lookup(absl::StrCat("host", i, "..example"), now_,
                     [&](const Resolver::Answer& answer) { answered += answer.final; });
  }
  EXPECT_EQ(answered, hosts);
  EXPECT_LE(resolver_.cached(), Resolver::kMaxCached);
  EXPECT_GE(resolver_.cached(), Resolver::kMaxCached / 2);
  answered = 0;
  real_time_ = true;
  for (int i = 0; i < 3000; ++i) {
    dns_.Set(absl::StrCat("n", i, ".example"), "127.0.0.1");
    resolver_.Lookup(absl::StrCat("n", i, ".example"), now_,
                     [&](const Resolver::Answer& answer) { answered += answer.addresses.size(); });
  }
  Run([&] { return answered == 3000; });
}

// Names that nobody answers for do not keep the others waiting until they are given up.
TEST_F(ResolverTest, SilentNamesLeaveRoomForOthers) {
  real_time_ = true;
  int answered = 0;
  for (size_t i = 0; i < Resolver::kMaxFresh * 3; ++i) {
    resolver_.Lookup(absl::StrCat("silent", i, ".example"), now_, [](const Resolver::Answer&) {});
  }
  dns_.Set("good.example", "127.0.0.1");
  resolver_.Lookup("good.example", now_,
                   [&](const Resolver::Answer& answer) { answered += answer.addresses.size(); });
  const absl::Time before = absl::Now();
  Run([&] { return answered == 1; });
  EXPECT_LT(absl::Now() - before, absl::Seconds(2));
}

// Callbacks that ask for the next host, thousands deep.
TEST_F(ResolverTest, CallbacksMayAskAgain) {
  int depth = 0;
  std::function<void(const Resolver::Answer&)> again = [&](const Resolver::Answer&) {
    if (++depth < 2000) resolver_.Lookup(absl::StrCat("n", depth, "..example"), now_, again);
  };
  resolver_.Lookup("n..example", now_, again);
  Run([&] { return depth == 2000; });
}

TEST_F(ResolverTest, NothingIsCalledBackAfterShutdown) {
  for (int i = 0; i < 2000; ++i) {
    resolver_.Lookup(absl::StrCat("silent", i, ".example"), now_, [](const Resolver::Answer&) { FAIL(); });
  }
  resolver_.Shutdown();
  resolver_.Lookup("localhost", now_, [](const Resolver::Answer&) { FAIL(); });
}

}  // namespace
}  // namespace imgfleet::fetch
