#include "coordinator/core/schedule.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "absl/strings/str_cat.h"

namespace imgfleet::core {
namespace {

absl::Time At(absl::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M", text, &time, &error)) << error;
  return time;
}

std::string Next(absl::string_view cron, absl::string_view after) {
  const auto parsed = Cron::Parse(cron);
  if (!parsed.ok()) return parsed.status().ToString();
  return absl::FormatTime("%Y-%m-%d %H:%M", parsed->Next(At(after)), absl::UTCTimeZone());
}

TEST(Cron, NextIsWhatCrontabSays) {
  struct Case {
    const char *cron, *after, *next;
  };
  const Case cases[] = {
      {"* * * * *", "2024-02-28 23:59", "2024-02-29 00:00"},
      {"30 4 * * *", "2023-05-01 04:30", "2023-05-02 04:30"},
      {"*/15 * * * *", "2023-05-01 04:46", "2023-05-01 05:00"},
      {"5-20/7 8 * * *", "2023-05-01 08:13", "2023-05-01 08:19"},
      {"0 0 29 2 *", "2024-03-01 00:00", "2028-02-29 00:00"},
      {"0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"},
      {"0 12 * * mon-fri", "2023-05-05 12:00", "2023-05-08 12:00"},
      {"0 0 * * 7", "2023-05-01 00:00", "2023-05-07 00:00"},
      {"0 0 * * 0,SAT", "2023-05-01 00:00", "2023-05-06 00:00"},
      {"0 0 13 * fri", "2023-05-01 00:00", "2023-05-05 00:00"},
      {"0 0 13 * fri", "2023-05-12 00:00", "2023-05-13 00:00"},
      {"0 0 */2 * mon", "2023-05-01 00:00", "2023-05-15 00:00"},
      {"1,2,50 3 1 JAN,7 *", "2023-01-01 03:02", "2023-01-01 03:50"},
      {"1,2,50 3 1 JAN,7 *", "2023-01-01 03:50", "2023-07-01 03:01"},
      {"@hourly", "2023-05-01 04:46", "2023-05-01 05:00"},
      {"@monthly", "2023-05-01 00:00", "2023-06-01 00:00"},
      {"  0\t0 1 1 *  ", "2023-05-01 00:00", "2024-01-01 00:00"},
  };
  for (const Case& c : cases) EXPECT_EQ(Next(c.cron, c.after), c.next) << c.cron << " after " << c.after;
}

TEST(Cron, WhatIsWrongIsRefused) {
  for (const char* wrong : {"",
                            "* * * *",
                            "* * * * * *",
                            "60 * * * *",
                            "* 24 * * *",
                            "* * 0 * *",
                            "* * 32 * *",
                            "* * * 13 *",
                            "* * * * 8",
                            "5-4 * * * *",
                            "*/0 * * * *",
                            "5/2 * * * *",
                            "1-2-3 * * * *",
                            "1/2/3 * * * *",
                            ", * * * *",
                            "1, * * * *",
                            "-1 * * * *",
                            "x * * * *",
                            "mon * * * *",
                            "* * * mon *",
                            "0 0 30 2 *",
                            "0 0 31 4,6,9,11 *",
                            "@reboot",
                            "999999999999 * * * *",
                            "1- * * * *",
                            "*-2 * * * *",
                            "*/ * * * *"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Cron::Parse(wrong).status())) << wrong;
  }
}

// A field as text and as the numbers it stands for.
struct Drawn {
  std::string text;
  std::set<int> numbers;
};

Drawn Draw(std::mt19937& random, int first, int last) {
  const auto pick = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  Drawn drawn;
  for (int parts = pick(1, 3); parts > 0; --parts) {
    int from = pick(first, last), to = pick(from, last), step = pick(1, last - first);
    std::string text;
    switch (pick(0, 3)) {
      case 0:
        text = absl::StrCat(from);
        to = from;
        step = 1;
        break;
      case 1:
        text = absl::StrCat(from, "-", to);
        step = 1;
        break;
      case 2:
        text = absl::StrCat(from, "-", to, "/", step);
        break;
      default:
        from = first, to = last;
        text = absl::StrCat("*/", step);
    }
    for (int n = from; n <= to; n += step) drawn.numbers.insert(n);
    absl::StrAppend(&drawn.text, drawn.text.empty() ? "" : ",", text);
  }
  return drawn;
}

// Against a search minute by minute, for times that come within days.
TEST(Cron, NextIsTheFirstMinuteThatMatches) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    const Drawn minute = Draw(random, 0, 59), hour = Draw(random, 0, 23), weekday = Draw(random, 0, 6);
    const std::string text = absl::StrCat(minute.text, " ", hour.text, " * * ", weekday.text);
    const auto cron = Cron::Parse(text);
    ASSERT_TRUE(cron.ok()) << text << ": " << cron.status();
    const absl::Time after = At("2023-01-01 00:00") +
                             absl::Seconds(std::uniform_int_distribution<int>(0, 3 * 366 * 86400)(random));
    const absl::Time next = cron->Next(after);
    EXPECT_GT(next, after);
    absl::CivilMinute at = absl::ToCivilMinute(after, absl::UTCTimeZone());
    do {
      ++at;
    } while (minute.numbers.count(at.minute()) == 0 || hour.numbers.count(at.hour()) == 0 ||
             weekday.numbers.count((static_cast<int>(absl::GetWeekday(absl::CivilDay(at))) + 1) % 7) == 0);
    EXPECT_EQ(next, absl::FromCivil(at, absl::UTCTimeZone())) << text << " seed " << seed;
  }
}

