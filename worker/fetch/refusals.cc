// The part of the dispatcher for origins that ask to slow down, ask to wait, or give no answer.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/fetch/dispatcher.h"

namespace imgfleet::fetch {
namespace {

// So often a fetch may be asked to come later, before that counts as its answer.
constexpr uint32_t kMaxRefusals = 10;

// How long a fetch waits for an origin that gives nothing but failures.
absl::Duration Patience(const Limits& limits) { return limits.attempt_timeout * limits.max_attempts; }

bool AsksForLess(uint32_t status) { return status == 429 || status == 503; }

bool WorthARetry(uint32_t status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

}  // namespace

// Neither 2xx nor a redirect.
void Dispatcher::OnRefusal(Exchange* exchange) {
  const uint32_t status = exchange->head().status;
  if (AsksForLess(status)) {
    const std::optional<absl::Duration> wait = exchange->head().RetryAfter(options_.clock->Wall());
    Origin* const origin = exchange->fetch->origin;
    Refuse(Leave(exchange, Sign::kRefusal), origin, wait);
  } else {
    // Redirects that name no place come here as well.
    Fail(
        Leave(exchange, Sign::kNone), Failure::kHttpStatus,
        absl::StrCat("the origin answered ", status, IsRedirect(status) ? " without saying where to go" : ""),
        WorthARetry(status));
  }
}

// The origin asks to slow down. That is no attempt that failed, as long as it lets others pass.
void Dispatcher::Refuse(FetchPtr fetch, Origin* origin, std::optional<absl::Duration> wait) {
  const uint32_t status = fetch->report.http_status;
  if (wait.value_or(absl::ZeroDuration()) > options_.max_retry_after) {
    PutOff(std::move(fetch), status, *wait);
    return;
  }
  std::string message = absl::StrCat("the origin answered ", status);
  if (origin->failing >= Patience(fetch->limits)) {
    absl::StrAppend(&message, " and nothing else for ",
                    absl::FormatDuration(absl::Trunc(origin->failing, absl::Seconds(1))));
    End(std::move(fetch), Failure::kHttpStatus, message, /*retryable=*/true);
    GiveUpWaiting(origin, Failure::kHttpStatus, message);
    return;
  }
  if (fetch->refusals >= kMaxRefusals) {
    absl::StrAppend(&message, ", ", fetch->refusals, " times");
    End(std::move(fetch), Failure::kHttpStatus, std::move(message), /*retryable=*/true);
    return;
  }
  ++fetch->excused;
  Reset(*fetch);
  // It is the next to go when the origin's pace allows; one that is refused again lets others go first.
  if (fetch->refusals == 1) return Enqueue(std::move(fetch), /*first=*/true);
  const double random = absl::Uniform(random_, 0.0, 1.0);
  delayed_.emplace(*now_ + options_.backoff.Wait(fetch->refusals - 1, random), std::move(fetch));
}

// Ends the fetch for now: the origin wants silence for longer than is waited for here.
void Dispatcher::PutOff(FetchPtr fetch, uint32_t status, absl::Duration wait) {
  fetch->report.http_status = status;
  if (wait <= options_.max_put_off) fetch->report.put_off = wait;
  End(std::move(fetch), Failure::kHttpStatus,
      absl::StrCat("the origin answered ", status, " and asked to wait ",
                   absl::FormatDuration(absl::Ceil(wait, absl::Seconds(1)))),
      /*retryable=*/true);
}

// The origin gives nothing but failures. Fetches that would wait for longer than all their attempts may take end
// without their turn.
void Dispatcher::GiveUpWaiting(Origin* origin, Failure failure, const std::string& message) {
  std::deque<FetchPtr> queue;
  queue.swap(origin->queue);
  for (FetchPtr& fetch : queue) {
    if (fetch->in_attempt || origin->failing < Patience(fetch->limits)) {
      origin->queue.push_back(std::move(fetch));
      continue;
    }
    if (failure == Failure::kHttpStatus) fetch->report.http_status = origin->seat.budget().refused_with();
    End(std::move(fetch), failure, absl::StrCat(message, "; not asked for this item"), /*retryable=*/true);
  }
}

// No answer came, and that says something of the origin.
void Dispatcher::FailSilently(Exchange* exchange, Failure failure, std::string message) {
  Origin* const origin = exchange->fetch->origin;
  Fail(Leave(exchange, Sign::kSilence), failure, message, /*retryable=*/true);
  if (origin->failing > absl::ZeroDuration()) GiveUpWaiting(origin, failure, message);
}

}  // namespace imgfleet::fetch
