// The engine against origins that ask for patience.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "worker/fetch/engine.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Request = ScriptedOrigin::Request;
using Answer = ScriptedOrigin::Answer;

const std::string& File() {
  static const auto* file = new std::string(300'000, 'x');
  return *file;
}

std::unique_ptr<Engine> MakeEngine(Options options = TestOptions()) {
  return Engine::Create(std::move(options)).value();
}

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
  EXPECT_GT(kItems / absl::ToDoubleSeconds(Clock::System().Boot() - begin), 0.6 * 100);
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
