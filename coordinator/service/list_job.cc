#include "coordinator/service/list_job.h"

#include <future>
#include <utility>

#include "absl/random/random.h"
#include "common/backoff.h"
#include "common/status.h"

namespace imgfleet::service {
namespace {

// Until a shard is offered again to a store that fails.
constexpr Backoff kStoreRetry{absl::Milliseconds(200), absl::Seconds(5)};

}  // namespace

ListJob::ListJob(store::Ledger& ledger, Stopping& stopping, lists::ListParser::Options options,
                 std::string spool)
    : ledger_(ledger), stopping_(stopping), parser_(std::move(options)), builder_(std::move(spool)) {}

absl::Status ListJob::Feed(absl::string_view bytes) {
  return parser_.Feed(bytes, [this](const lists::Row& row) { return AddRow(row); });
}

absl::Status ListJob::Finish() {
  RETURN_IF_ERROR(parser_.Finish([this](const lists::Row& row) { return AddRow(row); }));
  return Take(builder_.Finish());
}

absl::Status ListJob::AddRow(const lists::Row& row) {
  ASSIGN_OR_RETURN(std::optional<core::NewShard> shard, builder_.Add(row));
  return Take(std::move(shard));
}

absl::Status ListJob::Attach(std::string job_id, uint64_t skip_items) {
  job_id_ = std::move(job_id);
  skip_items_ = skip_items;
  for (core::NewShard& shard : std::exchange(kept_, {})) RETURN_IF_ERROR(Take(std::move(shard)));
  return absl::OkStatus();
}

absl::Status ListJob::Take(std::optional<core::NewShard> shard) {
  if (!shard || (!job_id_.empty() && shard->first_index < skip_items_)) return absl::OkStatus();
  if (job_id_.empty()) {
    kept_.push_back(*std::move(shard));
    return absl::OkStatus();
  }
  return Append(*std::move(shard));
}

absl::Status ListJob::Append(core::NewShard shard) {
  absl::BitGen random;
  for (uint32_t failures = 0; !stopping_.stopped();) {
    std::promise<absl::Status> appended;
    ledger_.AppendShard(job_id_, shard, [&](const absl::Status& status) { appended.set_value(status); });
    const absl::Status status = appended.get_future().get();
    if (status.ok()) return status;
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
      case absl::StatusCode::kFailedPrecondition:
      case absl::StatusCode::kNotFound:
      case absl::StatusCode::kOutOfRange:
        return absl::FailedPreconditionError(status.message());
      default:
        // The store cannot take it now (a full disk, a server away): the list waits.
        stopping_.Rest(kStoreRetry.Wait(++failures, absl::Uniform(random, 0.0, 1.0)));
    }
  }
  return absl::CancelledError("the coordinator is stopping");
}

}  // namespace imgfleet::service
