// The two guards of an exchange, each by itself: the address is judged when a socket is opened, and again before each
// request. In the engine they stand behind the judging of DNS answers, which is left out here.
#include <string>

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

}  // namespace
}  // namespace imgfleet::fetch
