#include "gateway/fetch_few.h"

#include "absl/cleanup/cleanup.h"
#include "absl/random/random.h"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/this_coro.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "common/backoff.h"
#include "common/outcome/codec.h"
#include "gateway/grpc_call.h"

namespace imgfleet::gateway {
namespace {

// A coordinator that is full for a moment, or a connection that comes back. Beyond that a job is better.
constexpr int kTries = 3;
constexpr Backoff kRetry{absl::Milliseconds(50), absl::Milliseconds(400)};

Task<absl::Status> FetchOnce(v1::Jobs::Stub& jobs, const v1::JobSpec& spec, FewItems& few, ClientGone& client,
                             const FewSink& sink) {
  v1::FetchNowRequest request;
  *request.mutable_spec() = spec;
  *request.mutable_items() = few.AskForMissing();
  request.set_encoding(v1::PACKED);
  ReadStream<v1::Outcomes> stream;
  client.Set([&stream] { stream.Cancel(); });
  const absl::Cleanup forget = [&client] { client.Set(nullptr); };
  jobs.async()->FetchNow(stream.context(), &request, stream.reactor());
  stream.Start();
  for (;;) {
    const bool more = co_await stream.Read();
    if (!more) break;
    const absl::StatusOr<v1::OutcomeChunk> chunk = outcome::UnpackOutcomes(stream.message().packed());
    if (!chunk.ok()) co_return chunk.status();
    const v1::OutcomeChunk fresh = few.Take(*chunk);
    if (fresh.outcomes_size() == 0) continue;
    if (absl::Status status = co_await sink(fresh); !status.ok()) co_return status;
    // An outcome of each is all that was wanted, however the stream ends.
    if (few.complete()) co_return absl::OkStatus();
  }
  const absl::Status status = co_await stream.Finish();
  if (client.gone()) co_return absl::CancelledError("the client is gone");
  if (status.ok()) {
    co_return absl::InternalError("the coordinator ended an answer with outcomes missing");
  }
  co_return status;
}

}  // namespace

Task<absl::Status> FetchFew(v1::Jobs::Stub& jobs, const v1::JobSpec& spec, FewItems& few, ClientGone& client,
                            const FewSink& sink) {
  absl::BitGen random;
  for (int tried = 1;; ++tried) {
    const absl::Status status = co_await FetchOnce(jobs, spec, few, client, sink);
    if (!WasLost(status) || client.gone() || tried == kTries) co_return status;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                    absl::ToChronoNanoseconds(kRetry.Wait(static_cast<uint32_t>(tried),
                                                                          absl::Uniform(random, 0.0, 1.0))));
    co_await timer.async_wait(boost::asio::use_awaitable);
    if (client.gone()) co_return absl::CancelledError("the client is gone");
  }
}

}  // namespace imgfleet::gateway
