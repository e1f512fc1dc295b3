// Several workers at one origin, in simulated time: together they are as polite as one, and not slower. On seeds that nothing
// was chosen with; cluster_study.cc prints more of it.
#include "tests/politeness/cluster_course.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

constexpr uint32_t kSeeds = 9'000'000;

struct Case {
  std::string name;
  std::vector<Presence> workers;
  int coordinators = 1;
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

std::vector<Presence> ComeAndGo() {
  std::vector<Presence> workers;
  for (int i = 0; i < 10; ++i) workers.push_back({2.0 * i, i % 3 == 0 ? 1e9 : 8.0 + 5 * i, i % 2 == 0});
  return workers;
}

class ClusterCourseTest : public testing::TestWithParam<Case> {};

TEST_P(ClusterCourseTest, IsSeldomRefusedAndNotSlow) {
  for (const int rate : {5, 20, 100}) {
    for (const double round_trip : {0.001, 0.1}) {
      for (const bool retry_after : {false, true}) {
        double refused = 0, speed = 0;
        constexpr int kCourses = 5;
        for (int seed = 1; seed <= kCourses; ++seed) {
          fetch::LimitedOrigin origin = fetch::TokenBucket(rate, rate);
          origin.round_trip = round_trip;
          origin.retry_after = [=](double) { return retry_after ? 1.0 : 0.0; };
          ClusterSetting setting;
          setting.items = std::max(1000, 60 * rate);
          setting.workers = GetParam().workers;
          setting.coordinators = GetParam().coordinators;
          const ClusterCourse course = FetchTogether(origin, setting, kSeeds + seed);
          refused += course.refused_share() / kCourses;
          speed += course.speed() / kCourses;
          EXPECT_EQ(course.done, setting.items);
          // Others hear of it within an exchange.
          EXPECT_LE(course.last_second_in_silence, setting.coordinators > 1 ? 1.5 : 0);
        }
        const std::string name =
            absl::StrCat(rate, "/s at ", round_trip, retry_after ? " s, Retry-After" : " s");
        EXPECT_LT(refused, 0.05) << name;
        EXPECT_GT(speed, 0.7) << name;
      }
    }
  }
}

// Of a limit on requests at a time.
TEST_P(ClusterCourseTest, HasNoMoreInFlightThanTheOriginTakes) {
  std::vector<double> refused, speed;
  for (int seed = 1; seed <= 12; ++seed) {
    fetch::LimitedOrigin origin = fetch::DrawOrigin("parallel", kSeeds + seed);
    ClusterSetting setting;
    setting.items = std::clamp(static_cast<int>(60 * origin.rate), 1000, 10'000);
    setting.workers = GetParam().workers;
    setting.coordinators = GetParam().coordinators;
    const ClusterCourse course = FetchTogether(origin, setting, kSeeds + seed);
    refused.push_back(course.refused_share());
    speed.push_back(course.speed());
    EXPECT_EQ(course.done, setting.items);
  }
  std::sort(refused.begin(), refused.end());
  std::sort(speed.begin(), speed.end());
  EXPECT_LT(refused.back(), 0.05);
  EXPECT_GT(speed[speed.size() / 2], 0.4);
}

INSTANTIATE_TEST_SUITE_P(
    Workers, ClusterCourseTest,
    testing::Values(Case{"one", std::vector<Presence>(1)}, Case{"two", std::vector<Presence>(2)},
                    Case{"five", std::vector<Presence>(5)}, Case{"ten", std::vector<Presence>(10)},
                    Case{"come_and_go", ComeAndGo()}, Case{"two_of_two", std::vector<Presence>(2), 2},
                    Case{"six_of_two", std::vector<Presence>(6), 2},
                    Case{"six_of_three", std::vector<Presence>(6), 3},
                    Case{"come_and_go_of_three", ComeAndGo(), 3}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

ClusterCourse FetchWilling(int workers, int items, double round_trip) {
  fetch::LimitedOrigin origin = fetch::RandomRefusals(0, 1);
  origin.round_trip = round_trip;
  ClusterSetting setting;
  setting.items = items;
  setting.answers = 1e6;
  setting.workers = std::vector<Presence>(workers);
  return FetchTogether(origin, setting, kSeeds);
}

// Slow start is the cluster's: ten that begin together have as many in flight as one would, and are done as soon.
TEST(ClusterCourse, TenBeginAsOne) {
  const ClusterCourse one = FetchWilling(1, 5'005, 0.1), ten = FetchWilling(10, 5'005, 0.1);
  EXPECT_GE(one.in_flight_after_a_second, 128u);
  EXPECT_LE(ten.in_flight_after_a_second, one.in_flight_after_a_second + 20);
  EXPECT_GE(ten.in_flight_after_a_second, 80u);  // A turn has just been handed on.
  EXPECT_LT(one.seconds, 3.5);
  EXPECT_LT(ten.seconds, 5);
}

// An open origin is not one worker's alone.
TEST(ClusterCourse, AnOpenOriginIsAskedByAll) {
  const ClusterCourse one = FetchWilling(1, 60'000, 0.1), ten = FetchWilling(10, 60'000, 0.1);
  EXPECT_GT(ten.most_in_flight, 2 * one.most_in_flight);
  EXPECT_LT(ten.seconds, 0.8 * one.seconds);
}

// Exchanges are few, and write what has changed.
TEST(ClusterCourse, CoordinatorsExchangeLittle) {
  fetch::LimitedOrigin origin = fetch::TokenBucket(100, 100);
  ClusterSetting setting;
  setting.items = 6000;
  setting.workers = std::vector<Presence>(6);
  setting.coordinators = 3;
  const ClusterCourse course = FetchTogether(origin, setting, kSeeds);
  EXPECT_EQ(course.done, setting.items);
  EXPECT_LT(course.exchanges / course.seconds, 3 * 8);
  EXPECT_LT(course.rows / course.seconds, 3 * 10);
}

// Without the coordinator, ten workers are ten times one.
TEST(ClusterCourse, AloneTheyAreNotPolite) {
  fetch::LimitedOrigin origin = fetch::TokenBucket(20, 20);
  origin.round_trip = 0.1;
  ClusterSetting setting;
  setting.items = 1200;
  setting.workers = std::vector<Presence>(10);
  setting.coordinated = false;
  EXPECT_GT(FetchTogether(origin, setting, kSeeds).refused_share(), 0.06);
}

}  // namespace
}  // namespace imgfleet
