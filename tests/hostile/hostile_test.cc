// Every case of the table against the engine that ships, all at once, with a good origin beside them.
#include <poll.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"
#include "tests/hostile/origin.h"
#include "worker/task/engine_runner.h"

namespace imgfleet::hostile {
namespace {

constexpr uint64_t kMaxBodyBytes = 4 << 20;
// What an item may need beyond its deadline.
constexpr absl::Duration kGrace = absl::Seconds(1);
// What a machine with more to do than it can is late by is not the engine's.
class Lateness {
 public:
  Lateness() : thread_([this] { Watch(); }) {}
  ~Lateness() {
    over_ = true;
    thread_.join();
  }
  absl::Duration sum() const { return absl::Microseconds(microseconds_.load()); }

 private:
  void Watch() {
    constexpr int kStep = 10;  // Milliseconds.
    while (!over_) {
      const absl::Time before = absl::Now();
      poll(nullptr, 0, kStep);
      microseconds_ += absl::ToInt64Microseconds(absl::Now() - before) - kStep * 1000;
    }
  }

  std::atomic<bool> over_{false};
  std::atomic<int64_t> microseconds_{0};
  std::thread thread_;
};

// What an origin may ask an item to wait before it is tried again.
constexpr absl::Duration kPatience = absl::Seconds(2);

struct Result {
  v1::Outcome outcome;
  absl::Duration took;
};

std::string TestName(absl::string_view name) {
  std::string test;
  for (const char letter : name) test.push_back(absl::ascii_isalnum(letter) ? letter : '_');
  return test;
}

// Whether a test of the case passes --gtest_filter.
bool Wanted(const Case& one) {
  static const auto* wanted = [] {
    auto* names = new std::set<std::string>;
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
      const testing::TestSuite& suite = *all.GetTestSuite(i);
      for (int j = 0; j < suite.total_test_count(); ++j) {
        const testing::TestInfo& test = *suite.GetTestInfo(j);
        const std::string name = test.name();
        if (test.should_run()) names->insert(name.substr(name.find('/') + 1));
      }
    }
    return names;
  }();
  return wanted->count(TestName(one.name)) > 0;
}

// One run of the whole table, or of the cases asked for: first every hostile item with good ones in between, then a good
// item from each origin that was hostile before.
class Run {
 public:
  static const Run& Get() {
    static const Run run;  // Ended at exit, threads and all.
    return run;
  }
  const std::vector<Case>& cases() const { return origin_.cases(); }
  const Result& of(const std::string& name) const { return results_.at(name); }
  const Result& after(const std::string& name) const { return after_.at(name); }
  const std::vector<Result>& meanwhile() const { return meanwhile_; }
  absl::Duration lateness() const { return lateness_.sum(); }
  int forbidden() const { return origin_.connections("forbidden"); }

 private:
  Run() {
    fetch::Options options;
    options.threads = 2;
    options.policy = AddressPolicy({*Cidr::Parse("127.0.0.1/32")});
    options.ca_file = origin_.ca_file();
    options.backoff = {.base = absl::Milliseconds(1), .max = absl::Milliseconds(2)};
    options.connect_timeout = absl::Milliseconds(2500);
    options.stall_timeout = absl::Milliseconds(1500);
    options.max_retry_after = kPatience;
    runner_ = task::EngineRunner::Create(std::move(options)).value();
    for (const bool floods : {false, true}) RunHostile(floods);
    origin_.Mend();
    std::map<std::string, std::future<Result>> after;
    for (const Case& one : cases()) {
      if (!Wanted(one)) continue;
      after[one.name] = Start(origin_.Url(one.name, "/good"), kAmple, 1);
    }
    for (auto& [name, result] : after) after_[name] = result.get();
    runner_.reset();
  }

  void RunHostile(bool floods) {
    std::map<std::string, std::future<Result>> hostile;
    std::vector<std::future<Result>> good;
    for (const Case& one : cases()) {
      if (one.floods != floods || !Wanted(one)) continue;
      hostile[one.name] = Start(origin_.Url(one.name), one.timeout, one.attempts);
      good.push_back(Start(origin_.Url("good"), kAmple, 1));
    }
    for (auto& [name, result] : hostile) {
      // An item that would never end is to fail its own case, not to hang the test.
      if (result.wait_for(std::chrono::seconds(40)) != std::future_status::ready) origin_.HangUp();
      results_[name] = result.get();
    }
    for (auto& result : good) meanwhile_.push_back(result.get());
  }

