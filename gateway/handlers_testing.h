// For tests: one handler's answer taken down, and requests run to their end against a FakeJobs.
#pragma once

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "boost/asio/co_spawn.hpp"
#include "boost/asio/io_context.hpp"
#include "gateway/fake_jobs.h"
#include "gateway/handlers.h"
#include "gtest/gtest.h"

namespace imgfleet::gateway {

// Takes an answer down, and lets a test look at it while it is being written.
class TakenDown final : public Response {
 public:
  Task<absl::Status> Send(Reply reply) override {
    head = reply.head;
    body = reply.body;
    ended = true;
    co_return absl::OkStatus();
  }
  Task<absl::Status> Begin(Head given) override {
    head = given;
    begun = true;
    co_return absl::OkStatus();
  }
  Task<absl::Status> Write(absl::string_view bytes) override {
    if (client_gone_.gone()) co_return absl::CancelledError("gone");
    body.append(bytes.data(), bytes.size());
    ++writes;
    if (on_write) on_write();
    co_return absl::OkStatus();
  }
  Task<absl::Status> End() override {
    ended = true;
    co_return absl::OkStatus();
  }
  ClientGone& client_gone() override { return client_gone_; }

  std::string Header(absl::string_view name) const {
    for (const auto& [key, value] : head.headers) {
      if (key == name) return value;
    }
    return "";
  }

  Head head;
  std::string body;
  bool begun = false, ended = false;
  int writes = 0;
  std::function<void()> on_write;

 private:
  ClientGone client_gone_;
};

class HandlersTest : public testing::Test {
 protected:
  void Start(Script script = {}) {
    jobs_ = std::make_unique<FakeJobs>(std::move(script));
    stub_ = v1::Jobs::NewStub(jobs_->Channel());
    backend_.emplace(Backend{.jobs = *stub_, .lists = {{root_}, readers_}, .clock = clock_});
    backend_->patience = absl::Seconds(5);
    backend_->express = express_;
    AddImagesInfoRoutes(*backend_, router_);
    AddJobRoutes(*backend_, router_);
    AddScheduleRoutes(*backend_, router_);
    AddImageRoute(*backend_, router_);
  }

  // From the beginning, with another script.
  void SetUpAgain(Script script) {
    router_ = Router();
    response_ = TakenDown();
    Start(std::move(script));
  }

  // Runs one request to its end.
  absl::Status Ask(const std::string& method, const std::string& target, const std::string& body = "",
                   const std::string& accept = "") {
    Request request;
    request.method = method;
    EXPECT_TRUE(ParseTarget(target, request));
    request.accept = accept;
    request.content_type = content_type_;
    request.fetch_site = fetch_site_;
    request.body = body;
    absl::Status status;
    boost::asio::io_context io;
    const Handler& handler = router_.Find(request).handler;
    boost::asio::co_spawn(io, handler(request, response_),
                          [&](std::exception_ptr failed, absl::Status result) {
                            EXPECT_FALSE(failed);
                            status = result;
                          });
    io.run();
    return status;
  }

  std::string root_ = std::getenv("TEST_TMPDIR");
  std::string content_type_ = "application/json", fetch_site_;
  FakeClock clock_;
  boost::asio::thread_pool readers_{1};
  std::unique_ptr<FakeJobs> jobs_;
  std::unique_ptr<v1::Jobs::Stub> stub_;
  std::optional<Backend> backend_;
  Router router_;
  TakenDown response_;
  bool express_ = false;
};

}  // namespace imgfleet::gateway
