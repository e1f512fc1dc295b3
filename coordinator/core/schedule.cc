#include "coordinator/core/schedule.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace imgfleet::core {
namespace {

// The longest wait between two days of one kind: February 29th over a year like 2100, which has none.
constexpr int kMaxDays = 8 * 366 + 1;
constexpr absl::Duration kShortest = absl::Seconds(1);
constexpr absl::Duration kLongest = absl::Hours(24 * 366);

struct Field {
  const char* name;
  int first, last;
  const char* names;  // Three letters each, the first for `first`.
};

constexpr Field kMinute{"minute", 0, 59, ""};
constexpr Field kHour{"hour", 0, 23, ""};
constexpr Field kDay{"day of the month", 1, 31, ""};
constexpr Field kMonth{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"};
constexpr Field kWeekday{"day of the week", 0, 7, "sunmontuewedthufrisat"};

absl::Status Wrong(const Field& field, absl::string_view part) {
  return absl::InvalidArgumentError(
      absl::StrCat("cron: \"", part, "\" is no ", field.name, ": from ", field.first, " to ", field.last));
}

absl::StatusOr<int> ParseNumber(const Field& field, absl::string_view text) {
  int number = 0;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (digits && text.size() <= 2 && absl::SimpleAtoi(text, &number) && number >= field.first &&
      number <= field.last) {
    return number;
  }
  if (text.size() == 3) {
    const std::string name = absl::AsciiStrToLower(text);
    const absl::string_view names(field.names);
    for (size_t at = 0; at < names.size(); at += 3) {
      if (names.substr(at, 3) == name) return field.first + static_cast<int>(at / 3);
    }
  }
  return Wrong(field, text);
}

// One of the parts between commas.
absl::StatusOr<uint64_t> ParsePart(const Field& field, absl::string_view part) {
  const std::vector<absl::string_view> by_step = absl::StrSplit(part, '/');
  const absl::string_view range = by_step[0];
  int from = field.first, to = field.last, step = 1;
  if (range != "*") {
    const std::vector<absl::string_view> ends = absl::StrSplit(range, '-');
    if (ends.size() > 2) return Wrong(field, part);
    ASSIGN_OR_RETURN(from, ParseNumber(field, ends[0]));
    to = from;
    if (ends.size() == 2) {
      ASSIGN_OR_RETURN(to, ParseNumber(field, ends[1]));
    } else if (by_step.size() == 2) {
      return Wrong(field, part);
    }
    if (to < from) return Wrong(field, part);
  }
  if (by_step.size() > 2) return Wrong(field, part);
  if (by_step.size() == 2 && (!absl::SimpleAtoi(by_step[1], &step) || step < 1 || step > field.last)) {
    return Wrong(field, part);
  }
  uint64_t bits = 0;
  for (int n = from; n <= to; n += step) bits |= uint64_t{1} << n;
  return bits;
}

absl::StatusOr<uint64_t> ParseField(const Field& field, absl::string_view text) {
  uint64_t bits = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    ASSIGN_OR_RETURN(const uint64_t more, ParsePart(field, part));
    bits |= more;
  }
  return bits;
}

absl::string_view Spelled(absl::string_view text) {
  if (text == "@hourly") return "0 * * * *";
  if (text == "@daily" || text == "@midnight") return "0 0 * * *";
  if (text == "@weekly") return "0 0 * * 0";
  if (text == "@monthly") return "0 0 1 * *";
  if (text == "@yearly" || text == "@annually") return "0 0 1 1 *";
  return text;
}

bool Has(uint64_t bits, int n) { return ((bits >> n) & 1) != 0; }

}  // namespace

