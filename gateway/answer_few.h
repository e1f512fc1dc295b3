// Answers a few items while the client waits, over whatever of the fleet is away for a moment: workers with room, the only
// worker, the coordinator.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gateway/fetch_few.h"
#include "gateway/few_items.h"
#include "gateway/handlers.h"
#include "gateway/http.h"
#include "gateway/submission.h"
#include "gateway/task.h"

namespace imgfleet::gateway {

// Until every item of `few` had its outcome, of which `sink` gets each once: OK. They are asked for at once (FetchNow); what
// is not taken so is a job, which waits for a worker for as long as `limit` from the beginning, UNAVAILABLE after that. What
// is missing when a coordinator is lost is asked for again (fetching is idempotent), with growing pauses that last as long
// as backend.patience in all; then its status. CANCELLED where the client leaves. Of `submission` spec, priority and owner
// count; its list is overwritten. All must outlive the call.
Task<absl::Status> AnswerFew(const Backend& backend, Submission& submission, FewItems& few,
                             ClientGone& client, const FewSink& sink,
                             absl::Duration limit = absl::InfiniteDuration());

}  // namespace imgfleet::gateway
