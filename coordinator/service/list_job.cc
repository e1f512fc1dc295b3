#include "coordinator/service/list_job.h"

#include <memory>
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
  RETURN_IF_ERROR(Take(builder_.Finish()));
  return SettleAll();
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
  while (!under_way_.empty() &&
         (under_way_.size() >= kShardsAhead || under_way_bytes_ + shard.payload.size() > kBytesAhead)) {
    RETURN_IF_ERROR(Settle());
  }
  Send(std::move(shard));
  return absl::OkStatus();
}

void ListJob::Send(core::NewShard shard) {
  // Not of this object: a list that breaks off waits for none of its shards.
  auto promise = std::make_shared<std::promise<absl::Status>>();
  under_way_bytes_ += shard.payload.size();
  under_way_.push_back({shard, promise->get_future()});
  ledger_.AppendShard(job_id_, std::move(shard),
                      [promise](const absl::Status& status) { promise->set_value(status); });
}

absl::Status ListJob::SettleAll() {
  while (!under_way_.empty()) RETURN_IF_ERROR(Settle());
  return absl::OkStatus();
}

absl::Status ListJob::Settle() {
  if (stopping_.stopped()) return absl::CancelledError("the coordinator is stopping");
  const absl::Status status = under_way_.front().appended.get();
  switch (status.code()) {
    case absl::StatusCode::kOk:
      failures_ = 0;
      Forget();
      return status;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return absl::FailedPreconditionError(status.message());
    case absl::StatusCode::kAborted:
      return status;
    case absl::StatusCode::kInvalidArgument:
      return SettleRefused(status);
    default:
      return SendAgain();
  }
}

// A transaction whose end was not learned may have been durable all the same: then the shard is there already.
absl::Status ListJob::SettleRefused(const absl::Status& why) {
  const core::NewShard& shard = under_way_.front().shard;
  const absl::StatusOr<core::Job> job = ledger_.GetJob(job_id_);
  if (!job.ok() || job->items < shard.first_index + shard.items) {
    return absl::FailedPreconditionError(why.message());
  }
  Forget();
  return absl::OkStatus();
}

absl::Status ListJob::SendAgain() {
  for (size_t i = 1; i < under_way_.size(); ++i) under_way_[i].appended.wait();
  // The store cannot take it now (a full disk, a server away): the list waits.
  absl::BitGen random;
  if (stopping_.Rest(kStoreRetry.Wait(++failures_, absl::Uniform(random, 0.0, 1.0)))) {
    return absl::CancelledError("the coordinator is stopping");
  }
  under_way_bytes_ = 0;
  for (UnderWay& shard : std::exchange(under_way_, {})) Send(std::move(shard.shard));
  return absl::OkStatus();
}

void ListJob::Forget() {
  under_way_bytes_ -= under_way_.front().shard.payload.size();
  under_way_.pop_front();
}

}  // namespace imgfleet::service
