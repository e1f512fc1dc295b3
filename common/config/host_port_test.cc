#include "common/config/host_port.h"

#include "gtest/gtest.h"

namespace imgfleet::config {
namespace {

TEST(ParseHostPort, TakesAddressesAndNamesAndGivesThemBack) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:8080", "[fe80::1]:1", "localhost:0",
                           "imgfleet-coordinator.prod.svc.cluster.local:7070", "my_box:65535"}) {
    const auto parsed = ParseHostPort(text);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->ToString(), text);
  }
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:80")->port, 80);
}

TEST(ParseHostPort, RefusesEverythingElseAndSaysHowToWriteIt) {
  for (const char* text : {"",
                           ":",
                           "8080",
                           ":8080",
                           "localhost",
                           "localhost:",
                           "localhost:x",
                           "localhost:-1",
                           "localhost:65536",
                           "localhost:+1",
                           "::1:80",
                           "[::1]",
                           "[::1",
                           "[nope]:1",
                           "300.1.1.1:1",
                           "1.2.3:1",
                           "a b:1",
                           "a..b:1",
                           "-a:1",
                           "http://a:1",
                           "a:1:2"}) {
    const auto parsed = ParseHostPort(text);
    EXPECT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.status().message().find("[::1]:8080"), absl::string_view::npos);
  }
}

TEST(HostPort, KnowsLoopback) {
  EXPECT_TRUE(ParseHostPort("127.8.0.1:1")->IsLoopback());
  EXPECT_TRUE(ParseHostPort("[::1]:1")->IsLoopback());
  EXPECT_TRUE(ParseHostPort("localhost:1")->IsLoopback());
  EXPECT_FALSE(ParseHostPort("0.0.0.0:1")->IsLoopback());
  EXPECT_FALSE(ParseHostPort("[::]:1")->IsLoopback());
  EXPECT_FALSE(ParseHostPort("127.example.org:1")->IsLoopback());
}

TEST(DialTarget, NamesOneOrSeveralAddresses) {
  EXPECT_EQ(*DialTarget({{"coordinator", 7070}}), "coordinator:7070");
  EXPECT_EQ(*DialTarget({{"127.0.0.1", 7070}, {"127.0.0.2", 7071}}), "ipv4:127.0.0.1:7070,127.0.0.2:7071");
  EXPECT_EQ(*DialTarget({{"::1", 7070}, {"fd00::2", 7071}}), "ipv6:[::1]:7070,[fd00::2]:7071");
  EXPECT_FALSE(DialTarget({{"127.0.0.1", 7070}, {"::1", 7071}}).ok());
  EXPECT_FALSE(DialTarget({{"a", 7070}, {"b", 7071}}).ok());
  EXPECT_FALSE(DialTarget({}).ok());
}

}  // namespace
}  // namespace imgfleet::config
