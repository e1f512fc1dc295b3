#include "gateway/answer_few.h"

#include <cstdint>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/this_coro.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "common/backoff.h"
#include "common/log.h"
#include "gateway/grpc_call.h"
#include "gateway/run_job.h"

namespace imgfleet::gateway {
namespace {

// Before what a lost coordinator owes is asked for again: a channel is back within about a second.
constexpr Backoff kAskAgain{absl::Milliseconds(100), absl::Seconds(1)};

// What a coordinator says that does not take items at once, or not for now.
bool MayDoAsAJob(const absl::Status& status) {
  return WasLost(status) || absl::IsResourceExhausted(status) || absl::IsUnimplemented(status);
}

Task<absl::Status> AsAJob(const Backend& backend, Submission& submission, FewItems& few, ClientGone& client,
                          const FewSink& sink, absl::Duration limit) {
  submission.list = few.AskForMissingAsList();
  OutcomeStream::Sink take = [&few, &sink](const v1::OutcomeChunk& chunk) -> Task<absl::Status> {
    const v1::OutcomeChunk fresh = few.Take(chunk);
    if (fresh.outcomes_size() == 0) co_return absl::OkStatus();
    co_return co_await sink(fresh);
  };
  const absl::Status status = co_await RunJob(backend, submission, client, std::move(take), limit);
  // It was there a moment ago: a coordinator that came back with another store.
  if (absl::IsNotFound(status)) co_return absl::UnavailableError(status.message());
  co_return status;
}

}  // namespace

Task<absl::Status> AnswerFew(const Backend& backend, Submission& submission, FewItems& few,
                             ClientGone& client, const FewSink& sink, absl::Duration limit) {
  absl::BitGen random;
  absl::Duration paused;
  const absl::Time began = backend.clock.Boot();
  for (uint32_t losses = 1;; ++losses) {
    absl::Status status = co_await FetchFew(backend.jobs, submission.spec, few, client, sink);
    if (MayDoAsAJob(status) && !client.gone()) {
      const absl::Duration left = limit - (backend.clock.Boot() - began);
      status = co_await AsAJob(backend, submission, few, client, sink, left);
    }
    if (client.gone()) co_return absl::CancelledError("the client is gone");
    // However it ended: what is still to be said of a job that was lost then concerns nobody.
    if (few.complete()) co_return absl::OkStatus();
    if (absl::IsDeadlineExceeded(status)) {
      co_return absl::UnavailableError(absl::StrCat(
          "no worker was done with it within ", absl::FormatDuration(limit),
          "; start more workers, or make a job of it and come back for its results (POST /api/v1/jobs)"));
    }
    if (!WasLost(status) || paused >= backend.patience) co_return status;
    const absl::Duration pause = kAskAgain.Wait(losses, absl::Uniform(random, 0.0, 1.0));
    log::Debug("a coordinator was lost (%s); asking again in %s", std::string(status.message()),
               absl::FormatDuration(pause));
    paused += pause;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                    absl::ToChronoNanoseconds(pause));
    co_await timer.async_wait(boost::asio::use_awaitable);
    if (client.gone()) co_return absl::CancelledError("the client is gone");
  }
}

}  // namespace imgfleet::gateway