  std::future<Result> Start(std::string url, absl::Duration timeout, uint32_t attempts) {
    auto lease = std::make_shared<task::Lease>();
    v1::FetchLimits& limits = *lease->spec.mutable_limits();
    limits.mutable_attempt_timeout()->set_seconds(absl::ToInt64Seconds(timeout));
    limits.set_max_attempts(attempts);
    limits.set_max_body_bytes(kMaxBodyBytes);
    auto promise = std::make_shared<std::promise<Result>>();
    std::vector<task::Item> items;
    items.push_back(
        {0, "", std::move(url), std::move(lease), [promise, begun = absl::Now()](v1::Outcome outcome) {
           promise->set_value({std::move(outcome), absl::Now() - begun});
         }});
    runner_->Start(std::move(items));
    return promise->get_future();
  }

  HostileOrigin origin_{AllCases()};
  Lateness lateness_;
  std::unique_ptr<task::EngineRunner> runner_;
  std::map<std::string, Result> results_, after_;
  std::vector<Result> meanwhile_;
};

class HostileTest : public testing::TestWithParam<std::string> {
 protected:
  const Case& Shown() {
    for (const Case& one : Run::Get().cases()) {
      if (one.name == GetParam()) return one;
    }
    std::abort();
  }
};

TEST_P(HostileTest, EndsAsItMust) {
  const Case& shown = Shown();
  const Result& result = Run::Get().of(shown.name);
  const v1::Outcome& outcome = result.outcome;
  const v1::ItemError& error = outcome.error();
  const std::string seen =
      absl::StrCat(outcome.ShortDebugString(), "\nwhat was sent: ", shown.sends, "\nguard: ", shown.guard);
  if (!outcome.has_error() || error.reason() != shown.ends.reason_or) {
    EXPECT_EQ(v1::ItemError::Reason_Name(error.reason()), v1::ItemError::Reason_Name(shown.ends.reason))
        << seen;
  }
  if (shown.ends.reason == v1::ItemError::REASON_UNSPECIFIED) {
    EXPECT_EQ(outcome.image().width(), 40u) << seen;
    EXPECT_EQ(outcome.image().height(), 30u) << seen;
    EXPECT_EQ(outcome.image().size_bytes(), shown.ends.size) << seen;
  } else {
    EXPECT_FALSE(error.message().empty()) << seen;
    EXPECT_TRUE(absl::StrContains(error.message(), shown.ends.says))
        << seen << "\nwanted: " << shown.ends.says;
    EXPECT_LT(error.message().size(), 400u);
  }
  EXPECT_LE(outcome.fetch().fetched_bytes(), shown.attempts * shown.most_bytes) << seen;
  // An origin that asks for less is waited for, and that counts as no attempt.
  const bool refused = error.http_status() == 429 || error.http_status() == 503;
  if (!refused) {
    EXPECT_LE(outcome.attempts(), shown.attempts) << seen;
  }
  const absl::Duration waits = refused ? absl::Seconds(6) : (shown.attempts - 1) * kPatience;
  EXPECT_LE(result.took, shown.attempts * shown.timeout + waits + kGrace + Run::Get().lateness()) << seen;
}

// Whatever the origin did, what is fetched from it afterwards, on the connections that it left, is as it should be.
TEST_P(HostileTest, LeavesNothingBehind) {
  const v1::Outcome& outcome = Run::Get().after(GetParam()).outcome;
  // Where silence was asked for, it is kept; an origin that refused for long may still be given some.
  const bool waits = absl::StrContains(outcome.error().message(), "asked to wait");
  if (absl::StrContains(Shown().ends.says, "asked to wait")) {
    EXPECT_TRUE(waits) << outcome.ShortDebugString();
    return;
  }
  if (waits && Shown().ends.reason == Reason::HTTP_STATUS) return;
  EXPECT_EQ(outcome.image().width(), 123u) << outcome.ShortDebugString();
  EXPECT_EQ(outcome.image().height(), 45u) << outcome.ShortDebugString();
  EXPECT_EQ(outcome.image().size_bytes(), 35u) << outcome.ShortDebugString();
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Case& one : AllCases()) names.push_back(one.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Case, HostileTest, testing::ValuesIn(Names()),
                         [](const auto& info) { return TestName(info.param); });

TEST(Hostile, OthersAreNotHarmed) {
  for (const Result& result : Run::Get().meanwhile()) {
    EXPECT_EQ(result.outcome.image().width(), 123u) << result.outcome.ShortDebugString();
    EXPECT_LT(result.took, absl::Seconds(5) + Run::Get().lateness());
  }
}

TEST(Hostile, NobodyCameWhereNobodyMustCome) { EXPECT_EQ(Run::Get().forbidden(), 0); }

}  // namespace
}  // namespace imgfleet::hostile
