// When a schedule is due: at an interval, or by a cron expression in UTC.
//
// Pure: time comes in as an argument.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "coordinator/core/types.h"

namespace imgfleet::core {

// The five fields of crontab(5): minute, hour, day of the month, month, day of the week. Each is `*`, a number, a range
// `a-b`, either of the latter two with a step (`*/15`, `8-18/2`), or several of those with commas between. Months and days
// of the week have English names of three letters, too; Sunday is 0 and 7. Where both kinds of day are restricted (neither
// field begins with `*`), one of them is enough, as it is there. @hourly, @daily, @weekly, @monthly and @yearly stand for
// what crontab(5) says.
class Cron {
 public:
  // INVALID_ARGUMENT says what is wrong; what never comes (February 30th) is wrong, too.
  static absl::StatusOr<Cron> Parse(absl::string_view text);

  // The first such minute after `time`.
  absl::Time Next(absl::Time time) const;

 private:
  bool On(absl::CivilDay day) const;

  // Bit n: n matches.
  uint64_t minutes_ = 0, hours_ = 0, days_ = 0, months_ = 0, weekdays_ = 0;
  bool either_day_ = false;
};

// Whether it says when in exactly one way, and that way can be read.
absl::Status CheckSchedule(const Schedule& schedule);

// The first time after `now` at which the schedule is due; an interval is counted from its next_time. CheckSchedule must
// be OK with it.
absl::Time NextTime(const Schedule& schedule, absl::Time now);

// The id of the job that is made at `wall` because the schedule was due at `due`: always the same for these, so that
// nobody makes it twice. A UUIDv7.
std::string FiringId(const Schedule& schedule, absl::Time due, absl::Time wall);

}  // namespace imgfleet::core
