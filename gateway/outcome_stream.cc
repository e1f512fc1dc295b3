#include "gateway/outcome_stream.h"

#include "absl/cleanup/cleanup.h"
#include "absl/random/random.h"
#include "boost/asio/steady_timer.hpp"
#include "boost/asio/this_coro.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "common/backoff.h"
#include "common/log.h"
#include "common/outcome/codec.h"

namespace imgfleet::gateway {
namespace {

constexpr Backoff kReconnect{absl::Milliseconds(100), absl::Seconds(2)};

Task<void> Pause(absl::Duration how_long) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                  absl::ToChronoNanoseconds(how_long));
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace

void OutcomeStream::Cancel() {
  cancelled_ = true;
  if (current_ != nullptr) current_->Cancel();
}

Task<absl::Status> OutcomeStream::ReadAll(Sink sink) {
  absl::BitGen random;
  for (;;) {
    const absl::Status status = co_await ReadOnce(sink);
    if (cancelled_) co_return absl::CancelledError("the client is gone");
    if (refused_ || !WasLost(status) || waited_ >= patience_) co_return status;
    const absl::Duration wait = kReconnect.Wait(++failures_, absl::Uniform(random, 0.0, 1.0));
    log::Debug("job %s: outcomes broke off (%s); again in %s", job_id_, std::string(status.message()),
               absl::FormatDuration(wait));
    waited_ += wait;
    co_await Pause(wait);
    if (cancelled_) co_return absl::CancelledError("the client is gone");
  }
}

Task<absl::Status> OutcomeStream::ReadOnce(const Sink& sink) {
  v1::ReadEventsRequest request;
  request.set_job_id(job_id_);
  request.set_after_commit_seq(after_commit_seq_);
  request.set_follow(true);
  request.set_encoding(v1::PACKED);
  Stream stream;
  current_ = &stream;
  const absl::Cleanup forget = [this] { current_ = nullptr; };
  stub_.async()->ReadEvents(stream.context(), &request, stream.reactor());
  stream.Start();
  for (;;) {
    const bool more = co_await stream.Read();
    if (!more) break;
    const absl::StatusOr<v1::OutcomeChunk> chunk = outcome::UnpackOutcomes(stream.message().packed());
    if (!chunk.ok()) co_return chunk.status();
    if (absl::Status status = co_await sink(*chunk); !status.ok()) {
      refused_ = true;
      co_return status;
    }
    after_commit_seq_ = stream.message().commit_seq();
    failures_ = 0;
    waited_ = absl::ZeroDuration();
  }
  co_return co_await stream.Finish();
}

}  // namespace imgfleet::gateway
