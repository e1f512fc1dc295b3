#include "coordinator/service/job_proto.h"

#include <openssl/sha.h>

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "common/outcome/summary.h"
#include "common/status.h"
#include "coordinator/core/job.h"
#include "coordinator/service/list_source.pb.h"

namespace imgfleet::service {
namespace {

constexpr absl::Duration kDefaultAttemptTimeout = absl::Seconds(30);
constexpr absl::Duration kMaxAttemptTimeout = absl::Minutes(10);
constexpr uint32_t kDefaultAttempts = 3;
constexpr uint32_t kMaxAttempts = 10;
constexpr uint64_t kDefaultBodyBytes = 64 << 20;
constexpr uint64_t kMaxBodyBytes = 1 << 30;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxKeyBytes = 255;

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void ToProto(absl::Time time, google::protobuf::Timestamp* out) {
  const int64_t micros = absl::ToUnixMicros(time);
  out->set_seconds(micros / 1'000'000);
  out->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
}

absl::Status Bad(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

}  // namespace

absl::StatusOr<v1::JobSpec> CompleteSpec(const v1::JobSpec& given) {
  v1::JobSpec spec = given;
  if (spec.display_name().size() > kMaxNameBytes) {
    return Bad("spec.display_name", absl::StrCat("at most ", kMaxNameBytes, " bytes"));
  }
  if (!spec.has_measure()) return Bad("spec.kind", "say what is to be done, e.g. \"measure\": {}");
  switch (spec.measure().depth()) {
    case v1::DEPTH_UNSPECIFIED:
    case v1::HEADER:
      spec.mutable_measure()->set_depth(v1::HEADER);
      break;
    case v1::FULL:
    case v1::PIXELS:
      break;
    default:
      return Bad("spec.measure.depth", absl::StrCat("depth ", spec.measure().depth(), " is not known here"));
  }
  v1::FetchLimits& limits = *spec.mutable_limits();
  if (limits.has_attempt_timeout()) {
    const absl::Duration timeout = FromProto(limits.attempt_timeout());
    if (timeout < absl::ZeroDuration() || timeout > kMaxAttemptTimeout) {
      return Bad("spec.limits.attempt_timeout",
                 absl::StrCat(absl::FormatDuration(timeout), " is not between 0 and ",
                              absl::FormatDuration(kMaxAttemptTimeout)));
    }
  }
  if (FromProto(limits.attempt_timeout()) == absl::ZeroDuration()) {
    limits.mutable_attempt_timeout()->set_seconds(absl::ToInt64Seconds(kDefaultAttemptTimeout));
  }
  if (limits.max_attempts() > kMaxAttempts) {
    return Bad("spec.limits.max_attempts",
               absl::StrCat(limits.max_attempts(), " is more than ", kMaxAttempts));
  }
  if (limits.max_attempts() == 0) limits.set_max_attempts(kDefaultAttempts);
  if (limits.max_body_bytes() > kMaxBodyBytes) {
    return Bad("spec.limits.max_body_bytes",
               absl::StrCat(limits.max_body_bytes(), " is more than ", kMaxBodyBytes));
  }
  if (limits.max_body_bytes() == 0) limits.set_max_body_bytes(kDefaultBodyBytes);
  return spec;
}

v1::Job ToProto(const core::Job& job) {
  v1::Job out;
  out.set_id(job.id);
  out.mutable_spec()->ParseFromString(job.spec);
  out.set_state(static_cast<v1::Job::State>(job.state));
  out.set_failure(job.failure);
  out.set_items(core::OwnItems(job));
  out.set_succeeded(job.counts.succeeded);
  out.set_failed(job.counts.failed);
  std::vector<std::pair<int32_t, uint64_t>> reasons(job.counts.reasons.begin(), job.counts.reasons.end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [reason, count] : reasons) {
    v1::ReasonCount* added = out.add_reasons();
    added->set_reason(static_cast<v1::ItemError::Reason>(reason));
    added->set_count(count);
  }
  out.set_last_commit_seq(job.last_commit_seq);
  ToProto(job.create_time, out.mutable_create_time());
  if (job.end_time != absl::InfiniteFuture()) ToProto(job.end_time, out.mutable_end_time());
  out.set_fetched_bytes(job.counts.fetched_bytes);
  out.set_summary(outcome::Summary(out));
  out.set_priority(job.priority);
  out.set_paused(job.paused);
  out.set_owner(job.owner);
  out.set_parent_id(job.parent);
  out.set_schedule_id(job.schedule);
  return out;
}

v1::Schedule ToProto(const core::Schedule& schedule) {
  v1::Schedule out;
  out.set_id(schedule.id);
  out.set_owner(schedule.owner);
  out.set_display_name(schedule.display_name);
  out.mutable_spec()->ParseFromString(schedule.spec);
  ListSource source;
  if (source.ParseFromString(schedule.source)) *out.mutable_file() = source.file();
  out.set_priority(schedule.priority);
  if (schedule.cron.empty()) {
    absl::Duration rest;
    out.mutable_every()->set_seconds(absl::IDivDuration(schedule.every, absl::Seconds(1), &rest));
    out.mutable_every()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  } else {
    out.set_cron(schedule.cron);
  }
  ToProto(schedule.next_time, out.mutable_next_time());
  out.set_last_job_id(schedule.last_job);
  out.set_paused(schedule.paused);
  ToProto(schedule.create_time, out.mutable_create_time());
  return out;
}

absl::StatusOr<core::Schedule> FromProto(const v1::Schedule& given) {
  core::Schedule schedule;
  ASSIGN_OR_RETURN(const v1::JobSpec spec, CompleteSpec(given.spec()));
  if (given.display_name().size() > kMaxNameBytes) {
    return Bad("schedule.display_name", absl::StrCat("at most ", kMaxNameBytes, " bytes"));
  }
  if (given.owner().size() > kMaxNameBytes) return Bad("schedule.owner", "too long");
  if (given.file().path().empty()) return Bad("schedule.file.path", "name a list below a list folder");
  schedule.owner = given.owner();
  schedule.display_name = given.display_name();
  schedule.spec = spec.SerializeAsString();
  ListSource source;
  *source.mutable_file() = given.file();
  schedule.source = source.SerializeAsString();
  schedule.priority = given.priority();
  schedule.every = FromProto(given.every());
  schedule.cron = given.cron();
  return schedule;
}

absl::StatusOr<core::NewJob> NewJobOf(absl::string_view owner, int32_t priority,
                                      absl::string_view idempotency_key, absl::string_view request) {
  RETURN_IF_ERROR(core::CheckPriority(priority));
  if (owner.size() > kMaxNameBytes) return Bad("owner", absl::StrCat("at most ", kMaxNameBytes, " bytes"));
  if (idempotency_key.size() > kMaxKeyBytes) {
    return Bad("idempotency_key", absl::StrCat("at most ", kMaxKeyBytes, " bytes"));
  }
  for (const absl::string_view text : {owner, idempotency_key}) {
    if (text.find('\0') != absl::string_view::npos) return Bad("owner, idempotency_key", "no zero bytes");
  }
  core::NewJob job;
  job.owner = std::string(owner);
  job.priority = priority;
  if (idempotency_key.empty()) return job;
  job.idempotency_key = std::string(idempotency_key);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(request.data()), request.size(), digest);
  job.request_hash =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof digest));
  return job;
}

absl::Status CheckJobId(absl::string_view field, absl::string_view id) {
  if (!IsUuid(id))
    return Bad(field, absl::StrCat("\"", id, "\" is no job id; it is a UUID, as CreateJob returned it"));
  return absl::OkStatus();
}

}  // namespace imgfleet::service
