// How the server stops, over real sockets: no request that reached it, or was on its way when it was told, goes without an
// answer.
#include "gateway/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

// A client's connection. What is read is waited for, for ten seconds.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }

  void Ask(const std::string& path, int times = 1) {
    std::string request;
    for (int i = 0; i < times; ++i)
      absl::StrAppend(&request, "GET ", path, " HTTP/1.1\r\nHost: test\r\n\r\n");
    EXPECT_EQ(send(fd_, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  }
  // The next answer with its header; what came of it where the connection ended before.
  std::string Answer() {
    while (!absl::EndsWith(read_, "pong\n")) {
      if (!ReadMore()) break;
    }
    return std::exchange(read_, std::string());
  }
  // Nothing but the end comes, and it is no reset.
  bool Ends() {
    char byte;
    return read_.empty() && recv(fd_, &byte, 1, 0) == 0;
  }

 private:
  bool ReadMore() {
    char bytes[4096];
    const ssize_t count = recv(fd_, bytes, sizeof bytes, 0);
    if (count > 0) read_.append(bytes, static_cast<size_t>(count));
    return count > 0;
  }

  const int fd_;
  bool connected_ = false;
  std::string read_;
};

bool IsAnswer(const std::string& answer, const char* connection) {
  return absl::StartsWith(answer, "HTTP/1.1 200 ") && absl::EndsWith(answer, "pong\n") &&
         absl::StrContains(answer, absl::StrCat("Connection: ", connection, "\r\n"));
}

// One event loop, which a test can hold: what happens meanwhile waits in the kernel.
class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    router_.Add("GET", "/ping",
                [](const Request&, Response& response) { return response.Send(Json(200, "pong\n")); });
    router_.Add("GET", "/hold", [this](const Request&, Response& response) {
      held_.set_value();
      release_.get_future().wait();
      return response.Send(Json(200, "pong\n"));
    });
    Server::Options options;
    options.listen = {"127.0.0.1", 0};
    server_ = *Server::Start(options, router_, metrics_, clock_);
  }

  uint16_t port() const { return server_->address().port; }
  // A connection that was asked once and is idle.
  std::unique_ptr<Client> KeptAlive() {
    auto client = std::make_unique<Client>(port());
    client->Ask("/ping");
    EXPECT_TRUE(IsAnswer(client->Answer(), "keep-alive"));
    return client;
  }
  // While the loop is held: nothing is read, accepted or closed.
  std::unique_ptr<Client> Hold() {
    auto client = std::make_unique<Client>(port());
    client->Ask("/hold");
    held_.get_future().wait();
    return client;
  }
  void Release() { release_.set_value(); }

  FakeClock clock_;
  metrics::Registry metrics_{"gateway"};
  Router router_;
  std::promise<void> held_, release_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, DismissedClientsAreServedAndAskedToConnectAnew) {
  const auto idle = KeptAlive(), busy = KeptAlive();
  server_->Dismiss();
  busy->Ask("/ping");
  ASSERT_TRUE(IsAnswer(busy->Answer(), "close"));
  EXPECT_TRUE(busy->Ends());
  for (int i = 0; i < 3; ++i) {
    Client fresh(port());
    ASSERT_TRUE(fresh.connected());
    fresh.Ask("/ping");
    EXPECT_TRUE(IsAnswer(fresh.Answer(), "close"));
    EXPECT_TRUE(fresh.Ends());
  }
  // Nothing was said to it yet.
  idle->Ask("/ping");
  EXPECT_TRUE(IsAnswer(idle->Answer(), "close"));
  EXPECT_TRUE(idle->Ends());
}

TEST_F(ServerTest, WhatHasConnectedWhenItStopsIsAnswered) {
  auto holding = Hold();
  std::vector<std::unique_ptr<Client>> backlog;
  for (int i = 0; i < 20; ++i) {
    backlog.push_back(std::make_unique<Client>(port()));
    ASSERT_TRUE(backlog.back()->connected());
    if (i % 2 == 0) backlog.back()->Ask("/ping");
  }
  std::thread stopping([this] { server_->Stop(absl::Minutes(1)); });
  Release();
  EXPECT_FALSE(holding->Answer().empty());
  holding.reset();
  // Those who have not asked yet are given the time that a request may be on its way.
  for (size_t i = 1; i < backlog.size(); i += 2) backlog[i]->Ask("/ping");
  for (auto& client : backlog) {
    EXPECT_TRUE(absl::EndsWith(client->Answer(), "pong\n"));
    client.reset();
  }
  stopping.join();
  EXPECT_FALSE(Client(port()).connected());
}

TEST_F(ServerTest, ARequestOnAnIdleConnectionThatComesJustThenIsAnswered) {
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(KeptAlive());
  clock_.Advance(absl::Minutes(1));  // So that none is given time.
  auto holding = Hold();
  std::thread stopping([this] { server_->Stop(absl::Minutes(1)); });
  for (const auto& client : idle) client->Ask("/ping");
  Release();
  EXPECT_FALSE(holding->Answer().empty());
  holding.reset();
  for (const auto& client : idle) EXPECT_TRUE(absl::EndsWith(client->Answer(), "pong\n"));
  idle.clear();
  stopping.join();
}

TEST_F(ServerTest, QuietConnectionsEndAndTheServerWithThem) {
  Client silent(port());
  ASSERT_TRUE(silent.connected());
  const auto first = KeptAlive(), second = KeptAlive();
  clock_.Advance(absl::Minutes(1));
  server_->Stop(absl::Minutes(1));
  EXPECT_TRUE(first->Ends());
  EXPECT_TRUE(second->Ends());
  EXPECT_TRUE(silent.Ends());
}

TEST_F(ServerTest, WhatIsLeftAfterTheGraceIsBrokenOff) {
  const auto quiet = KeptAlive();
  server_->Stop(absl::ZeroDuration());
  EXPECT_TRUE(quiet->Ends());
  EXPECT_FALSE(Client(port()).connected());
}

TEST_F(ServerTest, AnAnswerIsNotLostToWhatWasPipelinedBehindIt) {
  const auto client = KeptAlive();
  server_->Dismiss();
  client->Ask("/ping", 5000);  // More than is read at a time.
  EXPECT_TRUE(IsAnswer(client->Answer(), "close"));
  EXPECT_TRUE(client->Ends());
  // No reset has followed, which other systems throw away the answer for: what is sent is still read.
  for (int i = 0; i < 100; ++i) client->Ask("/ping");
}

}  // namespace
}  // namespace imgfleet::gateway
