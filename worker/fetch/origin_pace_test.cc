// The pace against limiters of all common kinds, in simulated time.
#include "worker/fetch/origin_pace.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/origin_window.h"

namespace imgfleet::fetch {
namespace {

const absl::Time kBegin = absl::FromUnixSeconds(1'700'000'000);

// Allows or refuses a request that arrives at `now`.
using Limiter = std::function<bool(absl::Time now)>;

Limiter TokenBucket(double rate, double burst) {
  return [=, tokens = burst, last = kBegin](absl::Time now) mutable {
    tokens = std::min(burst, tokens + rate * absl::ToDoubleSeconds(now - last));
    last = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}

// As nginx's limit_req without a burst: requests must be so far apart.
Limiter LeakyBucket(double rate) {
  return [=, last = absl::InfinitePast()](absl::Time now) mutable {
    if (now - last < absl::Seconds(1 / rate)) return false;
    last = now;
    return true;
  };
}

// So many in each period, which begins at a multiple of it.
Limiter FixedWindow(int count, absl::Duration period, absl::Duration shift) {
  return [=, window = int64_t{-1}, used = 0](absl::Time now) mutable {
    const int64_t current =
        absl::ToInt64Nanoseconds(now + shift - absl::UnixEpoch()) / absl::ToInt64Nanoseconds(period);
    if (current != window) used = 0;
    window = current;
    return ++used <= count;
  };
}

// So many accepted in any period.
Limiter SlidingWindow(size_t count, absl::Duration period) {
  return [=, accepted = std::deque<absl::Time>()](absl::Time now) mutable {
    while (!accepted.empty() && accepted.front() <= now - period) accepted.pop_front();
    if (accepted.size() >= count) return false;
    accepted.push_back(now);
    return true;
  };
}

struct Course {
  int requests = 0, refused = 0;
  absl::Duration time;
  size_t in_flight_after_a_second = 0;
};

struct Setting {
  int items = 400;
  absl::Duration latency = absl::Milliseconds(1);
  uint32_t in_flight = 512;
  std::optional<absl::Duration> retry_after = {};
};

// Brings `items` to an answer, as the dispatcher does: timers come up to 2 ms late, latencies vary by a tenth.
Course Fetch(const Limiter& limiter, const Setting& setting, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  struct Answer {
    absl::Time at, sent;
    bool accepted;
    bool operator<(const Answer& other) const { return at > other.at; }
  };
  std::priority_queue<Answer> pending;
  OriginPace pace;
  OriginWindow window(setting.in_flight);
  Course course;
  absl::Time now = kBegin + absl::Seconds(uniform(random));
  const absl::Time begin = now;
  int left = setting.items;
  while (left > 0) {
    if (pace.next() <= now && window.HasRoom() && static_cast<int>(pending.size()) < left) {
      pace.Sent(now);
      window.Start();
      ++course.requests;
      const absl::Duration latency = setting.latency * (0.95 + uniform(random) / 10);
      pending.push({now + latency, now, limiter(now + latency / 2)});
      continue;
    }
    absl::Time wake = pending.empty() ? absl::InfiniteFuture() : pending.top().at;
    if (window.HasRoom() && pace.next() > now) {
      wake = std::min(wake, pace.next() + absl::Milliseconds(2) * uniform(random));
    }
    if (now < begin + absl::Seconds(1)) course.in_flight_after_a_second = pending.size();
    now = std::max(now, wake);
    if (pending.empty() || pending.top().at > now) continue;
    const Answer answer = pending.top();
    pending.pop();
    if (answer.accepted) {
      --left;
      pace.Accepted(answer.sent, now);
      window.Answered(now - answer.sent, now, true);
    } else {
      ++course.refused;
      pace.Refused(answer.sent, now, uniform(random));
      window.Strained(answer.sent, now);
      if (setting.retry_after.has_value()) pace.Block(now + *setting.retry_after);
    }
  }
  course.time = now - begin;
  return course;
}

int Seeds() {
  const char* const seeds = std::getenv("IMGFLEET_TEST_SEEDS");
  return seeds == nullptr ? 40 : std::atoi(seeds);
}

struct Case {
  std::string name;
  std::function<Limiter(uint32_t seed)> limiter;
  double rate;  // Allowed a second.
  int items;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

class OriginPaceTest : public testing::TestWithParam<Case> {};

// Every seed, near and far, with and without Retry-After: less than one request in twenty is refused, and the origin
// is asked for at least six tenths of what it allows.
TEST_P(OriginPaceTest, IsSeldomRefusedAndNotSlow) {
  const Case& c = GetParam();
  for (const absl::Duration latency : {absl::Milliseconds(1), absl::Milliseconds(100)}) {
    for (const bool retry_after : {false, true}) {
      for (int seed = 1; seed <= Seeds(); ++seed) {
        Setting setting;
        setting.items = c.items;
        setting.latency = latency;
        if (retry_after) setting.retry_after = absl::Seconds(1);
        const Course course = Fetch(c.limiter(seed), setting, seed);
        const std::string name =
            absl::StrCat(absl::FormatDuration(latency), retry_after ? " Retry-After" : "", " seed ", seed);
        EXPECT_LT(course.refused, 0.05 * course.requests) << name;
        EXPECT_GT(c.items / absl::ToDoubleSeconds(course.time), 0.6 * c.rate) << name;
        if (HasFailure()) return;
      }
    }
  }
}

absl::Duration Shift(uint32_t seed, absl::Duration period) { return period * (seed % 17) / 17; }

Case Bucket(double rate, double burst, int items) {
  return {absl::StrCat("bucket_of_", burst, "_at_", rate), [=](uint32_t) { return TokenBucket(rate, burst); },
          rate, items};
}

Case Fixed(int count, absl::Duration period, int items) {
  return {absl::StrCat("fixed_", absl::FormatDuration(period), "_of_", count),
          [=](uint32_t seed) { return FixedWindow(count, period, Shift(seed, period)); },
          count / absl::ToDoubleSeconds(period), items};
}

Case Sliding(int count, absl::Duration period, int items) {
  return {absl::StrCat("sliding_", absl::FormatDuration(period), "_of_", count),
          [=](uint32_t) { return SlidingWindow(count, period); }, count / absl::ToDoubleSeconds(period),
          items};
}

INSTANTIATE_TEST_SUITE_P(
    Limiters, OriginPaceTest,
    testing::Values(Bucket(20, 1, 400), Bucket(20, 5, 400), Bucket(20, 20, 600), Bucket(20, 60, 2000),
                    Bucket(1, 1, 400), Bucket(1000, 1000, 40'000),
                    Case{"leaky_at_20", [](uint32_t) { return LeakyBucket(20); }, 20, 400},
                    Sliding(20, absl::Seconds(1), 600), Sliding(60, absl::Minutes(1), 2000),
                    Fixed(20, absl::Seconds(1), 1500), Fixed(60, absl::Minutes(1), 2000),
                    Fixed(1200, absl::Minutes(1), 24'000)),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

Limiter Willing() {
  return [](absl::Time) { return true; };
}

TEST(OriginPace, AWillingOriginIsAt128WithinASecond) {
  Setting setting;
  setting.items = 5'005;
  setting.latency = absl::Milliseconds(100);
  const Course course = Fetch(Willing(), setting, 1);
  EXPECT_GE(course.in_flight_after_a_second, 128u);
  EXPECT_LT(course.time, absl::Seconds(2.5));
}

// The beginning costs a near and fast origin some hundredths of a second, once.
TEST(OriginPace, AFastOriginIsAtFullSpeedSoon) {
  Setting setting;
  setting.items = 1'000;
  setting.latency = absl::Microseconds(500);
  EXPECT_LT(Fetch(Willing(), setting, 1).time, absl::Milliseconds(80));
}

// A thing of a thousand that is refused whenever it is asked for says nothing about the rate.
TEST(OriginPace, OneRefusalInAHundredDoesNotSlow) {
  Setting setting;
  setting.items = 50'000;
  setting.in_flight = 64;
  std::mt19937 random(1);
  const Course course = Fetch([&](absl::Time) { return random() % 100 != 0; }, setting, 1);
  EXPECT_GT(setting.items / absl::ToDoubleSeconds(course.time), 150);
}

TEST(OriginPace, AnOriginThatRefusesAllIsAskedSeldom) {
  OriginPace pace;
  absl::Time now = kBegin;
  int requests = 0;
  while (now < kBegin + absl::Minutes(2)) {
    now = std::max(now, pace.next()) + absl::Milliseconds(1);
    pace.Sent(now);
    ++requests;
    pace.Refused(now, now + absl::Milliseconds(1), 0.5);
  }
  EXPECT_LE(requests, 20);
  EXPECT_GT(pace.next() - now, absl::Seconds(10));
}

TEST(OriginPace, ThoseWhoAskSeldomDoNotAskTogether) {
  // When the fifth request may be sent, after four refusals.
  const auto next = [](double random) {
    OriginPace pace;
    absl::Time now = kBegin;
    for (int i = 0; i < 4; ++i) {
      now = std::max(now, pace.next());
      pace.Sent(now);
      pace.Refused(now, now, random);
    }
    return pace.next();
  };
  EXPECT_GT(next(0.5), next(0.1) + absl::Milliseconds(200));
  EXPECT_GT(next(0.9), next(0.5) + absl::Milliseconds(200));
}

TEST(OriginPace, IsForgotten) {
  OriginPace pace;
  absl::Time now = kBegin;
  pace.Sent(now);
  pace.Refused(now, now, 0.5);
  EXPECT_GT(pace.rate(), 0);
  EXPECT_FALSE(pace.idle(now + absl::Minutes(4)));
  now += absl::Minutes(20);
  EXPECT_TRUE(pace.idle(now));
  pace.Sent(now);
  EXPECT_EQ(pace.rate(), 0);
  EXPECT_LE(pace.next(), now);
}

TEST(OriginPace, WhatWasSentBeforeAReactionIsIgnored) {
  OriginPace pace;
  absl::Time now = kBegin;
  for (int i = 0; i < 10; ++i) pace.Sent(now);
  pace.Refused(now, now + absl::Milliseconds(10), 0.5);
  const absl::Time next = pace.next();
  const double rate = pace.rate();
  for (int i = 0; i < 9; ++i) pace.Refused(now, now + absl::Milliseconds(11), 0.5);
  EXPECT_EQ(pace.rate(), rate);
  EXPECT_EQ(pace.next(), next);
}

TEST(OriginPace, NothingIsSentBeforeTheOriginSays) {
  OriginPace pace;
  pace.Sent(kBegin);
  pace.Refused(kBegin, kBegin, 0.5);
  pace.Block(kBegin + absl::Hours(1));
  EXPECT_EQ(pace.next(), kBegin + absl::Hours(1));
}

}  // namespace
}  // namespace imgfleet::fetch
