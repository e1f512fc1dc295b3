// Who gets how much of the engine: threads, origins, requests in flight.
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "worker/fetch/engine.h"
#include "worker/fetch/origin_budget.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Request = ScriptedOrigin::Request;
using Answer = ScriptedOrigin::Answer;

// A silent origin holds its own items only.
TEST(Sharing, ASlowOriginStopsNobody) {
  ScriptedOrigin slow([](const Request&) { return Answer{"", Answer::kHang}; });
  ScriptedOrigin fast([](const Request& request) {
    return Answer{ScriptedOrigin::Serve(request, std::string(20'000, 'x'))};
  });
  Options options = TestOptions();
  options.concurrency = 32;
  const auto engine = Engine::Create(options).value();
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::future<Report>> hanging, reports;
  for (int i = 0; i < 100; ++i) hanging.push_back(Submit(*engine, slow.Url("/"), 0, {}, abandoned));
  for (int i = 0; i < 200; ++i) reports.push_back(Submit(*engine, fast.Url("/")));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  // Abandoned, they end at once: those running and those queued.
  *abandoned = true;
  engine->DropAbandoned();
  for (auto& report : hanging) EXPECT_EQ(report.get().failure, Failure::kAbandoned);
}

// Of which nothing more is to begin once a worker drains.
class LeavingClient final : public Client {
 public:
  struct Told {
    std::atomic<bool> leaving{false}, abandoned{false};
  };
  LeavingClient(std::string url, std::shared_ptr<Told> told) : url_(std::move(url)), told_(std::move(told)) {}
  std::future<Report> report() { return promise_.get_future(); }
  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived&) override { return {Verdict::kEnough}; }
  void Finish(Report report) override { promise_.set_value(std::move(report)); }
  bool Abandoned() const override { return told_->abandoned; }
  bool NotToBegin() const override { return told_->leaving; }

 private:
  const std::string url_;
  const std::shared_ptr<Told> told_;
  std::promise<Report> promise_;
};

TEST(Sharing, WhatIsNotToBeginEndsAndWhatWasBegunGoesOn) {
  ScriptedOrigin slow([](const Request&) { return Answer{"", Answer::kHang}; });
  Options options = TestOptions();
  options.threads = 1;
  options.concurrency = 4;
  const auto engine = Engine::Create(options).value();
  const auto told = std::make_shared<LeavingClient::Told>();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 20; ++i) {
    auto client = std::make_unique<LeavingClient>(slow.Url("/"), told);
    reports.push_back(client->report());
    std::vector<fetch::Request> requests;
    requests.push_back({std::move(client), {}, false});
    engine->Submit(std::move(requests));
  }
  while (slow.requests() < 4) std::this_thread::yield();
  told->leaving = true;
  engine->DropAbandoned();
  for (size_t i = 4; i < 20; ++i) EXPECT_EQ(reports[i].get().failure, Failure::kAbandoned);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(reports[i].wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  }
  told->abandoned = true;
  engine->DropAbandoned();
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(reports[i].get().failure, Failure::kAbandoned);
}

// Every slot waits for an origin that does not answer.
TEST(Sharing, WhatIsUrgentWaitsForNoSlot) {
  ScriptedOrigin slow([](const Request&) { return Answer{"", Answer::kHang}; });
  ScriptedOrigin fast([](const Request& request) {
    return Answer{ScriptedOrigin::Serve(request, std::string(20'000, 'x'))};
  });
  Options options = TestOptions();
  options.threads = 1;
  options.concurrency = 4;
  const auto engine = Engine::Create(options).value();
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::future<Report>> hanging;
  for (int i = 0; i < 20; ++i) hanging.push_back(Submit(*engine, slow.Url("/"), 0, {}, abandoned));
  while (slow.requests() < 4) std::this_thread::yield();
  std::future<Report> waiting = Submit(*engine, fast.Url("/other"), 0, {}, abandoned);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Submit(*engine, fast.Url("/"), 0, {}, nullptr, /*urgent=*/true).get().failure, Failure::kNone);
  }
  EXPECT_EQ(fast.requests(), 10);
  *abandoned = true;
  engine->DropAbandoned();
  for (auto& report : hanging) EXPECT_EQ(report.get().failure, Failure::kAbandoned);
  EXPECT_EQ(waiting.get().failure, Failure::kAbandoned);
}

// At one origin, which answers one request after the other.
TEST(Sharing, WhatIsUrgentGoesBeforeAllThatIsQueued) {
  std::vector<std::string> order;  // Of the origin's thread.
  ScriptedOrigin origin([&](const Request& request) {
    order.push_back(request.path);
    return Answer{ScriptedOrigin::Serve(request, std::string(20'000, 'x'))};
  });
  Options options = TestOptions();
  options.threads = 1;
  options.concurrency = 1;
  const auto engine = Engine::Create(options).value();
  std::vector<std::future<Report>> reports;
  std::vector<fetch::Request> requests;
  for (int i = 0; i < 12; ++i) {
    const bool urgent = i >= 10;
    auto client = std::make_unique<ByteClient>(origin.Url(urgent ? "/urgent" : "/ordinary"), 0);
    reports.push_back(client->report());
    requests.push_back({std::move(client), {}, urgent});
  }
  engine->Submit(std::move(requests));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  ASSERT_EQ(order.size(), 12u);
  EXPECT_EQ(order[0], "/urgent");
  EXPECT_EQ(order[1], "/urgent");
}

// Its window holds for the process: more threads do not ask more of it.
TEST(Sharing, AnOriginStaysOnOneThread) {
  ScriptedOrigin silent([](const Request&) { return Answer{"", Answer::kHang}; });
  ScriptedOrigin fast([](const Request& request) {
    return Answer{ScriptedOrigin::Serve(request, std::string(20'000, 'x'))};
  });
  Options options = TestOptions();
  options.threads = 4;
  const auto engine = Engine::Create(options).value();
  auto abandoned = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::future<Report>> hanging;
  for (int i = 0; i < 100; ++i) hanging.push_back(Submit(*engine, silent.Url("/"), 0, {}, abandoned));
  constexpr int kAtOnce = OriginBudget::kAtOnce;
  while (silent.requests() < kAtOnce) std::this_thread::yield();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Submit(*engine, fast.Url("/")).get().failure, Failure::kNone);
  EXPECT_EQ(silent.connections(), kAtOnce);
  *abandoned = true;
  engine->DropAbandoned();
  for (auto& report : hanging) EXPECT_EQ(report.get().failure, Failure::kAbandoned);
}

TEST(Sharing, ThreadsShareOneOrigin) {
  ScriptedOrigin origin([](const Request& request) {
    return Answer{ScriptedOrigin::Serve(request, std::string(20'000, 'x'))};
  });
  Options options = TestOptions();
  options.threads = 3;
  const auto engine = Engine::Create(options).value();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 600; ++i) reports.push_back(Submit(*engine, origin.Url("/")));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
}

}  // namespace
}  // namespace imgfleet::fetch
