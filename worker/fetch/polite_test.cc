// The engine against origins that ask for patience.
#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/version.h"
#include "gtest/gtest.h"
#include "worker/fetch/engine.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Request = ScriptedOrigin::Request;
using Answer = ScriptedOrigin::Answer;

Limits Once() { return {.attempt_timeout = absl::Seconds(20), .max_attempts = 1, .max_body_bytes = 1 << 20}; }

TEST(Polite, RetryAfterHoldsForTheWholeOrigin) {
  std::atomic<int64_t> refused_at{0}, next_at{0};
  const auto now = [] { return absl::ToUnixMillis(Clock::System().Boot()); };
  ScriptedOrigin origin([&](const Request& request) {
    if (request.path == "/first" && request.count == 1) {
      refused_at = now();
      return Answer{ScriptedOrigin::Http(503, {"Retry-After: 1"}, "")};
    }
    if (next_at == 0) next_at = now();
    return Answer{ScriptedOrigin::Serve(request, File())};
  });
  Options options = TestOptions();
  options.concurrency = 1;
  const auto engine = MakeEngine(options);
  auto first = Submit(*engine, origin.Url("/first"));
  auto second = Submit(*engine, origin.Url("/second"));
  EXPECT_EQ(first.get().attempts, 2u);
  EXPECT_EQ(second.get().failure, Failure::kNone);
  EXPECT_GE(next_at - refused_at, 950);
}

// Those that have not asked yet do not ask any more.
TEST(Polite, ALongRetryAfterPutsOffAllThatWaits) {
  ScriptedOrigin origin(
      [](const Request&) { return Answer{ScriptedOrigin::Http(429, {"Retry-After: 600"}, "")}; });
  Options options = TestOptions();
  options.concurrency = 1;
  const auto engine = MakeEngine(options);
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 50; ++i) reports.push_back(Submit(*engine, origin.Url("/")));
  for (auto& future : reports) {
    const Report report = future.get();
    EXPECT_EQ(report.failure, Failure::kHttpStatus);
    EXPECT_EQ(report.http_status, 429u);
    EXPECT_TRUE(report.retryable);
    EXPECT_GT(report.put_off, absl::Seconds(590));
    EXPECT_LE(report.put_off, absl::Seconds(600));
  }
  EXPECT_EQ(origin.requests(), 1);
  // It holds for what comes later, too.
  EXPECT_GT(Submit(*engine, origin.Url("/")).get().put_off, absl::Seconds(580));
  EXPECT_EQ(origin.requests(), 1);
}

TEST(Polite, ARetryAfterThatIsADateCountsFromNow) {
  const std::string date =
      absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now() + absl::Minutes(10), absl::UTCTimeZone());
  ScriptedOrigin origin(
      [&](const Request&) { return Answer{ScriptedOrigin::Http(503, {"Retry-After: " + date}, "")}; });
  const Report report = Submit(*MakeEngine(), origin.Url("/")).get();
  EXPECT_GT(report.put_off, absl::Minutes(9));
  EXPECT_LE(report.put_off, absl::Minutes(10));
}

TEST(Polite, AWaitBeyondAllReasonEndsTheItem) {
  ScriptedOrigin origin(
      [](const Request&) { return Answer{ScriptedOrigin::Http(429, {"Retry-After: 86400"}, "")}; });
  const Report report = Submit(*MakeEngine(), origin.Url("/")).get();
  EXPECT_EQ(report.failure, Failure::kHttpStatus);
  EXPECT_EQ(report.put_off, absl::ZeroDuration());
  EXPECT_EQ(report.message, "the origin answered 429 and asked to wait 24h");
  EXPECT_EQ(report.attempts, 1u);
}

// An origin that allows `rate` requests a second, of which `burst` at once.
class Bucket {
 public:
  Bucket(double rate, double burst) : rate_(rate), burst_(burst), tokens_(burst) {}

  bool Allow() {
    const absl::Time now = Clock::System().Boot();
    tokens_ = std::min(burst_, tokens_ + rate_ * absl::ToDoubleSeconds(now - std::exchange(last_, now)));
    if (tokens_ < 1) return ++refused_, false;
    tokens_ -= 1;
    return true;
  }
  int refused() const { return refused_; }

