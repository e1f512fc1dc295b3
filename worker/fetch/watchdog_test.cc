// The watchdog leaves alone who is merely slow; whom it stops is tried in tests/hostile.
#include "worker/fetch/watchdog.h"

#include <time.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

// Takes its time over each byte, as what inflates a bomb up to its limit does.
class Slow final : public Client {
 public:
  explicit Slow(std::string url) : url_(std::move(url)) {}
  std::future<Report> report() { return promise_.get_future(); }
  const std::string& url() const override { return url_; }
  Extent extent() const override { return Extent::kWhole; }
  void OnBytes(absl::string_view bytes) override {
    const int64_t end = CpuNanoseconds() + static_cast<int64_t>(bytes.size()) * 500;
    while (CpuNanoseconds() < end) continue;
  }
  Verdict Inspect(const Arrived&) override { return {Verdict::kEnough}; }
  void Finish(Report report) override { promise_.set_value(std::move(report)); }
  bool Abandoned() const override { return false; }

 private:
  static int64_t CpuNanoseconds() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * int64_t{1'000'000'000} + used.tv_nsec;
  }
  const std::string url_;
  std::promise<Report> promise_;
};

TEST(WatchdogTest, WhatAClientTakesIsNotTakenForAFlood) {
  const std::string body(2'000'000, 'x');
  ScriptedOrigin origin([&](const ScriptedOrigin::Request&) {
    return ScriptedOrigin::Answer{"HTTP/1.1 200 OK\r\n\r\n" + body, ScriptedOrigin::Answer::kClose};
  });
  const auto engine = MakeEngine();
  auto client = std::make_unique<Slow>(origin.Url("/x"));
  std::future<Report> future = client->report();
  std::vector<Request> batch;
  batch.push_back({std::move(client), Limits()});
  engine->Submit(std::move(batch));
  const Report report = future.get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, body.size());
  EXPECT_EQ(report.attempts, 1u);
}

}  // namespace
}  // namespace imgfleet::fetch
