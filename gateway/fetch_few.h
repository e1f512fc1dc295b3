// Asks the coordinator for a few items at once (FetchNow), over connections that break.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "gateway/few_items.h"
#include "gateway/http.h"
#include "gateway/task.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

// Gets outcomes that are new. Not OK ends the asking with that status.
using FewSink = std::function<Task<absl::Status>(const v1::OutcomeChunk&)>;

// Until every item of `few` has its outcome: OK. What is missing when a connection breaks is asked for again, a few times.
// CANCELLED where the client leaves. Otherwise what the coordinator says. All but `client`'s own state must outlive the call.
Task<absl::Status> FetchFew(v1::Jobs::Stub& jobs, const v1::JobSpec& spec, FewItems& few, ClientGone& client,
                            const FewSink& sink);

}  // namespace imgfleet::gateway