Schedule Every(absl::Duration every) {
  Schedule schedule;
  schedule.id = "s";
  schedule.every = every;
  schedule.create_time = schedule.next_time = At("2023-05-01 00:00");
  return schedule;
}

TEST(Schedule, SaysWhenInOneWay) {
  EXPECT_TRUE(CheckSchedule(Every(absl::Seconds(1))).ok());
  EXPECT_FALSE(CheckSchedule(Every(absl::ZeroDuration())).ok()) << "never";
  EXPECT_FALSE(CheckSchedule(Every(absl::Milliseconds(1))).ok());
  EXPECT_FALSE(CheckSchedule(Every(-absl::Hours(1))).ok());
  EXPECT_FALSE(CheckSchedule(Every(absl::InfiniteDuration())).ok());
  Schedule both = Every(absl::Hours(1));
  both.cron = "* * * * *";
  EXPECT_FALSE(CheckSchedule(both).ok());
  both.every = absl::ZeroDuration();
  EXPECT_TRUE(CheckSchedule(both).ok());
  both.cron = "no";
  EXPECT_FALSE(CheckSchedule(both).ok());
}

// However late it is looked at: the next time lies ahead, on the grid, and nothing of the grid lies between.
TEST(Schedule, AnIntervalStaysOnItsGrid) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    Schedule schedule = Every(absl::Seconds(1 + random() % 100'000));
    const absl::Time now = schedule.next_time + absl::Microseconds(random() % 1'000'000'000'000);
    const absl::Time next = NextTime(schedule, now);
    EXPECT_GT(next, now);
    EXPECT_LE(next, now + schedule.every);
    absl::Duration rest;
    absl::IDivDuration(next - schedule.create_time, schedule.every, &rest);
    EXPECT_EQ(rest, absl::ZeroDuration());
    schedule.next_time = next;
    EXPECT_EQ(NextTime(schedule, now), next) << "what lies ahead stays";
  }
}

TEST(Schedule, AFiringHasOneId) {
  const Schedule schedule = Every(absl::Hours(1));
  const absl::Time due = At("2023-05-01 01:00");
  const std::string id = FiringId(schedule, due, due);
  EXPECT_EQ(id, FiringId(schedule, due, due));
  EXPECT_NE(id, FiringId(schedule, due + absl::Hours(1), due));
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '7');
  EXPECT_EQ(id.substr(0, 13), "0187d4d2-d680") << id;
}

}  // namespace
}  // namespace imgfleet::core