 private:
  const double rate_, burst_;
  double tokens_;
  int refused_ = 0;
  absl::Time last_ = Clock::System().Boot();
};

// On real sockets: nearly all is allowed, and every item is measured though each has one attempt only.
TEST(Polite, ALimitedOriginIsFetchedToTheEnd) {
  Bucket bucket(100, 20);
  ScriptedOrigin origin([&](const Request& request) {
    return Answer{bucket.Allow() ? ScriptedOrigin::Serve(request, File())
                                 : ScriptedOrigin::Http(429, {}, "")};
  });
  Options options = TestOptions();
  options.threads = 3;
  const auto engine = MakeEngine(options);
  std::vector<std::future<Report>> reports;
  const absl::Time begin = Clock::System().Boot();
  constexpr int kItems = 500;
  for (int i = 0; i < kItems; ++i)
    reports.push_back(Submit(*engine, origin.Url(absl::StrCat("/", i)), 0, Once()));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  EXPECT_LT(bucket.refused(), 0.05 * origin.requests());
  EXPECT_GT(kItems / absl::ToDoubleSeconds(Clock::System().Boot() - begin), 0.4 * 100);
}

TEST(Polite, ARefusalIsNoFailedAttempt) {
  ScriptedOrigin origin([](const Request& request) {
    if (request.count == 1) return Answer{ScriptedOrigin::Http(429, {}, "")};
    if (request.count == 2) return Answer{ScriptedOrigin::Http(500, {}, "")};
    return Answer{ScriptedOrigin::Serve(request, File())};
  });
  const Limits twice{.attempt_timeout = absl::Seconds(20), .max_attempts = 2, .max_body_bytes = 1 << 20};
  const Report report = Submit(*MakeEngine(), origin.Url("/"), 0, twice).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.attempts, 3u);
}

TEST(Polite, WhatFailedTogetherIsNotTriedAgainTogether) {
  absl::Mutex mutex;
  std::map<std::string, absl::Time> failed;
  std::vector<absl::Duration> waits;
  ScriptedOrigin origin([&](const Request& request) {
    absl::MutexLock lock(&mutex);
    const absl::Time now = Clock::System().Boot();
    if (failed.emplace(request.path, now).second) return Answer{ScriptedOrigin::Http(500, {}, "")};
    waits.push_back(now - failed[request.path]);
    return Answer{ScriptedOrigin::Serve(request, File())};
  });
  Options options = TestOptions();
  options.backoff = {.base = absl::Milliseconds(400), .max = absl::Milliseconds(400)};
  const auto engine = MakeEngine(options);
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 8; ++i) reports.push_back(Submit(*engine, origin.Url(absl::StrCat("/", i))));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  const auto [least, most] = std::minmax_element(waits.begin(), waits.end());
  EXPECT_GE(*least, absl::Milliseconds(200));
  EXPECT_GE(*most - *least, absl::Milliseconds(40));
}

TEST(Polite, SaysWhoItIs) {
  ScriptedOrigin origin(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  Options options = TestOptions();
  options.contact = "https://example.com/bot";
  Submit(*MakeEngine(options), origin.Url("/")).wait();
  const std::string head = origin.log()[0].head;
  EXPECT_TRUE(absl::StrContains(
      head, absl::StrCat("User-Agent: imgfleet/", kVersion, " (+https://example.com/bot)\r\n")))
      << head;
  options.user_agent = "mine\r\nX-Other: y";
  EXPECT_TRUE(absl::IsInvalidArgument(Engine::Create(options).status()));
}

// Of an operator's own host as much is asked as may be in flight, at once; of another's, with the same answers, not.
TEST(Polite, AnExemptHostIsAskedForAllAtOnce) {
  const auto asked_at_once = [](bool exempt) {
    std::atomic<int> seen{0};
    ScriptedOrigin origin([&](const Request&) { return ++seen, Answer{"", Answer::kHang}; });
    Options options = TestOptions();
    options.concurrency = 40;
    EXPECT_TRUE(options.Exempt(exempt ? "127.0.0.1" : "127.0.0.2").ok());
    const auto engine = MakeEngine(options);
    std::vector<std::future<Report>> reports;
    const Limits brief{.attempt_timeout = absl::Milliseconds(400), .max_attempts = 1, .max_body_bytes = 1};
    for (int i = 0; i < 50; ++i) reports.push_back(Submit(*engine, origin.Url("/"), 0, brief));
    reports[0].wait();
    return seen.load();
  };
  EXPECT_EQ(asked_at_once(true), 40);
  EXPECT_LE(asked_at_once(false), OriginWindow::kStart);
}

TEST(Polite, AnExemptHostIsNotPacedButMaySayWhen) {
  ScriptedOrigin origin([](const Request& request) {
    if (request.path == "/wait") return Answer{ScriptedOrigin::Http(429, {"Retry-After: 600"}, "")};
    // Two of three are refused, at first.
    if (request.count == 1 && request.path.size() % 3 != 0) return Answer{ScriptedOrigin::Http(429, {}, "")};
    return Answer{ScriptedOrigin::Serve(request, File())};
  });
  Options options = TestOptions();
  ASSERT_TRUE(options.Exempt("127.0.0.1").ok());
  const auto engine = MakeEngine(options);
  const absl::Time begin = Clock::System().Boot();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 300; ++i) reports.push_back(Submit(*engine, origin.Url("/" + std::string(i, 'x'))));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  EXPECT_LT(Clock::System().Boot() - begin, absl::Seconds(10));
  Submit(*engine, origin.Url("/wait")).wait();
  EXPECT_GT(Submit(*engine, origin.Url("/any")).get().put_off, absl::Minutes(9));
}

