#include "coordinator/service/list_job.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "common/backoff.h"
#include "common/status.h"

namespace imgfleet::service {
namespace {

// Until a shard is offered again to a store that fails, or for an owner with too many open items.
constexpr Backoff kStoreRetry{absl::Milliseconds(200), absl::Seconds(2)};

}  // namespace

// What the ledger says of one shard. It may come after the list broke off, which waits for none of its shards.
class ListJob::Answer {
 public:
  void Set(const absl::Status& status) {
    std::function<void()> told;
    {
      absl::MutexLock lock(&mutex_);
      status_ = status;
      told.swap(told_);
    }
    if (told != nullptr) told();
  }
  std::optional<absl::Status> Get() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }
  // Calls `told` when it is there; at once where it is.
  void Tell(std::function<void()> told) {
    {
      absl::MutexLock lock(&mutex_);
      if (!status_) return told_.swap(told);
    }
    told();
  }

 private:
  mutable absl::Mutex mutex_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> told_ ABSL_GUARDED_BY(mutex_);
};

ListJob::ListJob(store::Ledger& ledger, Stopping& stopping, lists::ListParser::Options options,
                 std::string spool)
    : ledger_(ledger), stopping_(stopping), parser_(std::move(options)), builder_(std::move(spool)) {}

absl::Status ListJob::Feed(absl::string_view bytes) {
  return parser_.Feed(bytes, [this](const lists::Row& row) { return AddRow(row); });
}

absl::Status ListJob::Finish() {
  RETURN_IF_ERROR(parser_.Finish([this](const lists::Row& row) { return AddRow(row); }));
  finished_ = true;
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
  waiting_.push_back(*std::move(shard));
  Pour();
  return absl::OkStatus();
}

void ListJob::Pour() {
  if (refused_ || rest_ > absl::ZeroDuration()) return;
  while (!waiting_.empty() &&
         (under_way_.empty() || (under_way_.size() < kShardsAhead &&
                                 under_way_bytes_ + waiting_.front().payload.size() <= kBytesAhead))) {
    core::NewShard shard = std::move(waiting_.front());
    waiting_.pop_front();
    Send(std::move(shard));
  }
}

void ListJob::Send(core::NewShard shard) {
  auto answer = std::make_shared<Answer>();
  under_way_bytes_ += shard.payload.size();
  under_way_.push_back({shard, answer});
  ledger_.AppendShard(job_id_, std::move(shard),
                      [answer](const absl::Status& status) { answer->Set(status); });
}

absl::StatusOr<bool> ListJob::Advance() {
  if (stopping_.stopped()) return absl::CancelledError("the coordinator is stopping");
  while (!refused_ && !under_way_.empty()) {
    const std::optional<absl::Status> answer = under_way_.front().answer->Get();
    if (!answer) break;
    RETURN_IF_ERROR(Settle(*answer));
  }
  if (refused_) {
    for (const UnderWay& shard : under_way_) {
      if (!shard.answer->Get()) return false;
    }
    TakeBack();
  }
  Pour();
  return waiting_.empty() && (!finished_ || under_way_.empty());
}

void ListJob::WhenMoved(Threads& threads, std::function<void()> then) {
  if (rest_ > absl::ZeroDuration()) {
    return threads.PostAfter(std::exchange(rest_, absl::ZeroDuration()), std::move(then));
  }
  for (const UnderWay& shard : under_way_) {
    if (refused_ && shard.answer->Get()) continue;
    return shard.answer->Tell([&threads, then = std::move(then)] { threads.Post(then); });
  }
  threads.Post(std::move(then));
}

absl::Status ListJob::Settle(const absl::Status& answer) {
  switch (answer.code()) {
    case absl::StatusCode::kOk:
      failures_ = 0;
      Forget();
      return absl::OkStatus();
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return absl::FailedPreconditionError(answer.message());
    case absl::StatusCode::kAborted:
      return answer;
    case absl::StatusCode::kInvalidArgument:
      return SettleRefused(answer);
    default:  // The store cannot take it now (a full disk, a server away), or the owner's quota is spent.
      refused_ = true;
      return absl::OkStatus();
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

void ListJob::TakeBack() {
  refused_ = false;
  absl::BitGen random;
  rest_ = kStoreRetry.Wait(++failures_, absl::Uniform(random, 0.0, 1.0));
  under_way_bytes_ = 0;
  for (; !under_way_.empty(); under_way_.pop_back()) waiting_.push_front(std::move(under_way_.back().shard));
}

void ListJob::Forget() {
  under_way_bytes_ -= under_way_.front().shard.payload.size();
  under_way_.pop_front();
}

}  // namespace imgfleet::service
