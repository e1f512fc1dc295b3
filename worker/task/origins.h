// Origins' budgets between the engine, which keeps them, and the lease protocol, which carries them.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "worker/fetch/origin_permit.h"

namespace imgfleet::task {

void ToProto(const fetch::OriginUse& use, v1::OriginUse* out);
// `reported`: when the report that it answers was sent.
fetch::OriginPermit FromProto(const v1::OriginPermit& permit, absl::Time reported);

}  // namespace imgfleet::task
