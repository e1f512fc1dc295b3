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