absl::StatusOr<Cron> Cron::Parse(absl::string_view text) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(Spelled(absl::StripAsciiWhitespace(text)), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5) {
    return absl::InvalidArgumentError(absl::StrCat("cron: \"", text, "\" has ", fields.size(),
                                                   " fields; write five: minute, hour, day of the month, "
                                                   "month, day of the week, as in \"30 4 * * mon\""));
  }
  Cron cron;
  ASSIGN_OR_RETURN(cron.minutes_, ParseField(kMinute, fields[0]));
  ASSIGN_OR_RETURN(cron.hours_, ParseField(kHour, fields[1]));
  ASSIGN_OR_RETURN(cron.days_, ParseField(kDay, fields[2]));
  ASSIGN_OR_RETURN(cron.months_, ParseField(kMonth, fields[3]));
  ASSIGN_OR_RETURN(cron.weekdays_, ParseField(kWeekday, fields[4]));
  if (Has(cron.weekdays_, 7)) cron.weekdays_ |= 1;
  cron.either_day_ = !absl::StartsWith(fields[2], "*") && !absl::StartsWith(fields[4], "*");
  if (cron.Next(absl::UnixEpoch()) == absl::InfiniteFuture()) {
    return absl::InvalidArgumentError(absl::StrCat("cron: \"", text, "\" names a day that never comes"));
  }
  return cron;
}

bool Cron::On(absl::CivilDay day) const {
  if (!Has(months_, day.month())) return false;
  const bool of_month = Has(days_, day.day());
  // absl counts from Monday.
  const bool of_week = Has(weekdays_, (static_cast<int>(absl::GetWeekday(day)) + 1) % 7);
  return either_day_ ? of_month || of_week : of_month && of_week;
}

absl::Time Cron::Next(absl::Time time) const {
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::CivilMinute from = absl::ToCivilMinute(time, utc) + 1;
  absl::CivilDay day(from);
  for (int n = 0; n < kMaxDays; ++n, ++day) {
    if (!On(day)) continue;
    absl::CivilMinute minute = n == 0 ? from : absl::CivilMinute(day);
    for (; absl::CivilDay(minute) == day; ++minute) {
      if (Has(hours_, minute.hour()) && Has(minutes_, minute.minute())) return absl::FromCivil(minute, utc);
    }
  }
  return absl::InfiniteFuture();
}

absl::Status CheckSchedule(const Schedule& schedule) {
  const bool interval = schedule.every != absl::ZeroDuration();
  if (interval == !schedule.cron.empty()) {
    return absl::InvalidArgumentError("say when: either an interval or a cron expression");
  }
  if (!interval) return Cron::Parse(schedule.cron).status();
  if (schedule.every >= kShortest && schedule.every <= kLongest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("an interval is to be from 1 second to 366 days, not ",
                                                 absl::FormatDuration(schedule.every)));
}

absl::Time NextTime(const Schedule& schedule, absl::Time now) {
  if (!schedule.cron.empty()) {
    const absl::StatusOr<Cron> cron = Cron::Parse(schedule.cron);
    return cron.ok() ? cron->Next(now) : absl::InfiniteFuture();
  }
  if (schedule.next_time > now) return schedule.next_time;
  absl::Duration rest;
  const int64_t times = absl::IDivDuration(now - schedule.next_time, schedule.every, &rest);
  return schedule.next_time + (times + 1) * schedule.every;
}

std::string FiringId(const Schedule& schedule, absl::Time due, absl::Time wall) {
  // FNV-1a, twice as wide as it comes.
  uint64_t a = 0xcbf29ce484222325u, b = 0x84222325cbf29ce4u;
  for (const char byte : absl::StrCat(schedule.id, "@", absl::ToUnixMicros(due))) {
    a = (a ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
    b = (b ^ static_cast<unsigned char>(byte)) * 0x100000001b3u + 0x9e3779b97f4a7c15u;
  }
  const uint64_t millis = static_cast<uint64_t>(absl::ToUnixMillis(wall)) & 0xFFFF'FFFF'FFFFu;
  const uint64_t low = 0x8000'0000'0000'0000u | (b >> 2);
  return absl::StrFormat("%08x-%04x-7%03x-%04x-%012x", millis >> 16, millis & 0xFFFF, a >> 52, low >> 48,
                         low & 0xFFFF'FFFF'FFFFu);
}

}  // namespace imgfleet::core
