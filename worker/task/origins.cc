#include "worker/task/origins.h"

#include <algorithm>

namespace imgfleet::task {
namespace {

void Set(absl::Duration duration, google::protobuf::Duration* out) {
  duration = std::min(duration, absl::Hours(24 * 365));
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

absl::Duration Get(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

void ToProto(const fetch::OriginUse& use, v1::OriginUse* out) {
  out->set_origin(use.origin);
  out->set_waiting(use.waiting);
  out->set_in_flight(use.in_flight);
  out->set_wanted(use.wanted);
  out->set_sent(use.sent);
  out->set_accepted(use.accepted);
  out->set_refused(use.refused);
  out->set_permit(use.permit);
  out->set_state(static_cast<v1::OriginUse::State>(use.state));
  out->set_window(use.window);
  out->set_rate(use.rate);
  if (use.blocked_for > absl::ZeroDuration()) Set(use.blocked_for, out->mutable_blocked_for());
  if (use.next_in > absl::ZeroDuration()) Set(use.next_in, out->mutable_next_in());
  out->set_learned(use.learned);
}

fetch::OriginPermit FromProto(const v1::OriginPermit& permit, absl::Time reported) {
  fetch::OriginPermit out;
  out.origin = permit.origin();
  out.number = permit.number();
  out.concurrency = permit.whole() ? fetch::OriginPermit::kWhole : permit.concurrency();
  out.rate = permit.rate();
  out.sharers = permit.sharers();
  out.in_flight_elsewhere = permit.in_flight_elsewhere();
  out.wanted_elsewhere = permit.wanted_elsewhere();
  out.strays_accepted = permit.strays_accepted();
  out.strays_refused = permit.strays_refused();
  out.blocked_for = Get(permit.blocked_for());
  out.until = reported + Get(permit.valid_for());
  out.begins = permit.begins();
  out.learned = permit.learned();
  return out;
}

}  // namespace imgfleet::task
