// The pace against limiters of all common kinds, in simulated time. Its constants were chosen with other seeds of the same
// kinds of origins (pace_study's), none of which is drawn here.
#include "worker/fetch/origin_pace.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/limited_origin.h"
#include "worker/fetch/testing/pace_course.h"

namespace imgfleet::fetch {
namespace {

constexpr uint32_t kHeldOut = 3'000'000;

int Seeds() {
  const char* const seeds = std::getenv("IMGFLEET_TEST_SEEDS");
  return seeds == nullptr ? 40 : std::max(20, std::atoi(seeds));
}

struct Case {
  std::string name;
  std::function<LimitedOrigin(double phase)> make;
  int items;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

class OriginPaceTest : public testing::TestWithParam<Case> {};

// Near and far, with and without Retry-After: less than one request in twenty is refused, and the origin is asked for most
// of what it allows.
TEST_P(OriginPaceTest, IsSeldomRefusedAndNotSlow) {
  const Case& c = GetParam();
  const int seeds = std::min(Seeds(), 1'000'000 / c.items);
  for (const double round_trip : {0.001, 0.1}) {
    for (const bool retry_after : {false, true}) {
      double refused = 0, worst = 0, speed = 0;
      for (int seed = 1; seed <= seeds; ++seed) {
        LimitedOrigin origin = c.make((1 + seed % 17) / 17.0);
        origin.round_trip = round_trip;
        origin.retry_after = [=](double) { return retry_after ? 1.0 : 0.0; };
        Setting setting;
        setting.items = c.items;
        const Course course = Fetch(origin, setting, kHeldOut + seed);
        refused += course.refused_share() / seeds;
        worst = std::max(worst, course.refused_share());
        speed += course.speed() / seeds;
        EXPECT_EQ(course.lost, 0);
      }
      const std::string name = absl::StrCat(round_trip, retry_after ? " s, Retry-After" : " s");
      EXPECT_LT(refused, 0.05) << name;
      EXPECT_LT(worst, 0.065) << name;
      EXPECT_GT(speed, retry_after ? 0.25 : 0.6) << name;
    }
  }
}

Case Bucket(double rate, double burst, int items) {
  return {absl::StrCat("bucket_of_", burst, "_at_", rate), [=](double) { return TokenBucket(rate, burst); },
          items};
}

Case Fixed(int count, int period, int items) {
  return {absl::StrCat("fixed_", count, "_in_", period),
          [=](double phase) { return FixedWindow(count, period, phase * period); }, items};
}

Case Sliding(int count, int period, int items) {
  return {absl::StrCat("sliding_", count, "_in_", period),
          [=](double) { return SlidingWindow(count, period, false); }, items};
}

INSTANTIATE_TEST_SUITE_P(Limiters, OriginPaceTest,
                         testing::Values(Bucket(20, 1, 1000), Bucket(20, 5, 1000), Bucket(20, 20, 1000),
                                         Bucket(20, 60, 2000), Bucket(100, 100, 2000),
                                         Bucket(1000, 1000, 40'000), Sliding(20, 1, 1000), Fixed(20, 1, 1000),
                                         Fixed(1200, 60, 24'000)),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

Case Kind(const std::string& kind) {
  std::string name = kind;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == ','; }, '_');
  return {name, [kind](double seed) { return DrawOrigin(kind, static_cast<uint32_t>(seed)); }, 0};
}

std::vector<Case> Kinds() {
  std::vector<Case> cases;
  for (const std::string& kind : OriginKinds()) cases.push_back(Kind(kind));
  return cases;
}

class DrawnOriginTest : public testing::TestWithParam<Case> {};

// Of each kind, whatever its rate, burst and distance.
TEST_P(DrawnOriginTest, LongListsAreSeldomRefused) {
  const int seeds = Seeds();
  std::vector<double> speeds;
  int above = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    LimitedOrigin origin = GetParam().make(kHeldOut + seed);
    Setting setting;
    setting.items = origin.rate == 0 ? 20'000 : std::clamp(static_cast<int>(60 * origin.rate), 1000, 20'000);
    const Course course = Fetch(origin, setting, kHeldOut + seed);
    above += course.refused_share() >= 0.05;
    EXPECT_LT(course.refused_share(), 0.12) << origin.says << " at " << origin.round_trip << " s";
    speeds.push_back(course.speed());
  }
  EXPECT_LE(above, 1 + 0.1 * seeds);
  std::sort(speeds.begin(), speeds.end());
  EXPECT_GT(speeds[seeds / 2], 0.45);
}

// What a list of two hundred costs to learn: a dozen refusals for the most part, and never many more.
TEST_P(DrawnOriginTest, ShortListsAreRefusedAFewTimes) {
  const int seeds = Seeds();
  int above = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    LimitedOrigin origin = GetParam().make(kHeldOut + seed);
    Setting setting;
    setting.items = 200;
    const Course course = Fetch(origin, setting, kHeldOut + seed);
    above += course.refused > 15;
    EXPECT_LE(course.refused, 40) << origin.says << " at " << origin.round_trip << " s";
    EXPECT_EQ(course.lost, 0);
  }
  EXPECT_LE(above, 1 + 0.3 * seeds);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DrawnOriginTest, testing::ValuesIn(Kinds()),
                         [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

Course FetchWilling(int items, double round_trip) {
  LimitedOrigin origin = RandomRefusals(0, 1);
  origin.round_trip = round_trip;
  Setting setting;
  setting.items = items;
  setting.answers = 1e6;
  return Fetch(origin, setting, 1);
}

TEST(OriginPace, AWillingOriginIsAt128WithinASecond) {
  const Course course = FetchWilling(5'005, 0.1);
  EXPECT_GE(course.in_flight_after_a_second, 128u);
  EXPECT_LT(course.seconds, 3.5);
}

// The beginning costs a near and fast origin some hundredths of a second, once.
TEST(OriginPace, AFastOriginIsAtFullSpeedSoon) { EXPECT_LT(FetchWilling(1'000, 0.0005).seconds, 0.08); }

// An origin that refuses one request in a hundred by chance says nothing about the rate, and is asked for most of what it
// gives, near and far.
TEST(OriginPace, OneRefusalInAHundredDoesNotSlow) {
  for (const double round_trip : {0.001, 0.1}) {
    std::vector<double> slower;
    for (int seed = 1; seed <= 21; ++seed) {
      Course courses[2];
      for (const bool refuses : {false, true}) {
        LimitedOrigin origin = RandomRefusals(refuses ? 0.01 : 0, seed);
        origin.round_trip = round_trip;
        Setting setting;
        setting.items = 20'000;
        courses[refuses] = Fetch(origin, setting, kHeldOut + seed);
      }
      EXPECT_LT(courses[1].refused_share(), 0.02);
      slower.push_back(courses[1].seconds / courses[0].seconds);
    }
    std::sort(slower.begin(), slower.end());
    EXPECT_LT(slower[slower.size() / 2], 1.3) << round_trip;
    EXPECT_LT(slower.back(), 4) << round_trip;
  }
}

TEST(OriginPace, AnOriginThatRefusesAllIsAskedSeldom) {
  OriginPace pace;
  double now = 0;
  int requests = 0;
  while (now < 120) {
    now = std::max(now, pace.next()) + 0.001;
    pace.Sent(now, 100);
    ++requests;
    pace.Refused(now, now + 0.001, /*again=*/true, 0.5);
    pace.Refused(now, now + 0.001, /*again=*/false, 0.5);
  }
  EXPECT_LE(requests, 20);
  EXPECT_GT(pace.next() - now, 8);
}

TEST(OriginPace, ThoseWhoAskSeldomDoNotAskTogether) {
  // When the fifth request may be sent, after four refusals.
  const auto next = [](double random) {
    OriginPace pace;
    double now = 0;
    for (int i = 0; i < 4; ++i) {
      now = std::max(now, pace.next());
      pace.Sent(now, 100);
      pace.Refused(now, now, /*again=*/false, random);
    }
    return pace.next();
  };
  EXPECT_GT(next(0.5), next(0.1) + 0.1);
  EXPECT_GT(next(0.9), next(0.5) + 0.1);
}

// Learned from two refusals, and one acceptance after them.
double Learn(OriginPace& pace) {
  for (int i = 0; i < 2; ++i) {
    pace.Sent(0.001 * i, 100);
    pace.Refused(0.001 * i, 0.002 + 0.001 * i, /*again=*/false, 0.5);
  }
  const double now = pace.next();
  pace.Sent(now, 100);
  pace.Accepted(now, now + 0.001);
  return now + 0.001;
}

TEST(OriginPace, IsForgottenOnceItIsOfNoUse) {
  OriginPace pace;
  double now = Learn(pace);
  EXPECT_GT(pace.rate(), 0);
  EXPECT_FALSE(pace.idle(now + 240));
  for (int i = 0; i < 10; ++i) pace.Sent(now += 60, 100);
  EXPECT_GT(pace.rate(), 0);
  now += 301;
  EXPECT_TRUE(pace.idle(now));
  pace.Sent(now, 100);
  EXPECT_EQ(pace.rate(), 0);
  EXPECT_LE(pace.next(), now);
}

// How long it was out of order says nothing of what it allows.
TEST(OriginPace, AnOriginThatIsBackIsSoonAskedAsItWasBefore) {
  OriginPace pace;
  double now = 0;
  while (now < 60) {
    now = std::max(now, pace.next()) + 0.001;
    pace.Sent(now, 100);
    pace.Refused(now, now, /*again=*/false, 0.5);
  }
  const double back = now;
  for (int i = 0; i < 200; ++i) {
    now = std::max(now, pace.next()) + 0.001;
    pace.Sent(now, 100);
    pace.Accepted(now, now);
  }
  EXPECT_LT(now - back, 25);
}

TEST(OriginPace, OneRequestAloneAsksAfterAnAlarm) {
  OriginPace pace;
  for (int i = 0; i < 2; ++i) {
    pace.Sent(0, 100);
    pace.Refused(0, 0.01, /*again=*/false, 0.5);
  }
  EXPECT_GT(pace.next(), 0.1);
  const double now = pace.next();
  pace.Sent(now, 100);
  EXPECT_GT(pace.next(), now + 0.1);
  pace.Accepted(now, now + 0.01);
  EXPECT_LE(pace.next(), now + 0.01);
}

TEST(OriginPace, WhatWasSentBeforeAnAlarmRaisesNoOther) {
  OriginPace pace;
  for (int i = 0; i < 10; ++i) pace.Sent(0, 100);
  EXPECT_FALSE(pace.Refused(0, 0.010, false, 0.5));
  EXPECT_TRUE(pace.Refused(0, 0.010, false, 0.5));
  const double next = pace.next();
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(pace.Refused(0, 0.011, false, 0.5));
  EXPECT_EQ(pace.next(), next);
}

TEST(OriginPace, NothingIsSentBeforeTheOriginSays) {
  OriginPace pace;
  pace.Sent(0, 100);
  pace.Refused(0, 0, false, 0.5);
  pace.Block(3600);
  EXPECT_EQ(pace.next(), 3600);
}

}  // namespace
}  // namespace imgfleet::fetch