TEST(Polite, AnExemptionNamesAHost) {
  Options options;
  EXPECT_TRUE(options.Exempt("Images.Example.COM").ok());
  EXPECT_TRUE(options.exempt_hosts.contains("images.example.com"));
  for (const char* bad : {"", "http://example.com", "example.com/x", "example.com:80", "a b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(options.Exempt(bad))) << bad;
  }
}

// A page that is always refused does not wait for ever, and does not slow its neighbours.
TEST(Polite, APageThatIsAlwaysRefusedEnds) {
  ScriptedOrigin origin([](const Request& request) {
    return Answer{request.path == "/bad" ? ScriptedOrigin::Http(503, {}, "")
                                         : ScriptedOrigin::Serve(request, File())};
  });
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 100; ++i) Submit(*engine, origin.Url("/good")).wait();
  auto bad = Submit(*engine, origin.Url("/bad"));
  for (int i = 0; i < 200; ++i) reports.push_back(Submit(*engine, origin.Url("/good")));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  const Report report = bad.get();
  EXPECT_EQ(report.failure, Failure::kHttpStatus);
  EXPECT_EQ(report.http_status, 503u);
  EXPECT_LE(report.attempts, 10u);
}

// An origin that gives nothing but refusals is not asked for every item: those that waited for as long as their attempts
// may take end with it.
TEST(Polite, AnOriginThatRefusesAllIsGivenUp) {
  ScriptedOrigin origin([](const Request&) { return Answer{ScriptedOrigin::Http(429, {}, "")}; });
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  const Limits limits{
      .attempt_timeout = absl::Milliseconds(300), .max_attempts = 2, .max_body_bytes = 1 << 20};
  for (int i = 0; i < 1000; ++i) reports.push_back(Submit(*engine, origin.Url("/"), 0, limits));
  for (auto& future : reports) {
    const Report report = future.get();
    EXPECT_EQ(report.failure, Failure::kHttpStatus) << report.message;
    EXPECT_EQ(report.http_status, 429u);
    EXPECT_TRUE(report.retryable);
  }
  EXPECT_LT(origin.requests(), 30);
}

// The same for one that takes no connections, or does not answer: else a list of ten thousand would take days.
TEST(Polite, AnOriginThatDoesNotAnswerIsGivenUp) {
  ScriptedOrigin origin([](const Request&) { return Answer{"", Answer::kHang}; });
  const auto engine = MakeEngine();
  std::vector<std::future<Report>> reports;
  const Limits limits{
      .attempt_timeout = absl::Milliseconds(100), .max_attempts = 3, .max_body_bytes = 1 << 20};
  for (int i = 0; i < 2000; ++i) reports.push_back(Submit(*engine, origin.Url("/"), 0, limits));
  for (auto& future : reports) EXPECT_EQ(future.get().failure, Failure::kTimeout);
  EXPECT_LT(origin.requests(), 100);
}

}  // namespace
}  // namespace imgfleet::fetch
