#include "coordinator/service/fetch_now.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "common/outcome/codec.h"
#include "common/status.h"

namespace imgfleet::service {
namespace {

class FetchNow final : public grpc::ServerWriteReactor<v1::Outcomes>,
                       public std::enable_shared_from_this<FetchNow> {
 public:
  FetchNow(ExpressLane& lane, v1::Encoding encoding) : lane_(lane), encoding_(encoding) {}

  void Begin(const v1::FetchNowRequest& request) {
    self_ = shared_from_this();
    absl::StatusOr<std::string> id = lane_.Start(
        request, [self = self_](std::vector<core::StoredChunk> chunks, std::optional<absl::Status> end) {
          self->Hear(std::move(chunks), std::move(end));
        });
    if (!id.ok()) return Hear({}, id.status());
    bool left;
    {
      absl::MutexLock lock(&mutex_);
      id_ = *id;
      left = left_;
    }
    if (left) lane_.Cancel(*id);
  }

 private:
  void Hear(std::vector<core::StoredChunk> chunks, std::optional<absl::Status> end) {
    std::vector<v1::Outcomes> messages;
    for (core::StoredChunk& chunk : chunks) {
      v1::Outcomes& message = messages.emplace_back();
      message.set_commit_seq(chunk.commit_seq);
      if (encoding_ == v1::PACKED) {
        message.set_packed(std::move(chunk.payload));
      } else if (absl::StatusOr<v1::OutcomeChunk> outcomes = outcome::UnpackOutcomes(chunk.payload);
                 outcomes.ok()) {
        message.mutable_outcomes()->Swap(outcomes->mutable_outcomes());
      } else {
        end = outcomes.status();
      }
    }
    absl::MutexLock lock(&mutex_);
    std::move(messages.begin(), messages.end(), std::back_inserter(messages_));
    if (end) end_ = std::move(end);
    Go();
  }

  void Go() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (end_ && (messages_.empty() || left_)) {
      finished_ = true;
      return Finish(ToGrpc(*end_));
    }
    if (messages_.empty()) return;
    current_ = std::move(messages_.front());
    messages_.pop_front();
    if (end_ && messages_.empty()) {
      // In one go, which spares a small answer a packet.
      finished_ = true;
      return StartWriteAndFinish(&current_, grpc::WriteOptions(), ToGrpc(*end_));
    }
    writing_ = true;
    StartWrite(&current_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) OnCancel();
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    Go();
  }

  void OnCancel() override {
    std::string id;
    {
      absl::MutexLock lock(&mutex_);
      left_ = true;
      id = id_;
    }
    if (!id.empty()) lane_.Cancel(id);
  }

  void OnDone() override { self_.reset(); }

  ExpressLane& lane_;
  const v1::Encoding encoding_;
  std::shared_ptr<FetchNow> self_;  // Until OnDone.

  absl::Mutex mutex_;
  std::string id_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::Outcomes> messages_ ABSL_GUARDED_BY(mutex_);
  v1::Outcomes current_ ABSL_GUARDED_BY(mutex_);  // Of the write in flight.
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::Outcomes>* StartFetchNow(ExpressLane& lane, const v1::FetchNowRequest& request) {
  auto call = std::make_shared<FetchNow>(lane, request.encoding());
  call->Begin(request);
  return call.get();
}

}  // namespace imgfleet::service
