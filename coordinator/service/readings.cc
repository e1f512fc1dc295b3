#include "coordinator/service/readings.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "common/outcome/codec.h"
#include "common/status.h"
#include "coordinator/service/job_proto.h"
#include "coordinator/service/plain_outcomes.h"

namespace imgfleet::service {
namespace {

constexpr uint64_t kEventBytes = 1 << 20;

class Results final : public Source<v1::Outcomes> {
 public:
  Results(store::Ledger& ledger, const v1::ReadResultsRequest& request)
      : ledger_(ledger), request_(request), index_(request.from_index()) {}

  absl::StatusOr<Step> Next(v1::Outcomes* message) override {
    while (queue_.empty()) {
      ASSIGN_OR_RETURN(const Step step, Refill());
      if (step != Step::kWrite) return step;
    }
    *message = std::move(queue_.front());
    queue_.pop_front();
    return Step::kWrite;
  }

  bool ready() const override { return !queue_.empty(); }

 private:
  // kWrite: go on, there may be something now.
  absl::StatusOr<Step> Refill() {
    // The job first: what a job that has ended lacks now it will lack for ever.
    ASSIGN_OR_RETURN(const core::Job job, ledger_.GetJob(request_.job_id()));
    const bool ended = core::Ended(job.state);
    const Step dry = request_.follow() && !ended ? Step::kWait : Step::kEnd;
    ASSIGN_OR_RETURN(const std::optional<core::ShardResults> shard, ledger_.ReadShardAt(job.id, index_));
    if (!shard) return dry;
    const bool last = shard->complete || ended;
    // Without `follow` a shard that is under way gives what it has.
    const bool passing = last || !request_.follow();
    if (passing && !last && shard->chunks.empty()) return Step::kEnd;
    if (request_.encoding() == v1::PACKED) {
      RETURN_IF_ERROR(QueuePacked(job, *shard, last));
    } else if (passing) {
      RETURN_IF_ERROR(QueuePlain(job, *shard));
    }
    if (queue_.empty() && !passing) return Step::kWait;
    for (v1::Outcomes& message : queue_) message.set_next_index(shard->first_index + shard->items);
    if (passing) {
      index_ = shard->first_index + shard->items;
      sent_seq_ = 0;
    }
    if (last) {
      if (queue_.empty()) queue_.emplace_back().set_next_index(index_);
      queue_.back().set_shard_complete(true);
    }
    return Step::kWrite;
  }

  absl::Status QueuePacked(const core::Job& job, const core::ShardResults& shard, bool last) {
    for (const core::StoredChunk& chunk : shard.chunks) {
      if (chunk.commit_seq <= sent_seq_) continue;
      queue_.emplace_back().set_packed(chunk.payload);
    }
    for (const core::StoredChunk& chunk : shard.chunks) sent_seq_ = std::max(sent_seq_, chunk.commit_seq);
    if (!last || shard.complete) return absl::OkStatus();
    ASSIGN_OR_RETURN(std::vector<v1::Outcome> missing, MissingOutcomes(job, shard));
    v1::OutcomeChunk chunk;
    for (v1::Outcome& outcome : missing) *chunk.add_outcomes() = std::move(outcome);
    if (!missing.empty()) queue_.emplace_back().set_packed(outcome::PackOutcomes(chunk));
    return absl::OkStatus();
  }

  absl::Status QueuePlain(const core::Job& job, const core::ShardResults& shard) {
    std::vector<v1::Outcome> outcomes;
    if (core::Ended(job.state) && !shard.complete) {
      ASSIGN_OR_RETURN(outcomes, MissingOutcomes(job, shard));
    }
    for (const core::StoredChunk& stored : shard.chunks) {
      ASSIGN_OR_RETURN(v1::OutcomeChunk chunk, outcome::UnpackOutcomes(stored.payload));
      for (v1::Outcome& outcome : *chunk.mutable_outcomes()) outcomes.push_back(std::move(outcome));
    }
    std::erase_if(outcomes,
                  [&](const v1::Outcome& outcome) { return outcome.index() < request_.from_index(); });
    std::sort(outcomes.begin(), outcomes.end(),
              [](const v1::Outcome& a, const v1::Outcome& b) { return a.index() < b.index(); });
    if (!outcomes.empty()) queue_ = IntoMessages(std::move(outcomes));
    return absl::OkStatus();
  }

