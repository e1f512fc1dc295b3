// Guards that stand before or behind others, each by itself. Those of an exchange: the address is judged when a socket is
// opened, and again before each request; in the engine they stand behind the judging of DNS answers, which is left out
// here. And the watchdog, which in the engine is needed only while an origin sends as fast as it is read from.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"
#include "worker/fetch/transport.h"

namespace imgfleet::fetch {
namespace {

class GuardsTest : public testing::Test {
 protected:
  GuardsTest() : transport_(Settings(), &slots_, 4, [this](Exchange*, CURLcode code) { code_ = code; }) {}

  HandleSettings Settings() {
    HandleSettings settings;
    settings.user_agent = "test";
    settings.policy = &policy_;
    settings.poller = &poller_;
    settings.connections = &connections_;
    settings.beat = watchdog_.beat(0);
    settings.first_range_headers = settings.Headers(Ask());
    settings.whole_headers = settings.Headers(Ask{.ranged = false, .if_range = {}});
    return settings;
  }
  void Open() { policy_ = AddressPolicy({Cidr::Parse("127.0.0.0/8").value()}); }
  void Close() { policy_ = AddressPolicy(); }

  Exchange::End Fetch(const ScriptedOrigin& origin) {
    ByteClient client(origin.Url("/x"), 0);
    Exchange* const exchange = transport_.Take();
    const auto route =
        std::make_shared<const Route>(origin.Url(""), IpAddress::V4(0x7f000001), origin.port());
    exchange->reading().Begin(&client, &limits_, &budget_);
    exchange->Prepare(client.url(), origin.Url("").size(), route, &now_);
    code_.reset();
    transport_.Start(exchange);
    while (!code_.has_value()) {
      now_ = absl::Now();
      transport_.RunTimers(now_);
      transport_.Collect();
      if (code_.has_value()) break;
      poller_.Wait(1, [&](int fd, Poller::Kind, uint32_t events) { transport_.OnEvent(fd, events, now_); });
    }
    const Exchange::End end = exchange->Finish(*code_);
    transport_.GiveBack(exchange);
    return end;
  }

  Poller poller_;
  Connections connections_;
  Watchdog watchdog_{1};
  AddressPolicy policy_;
  const Limits limits_;
  ByteBudget budget_{1 << 20};
  absl::Time now_ = absl::Now();
  std::optional<CURLcode> code_;
  SlotPool slots_{4, 1};
  Transport transport_;
  ScriptedOrigin origin_{[](const ScriptedOrigin::Request& request) {
    return ScriptedOrigin::Answer{ScriptedOrigin::Serve(request, std::string(1000, 'x'))};
  }};
};

TEST_F(GuardsTest, NoSocketIsOpenedToAClosedAddress) {
  EXPECT_EQ(Fetch(origin_), Exchange::End::kBlocked);
  // One connection after it is the first that the origin sees.
  Open();
  EXPECT_EQ(Fetch(origin_), Exchange::End::kComplete);
  EXPECT_EQ(origin_.connections(), 1);
}

TEST_F(GuardsTest, NoRequestIsSentOnAConnectionToAClosedAddress) {
  Open();
  EXPECT_EQ(Fetch(origin_), Exchange::End::kComplete);
  Close();
  EXPECT_EQ(Fetch(origin_), Exchange::End::kBlocked);
  Open();
  EXPECT_EQ(Fetch(origin_), Exchange::End::kComplete);
  EXPECT_EQ(origin_.requests(), 2);
}

// A loop that libcurl does not give back, because a connection never runs dry.
TEST(WatchdogTest, ALoopThatIsKeptBusyIsFreed) {
  int ends[2] = {-1, -1};
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(ends[0], reinterpret_cast<sockaddr*>(&address), size), 0);
  ends[1] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  std::thread origin([fd = ends[1]] {
    const std::string frames(64 << 10, 'x');
    while (send(fd, frames.data(), frames.size(), MSG_NOSIGNAL) > 0) continue;
  });
  Watchdog watchdog(1);
  Watchdog::Beat* const beat = watchdog.beat(0);
  beat->Begin();
  beat->Opened(ends[0]);
  beat->Enter();
  // Ends by itself as well, so that the test does.
  std::string read(64 << 10, '\0');
  const std::clock_t begin = std::clock();
  bool freed = false;
  while (!freed && std::clock() - begin < 10 * CLOCKS_PER_SEC)
    freed = recv(ends[0], read.data(), read.size(), 0) <= 0;
  beat->Leave();
  EXPECT_TRUE(freed);
  EXPECT_NE(beat->TakeFreed(), 0);
  beat->Closed(ends[0]);
  for (const int fd : ends) shutdown(fd, SHUT_RDWR);
  origin.join();
  for (const int fd : ends) close(fd);
}

}  // namespace
}  // namespace imgfleet::fetch
