#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/outcome/json.h"
#include "common/outcome/reasons.h"

namespace imgfleet::outcome {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Rfc3339(const google::protobuf::Timestamp& time) {
  return absl::StrCat("\"", absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6S", ToTime(time), absl::UTCTimeZone()),
                      "Z\"");
}

absl::string_view Kind(const v1::JobSpec& spec) {
  switch (spec.kind_case()) {
    case v1::JobSpec::kMeasure:
      return "measure";
    case v1::JobSpec::KIND_NOT_SET:
      break;
  }
  return "measure";
}

void AppendReasons(const v1::Job& job, std::string& out) {
  out += ",\"reasons\":{";
  bool first = true;
  for (const v1::ReasonCount& reason : job.reasons()) {
    absl::StrAppend(&out, first ? "" : ",", "\"", ReasonName(reason.reason()), "\":", reason.count());
    first = false;
  }
  out += '}';
}

// Rate and ETA: derived here so that every surface shows the same.
void AppendPace(const v1::Job& job, uint64_t pending, absl::Time now, std::string& out) {
  const absl::Time until = job.has_end_time() ? ToTime(job.end_time()) : now;
  const double seconds = absl::ToDoubleSeconds(until - ToTime(job.create_time()));
  const double rate = seconds > 0 ? static_cast<double>(job.succeeded() + job.failed()) / seconds : 0;
  absl::StrAppendFormat(&out, ",\"items_per_second\":%.1f", rate);
  if (job.state() == v1::Job::RUNNING && rate > 0) {
    absl::StrAppendFormat(&out, ",\"eta_seconds\":%.1f", static_cast<double>(pending) / rate);
  } else {
    out += ",\"eta_seconds\":null";
  }
}

}  // namespace

void AppendJobJson(const v1::Job& job, absl::Time now, std::string& out) {
  const uint64_t pending = job.items() - std::min(job.items(), job.succeeded() + job.failed());
  out += "{\"id\":";
  AppendJsonString(job.id(), out);
  absl::StrAppend(&out, ",\"state\":\"", v1::Job::State_Name(job.state()).c_str(), "\",\"kind\":\"",
                  Kind(job.spec()), "\",\"display_name\":");
  AppendJsonString(job.spec().display_name(), out);
  absl::StrAppend(&out, ",\"items\":", job.items(), ",\"succeeded\":", job.succeeded(),
                  ",\"failed\":", job.failed(), ",\"pending\":", pending);
  AppendReasons(job, out);
  absl::StrAppend(&out, ",\"fetched_bytes\":", job.fetched_bytes());
  AppendPace(job, pending, now, out);
  out += ",\"summary\":";
  AppendJsonString(job.summary(), out);
  if (job.state() == v1::Job::FAILED) {
    out += ",\"failure\":";
    AppendJsonString(job.failure(), out);
  }
  absl::StrAppend(&out, ",\"priority\":", job.priority(), ",\"paused\":", job.paused() ? "true" : "false");
  if (!job.parent_id().empty()) {
    out += ",\"parent_id\":";
    AppendJsonString(job.parent_id(), out);
  }
  if (!job.schedule_id().empty()) {
    out += ",\"schedule_id\":";
    AppendJsonString(job.schedule_id(), out);
  }
  absl::StrAppend(&out, ",\"create_time\":", Rfc3339(job.create_time()),
                  ",\"end_time\":", job.has_end_time() ? Rfc3339(job.end_time()) : "null",
                  ",\"last_commit_seq\":", job.last_commit_seq(), "}");
}

void AppendScheduleJson(const v1::Schedule& schedule, std::string& out) {
  out += "{\"id\":";
  AppendJsonString(schedule.id(), out);
  absl::StrAppend(&out, ",\"kind\":\"", Kind(schedule.spec()), "\",\"display_name\":");
  AppendJsonString(schedule.display_name(), out);
  out += ",\"filepath\":";
  AppendJsonString(schedule.file().path(), out);
  if (schedule.when_case() == v1::Schedule::kCron) {
    out += ",\"cron\":";
    AppendJsonString(schedule.cron(), out);
  } else {
    const double seconds = static_cast<double>(schedule.every().seconds()) + schedule.every().nanos() * 1e-9;
    absl::StrAppend(&out, ",\"every_seconds\":", seconds);
  }
  absl::StrAppend(&out, ",\"priority\":", schedule.priority(),
                  ",\"paused\":", schedule.paused() ? "true" : "false",
                  ",\"next_time\":", Rfc3339(schedule.next_time()), ",\"last_job_id\":");
  if (schedule.last_job_id().empty()) {
    out += "null";
  } else {
    AppendJsonString(schedule.last_job_id(), out);
  }
  absl::StrAppend(&out, ",\"create_time\":", Rfc3339(schedule.create_time()), "}");
}

}  // namespace imgfleet::outcome