  store::Ledger& ledger_;
  const v1::ReadResultsRequest request_;
  uint64_t index_;
  uint64_t sent_seq_ = 0;  // Of the shard at index_, packed: its chunks up to this one were queued.
  std::deque<v1::Outcomes> queue_;
};

class Events final : public Source<v1::Outcomes> {
 public:
  Events(store::Ledger& ledger, const v1::ReadEventsRequest& request)
      : ledger_(ledger), request_(request), cursor_(request.after_commit_seq()) {}

  absl::StatusOr<Step> Next(v1::Outcomes* message) override {
    if (queue_.empty()) {
      // The job first: one that has ended commits nothing more.
      ASSIGN_OR_RETURN(const core::Job job, ledger_.GetJob(request_.job_id()));
      ASSIGN_OR_RETURN(const std::vector<core::StoredChunk> chunks,
                       ledger_.ReadByCommit(job.id, cursor_, kEventBytes));
      if (chunks.empty()) return request_.follow() && !core::Ended(job.state) ? Step::kWait : Step::kEnd;
      for (const core::StoredChunk& chunk : chunks) RETURN_IF_ERROR(Queue(chunk));
    }
    *message = std::move(queue_.front());
    queue_.pop_front();
    return Step::kWrite;
  }

  bool ready() const override { return !queue_.empty(); }

 private:
  absl::Status Queue(const core::StoredChunk& stored) {
    if (request_.encoding() == v1::PACKED) {
      queue_.emplace_back().set_packed(stored.payload);
    } else {
      ASSIGN_OR_RETURN(v1::OutcomeChunk chunk, outcome::UnpackOutcomes(stored.payload));
      for (v1::Outcomes& part : IntoMessages({chunk.outcomes().begin(), chunk.outcomes().end()})) {
        part.set_commit_seq(cursor_);
        queue_.push_back(std::move(part));
      }
    }
    cursor_ = stored.commit_seq;
    queue_.back().set_commit_seq(cursor_);
    return absl::OkStatus();
  }

  store::Ledger& ledger_;
  const v1::ReadEventsRequest request_;
  uint64_t cursor_;
  std::deque<v1::Outcomes> queue_;
};

class Watching final : public Source<v1::Job> {
 public:
  Watching(store::Ledger& ledger, const Clock& clock, const v1::WatchJobRequest& request,
           absl::Duration interval)
      : ledger_(ledger), clock_(clock), request_(request), interval_(interval) {}

  absl::StatusOr<Step> Next(v1::Job* message) override {
    if (ended_) return Step::kEnd;
    const absl::Time now = clock_.Boot();
    pause_ = sent_ + interval_ - now;
    if (pause_ > absl::ZeroDuration()) return Step::kPause;
    ASSIGN_OR_RETURN(const core::Job job, ledger_.GetJob(request_.id()));
    *message = ToProto(job);
    std::string shown = message->SerializeAsString();
    if (shown == shown_) return Step::kWait;
    shown_ = std::move(shown);
    sent_ = now;
    ended_ = core::Ended(job.state);
    return Step::kWrite;
  }

  absl::Duration pause() const override { return pause_; }

 private:
  store::Ledger& ledger_;
  const Clock& clock_;
  const v1::WatchJobRequest request_;
  const absl::Duration interval_;
  absl::Time sent_ = absl::InfinitePast();
  absl::Duration pause_;
  std::string shown_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Source<v1::Outcomes>> ResultsOf(store::Ledger& ledger,
                                                const v1::ReadResultsRequest& request) {
  return std::make_unique<Results>(ledger, request);
}

std::unique_ptr<Source<v1::Outcomes>> EventsOf(store::Ledger& ledger, const v1::ReadEventsRequest& request) {
  return std::make_unique<Events>(ledger, request);
}

std::unique_ptr<Source<v1::Job>> WatchOf(store::Ledger& ledger, const Clock& clock,
                                         const v1::WatchJobRequest& request, absl::Duration interval) {
  return std::make_unique<Watching>(ledger, clock, request, interval);
}

}  // namespace imgfleet::service
