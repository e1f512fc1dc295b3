#include "tests/simulation/submitter.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::simulation {
namespace {

// A client that hears nothing asks again.
constexpr absl::Duration kPatience = absl::Seconds(5);

}  // namespace

void Submitter::Start() {
  world_.timeline.At(plan_.submit, [this] { Create(); });
  if (plan_.cancel != absl::InfiniteFuture()) world_.timeline.At(plan_.cancel, [this] { Cancel(); });
  if (plan_.pause != absl::InfiniteFuture()) {
    world_.timeline.At(plan_.pause, [this] { Pause(); });
    world_.timeline.At(plan_.resume, [this] { Resume(); });
  }
  if (plan_.prioritize != absl::InfiniteFuture()) {
    world_.timeline.At(plan_.prioritize, [this] { Prioritize(); });
  }
}

void Submitter::Again(absl::Duration wait, std::function<void()> what) {
  world_.timeline.After(wait, std::move(what));
}

void Submitter::At(std::function<void(CoordinatorNode&)> what) {
  std::vector<CoordinatorNode*> up;
  for (const auto& coordinator : world_.coordinators) {
    if (coordinator->running()) up.push_back(coordinator.get());
  }
  if (up.empty()) return Again(absl::Milliseconds(300), [this, what = std::move(what)] { At(what); });
  CoordinatorNode& coordinator = *up[world_.nodes.Below(up.size())];
  coordinator.Post(world_.network.Between(absl::Microseconds(50), world_.plan.latency),
                   [&coordinator, what = std::move(what)] { what(coordinator); });
}

void Submitter::Create() {
  const uint64_t asked = ++asked_;
  ++attempts_;
  At([this, asked](CoordinatorNode& coordinator) {
    if (asked != asked_) return;
    v1::JobSpec spec;
    spec.set_display_name(plan_.id);
    spec.mutable_measure();
    core::NewJob job;
    job.id = plan_.id;
    job.spec = spec.SerializeAsString();
    job.source = plan_.upload ? "" : "a list file";
    job.create_time = absl::FromUnixSeconds(1000);
    coordinator.ledger().CreateJob(
        job, [this, asked, &coordinator](const absl::StatusOr<core::Job>& created) {
          if (asked != asked_) return;
          // One that was stored though its answer was lost, and that the client asks for again.
          const bool again = absl::IsAlreadyExists(created.status()) && attempts_ > 1;
          if (!created.ok() && !again) {
            if (!absl::IsUnavailable(created.status())) {
              world_.promises.Break("%s is refused: %s", plan_.id, created.status().ToString());
            }
            return Again(absl::Milliseconds(500), [this, asked] {
              if (asked == asked_) Create();
            });
          }
          world_.trace("%s is created", plan_.id);
          world_.promises.JobAcknowledged(plan_.id, *world_.store);
          created_ = true;
          ++asked_;
          reader_ = &coordinator;
          reader_life_ = coordinator.life();
          Append();
        });
  });
  Again(kPatience, [this, asked] {
    if (asked == asked_) Create();
  });
}

core::NewShard Submitter::MakeShard(uint32_t number) const {
  core::NewShard shard;
  shard.first_index = next_index_;
  shard.items = plan_.shards[number];
  v1::ItemBatch batch;
  v1::OutcomeChunk known;
  for (uint32_t offset = 0; offset < shard.items; ++offset) {
    const uint64_t index = shard.first_index + offset;
    batch.add_items()->set_url(absl::StrCat("http://h/", plan_.id, "/", index));
    if (plan_.items[index].kind != ItemKind::kBadRow) continue;
    shard.known.offsets.push_back(offset);
    ++shard.known.counts.failed;
    ++shard.known.counts.reasons[v1::ItemError::BAD_ROW];
    v1::Outcome& outcome = *known.add_outcomes();
    outcome.set_index(index);
    outcome.mutable_error()->set_reason(v1::ItemError::BAD_ROW);
  }
  shard.payload = PackBlob(batch.SerializeAsString());
  if (!shard.known.offsets.empty()) shard.known.payload = PackBlob(known.SerializeAsString());
  return shard;
}

// The next shard at the coordinator that reads the list.
void Submitter::Append() {
  if (!reader_->running() || reader_->life() != reader_life_) return;  // Somebody takes it up.
  if (next_shard_ == plan_.shards.size()) return Finish();
  const uint64_t asked = ++asked_;
  reader_->Post(plan_.append_gap, [this, asked] {
    if (asked != asked_) return;
    const core::NewShard shard = MakeShard(next_shard_);
    reader_->ledger().AppendShard(
        plan_.id, shard, [this, asked, items = shard.items](const absl::Status& appended) {
          if (asked != asked_) return;
          if (absl::IsUnavailable(appended)) {
            return Again(absl::Milliseconds(300), [this, asked] {
              if (asked == asked_) Append();
            });
          }
          // It was cancelled, or somebody else reads on.
          if (absl::IsFailedPrecondition(appended) || absl::IsAborted(appended)) return;
          // A transaction whose end was not learned may have been durable all the same: then the shard is there already.
          if (absl::IsInvalidArgument(appended)) {
            const absl::StatusOr<core::Job> job = reader_->ledger().GetJob(plan_.id);
            if (job.ok() && job->items >= next_index_ + items) return ReadOn();
          }
          if (!appended.ok()) {
            return world_.promises.Break("%s: shard %d is refused: %s", plan_.id, next_shard_,
                                         appended.ToString());
          }
          next_index_ += items;
          ++next_shard_;
          world_.promises.ShardAcknowledged(plan_.id, next_index_, *world_.store);
          Append();
        });
  });
  Again(kPatience + plan_.append_gap, [this, asked] {
    if (asked == asked_) Append();
  });
}

void Submitter::TakenUp(CoordinatorNode& coordinator) {
  if (plan_.upload) return world_.promises.Break("%s was an upload and is read on", plan_.id);
  world_.trace("%s takes up the list of %s", coordinator.name(), plan_.id);
  created_ = true;
  ++asked_;
  reader_ = &coordinator;
  reader_life_ = coordinator.life();
  coordinator.Post(absl::ZeroDuration(), [this] { ReadOn(); });
}

void Submitter::ReadOn() {
  if (!reader_->running() || reader_->life() != reader_life_) return;
  const absl::StatusOr<core::Job> job = reader_->ledger().GetJob(plan_.id);
  if (!job.ok()) return world_.promises.Break("%s was acknowledged: %s", plan_.id, job.status().ToString());
  if (job->state != core::JobState::kReading) return;
  next_index_ = 0;
  for (next_shard_ = 0; next_shard_ < plan_.shards.size() && next_index_ < job->items; ++next_shard_) {
    next_index_ += plan_.shards[next_shard_];
  }
  if (next_index_ != job->items) return world_.promises.Break("%s has %d items", plan_.id, job->items);
  Append();
}

void Submitter::Finish() {
  const uint64_t asked = ++asked_;
  const absl::Status how = plan_.breaks_off ? absl::AbortedError("the list broke off") : absl::OkStatus();
  reader_->Post(absl::ZeroDuration(), [this, asked, how] {
    if (asked != asked_) return;
    reader_->ledger().FinishReading(plan_.id, how, [this, asked, how](const absl::StatusOr<core::Job>& job) {
      if (asked != asked_) return;
      if (!job.ok()) {
        if (absl::IsAborted(job.status())) return;
        if (!absl::IsUnavailable(job.status())) {
          world_.promises.Break("%s cannot be finished: %s", plan_.id, job.status().ToString());
        }
        return Again(absl::Milliseconds(300), [this, asked] {
          if (asked == asked_) Append();
        });
      }
      ++asked_;
      world_.promises.EndAcknowledged(plan_.id, job->state, *world_.store);
      if (!how.ok()) reader_->JobEnded(plan_.id);
    });
  });
  Again(kPatience, [this, asked] {
    if (asked == asked_) Append();
  });
}

void Submitter::Cancel() {
  if (!created_) return Again(absl::Seconds(1), [this] { Cancel(); });
  At([this](CoordinatorNode& coordinator) {
    coordinator.ledger().CancelJob(plan_.id, [this, &coordinator](const absl::StatusOr<core::Job>& job) {
      if (!job.ok()) {
        if (!absl::IsUnavailable(job.status())) {
          world_.promises.Break("%s cannot be cancelled: %s", plan_.id, job.status().ToString());
        }
        return Again(absl::Seconds(1), [this] { Cancel(); });
      }
      if (!core::Ended(job->state)) world_.promises.Break("%s is cancelled and goes on", plan_.id);
      world_.promises.EndAcknowledged(plan_.id, job->state, *world_.store);
      coordinator.JobEnded(plan_.id);
    });
  });
}

void Submitter::Pause() {
  if (resuming_) return;
  if (!created_) return Again(absl::Seconds(1), [this] { Pause(); });
  At([this](CoordinatorNode& coordinator) {
    world_.promises.PauseAsked(plan_.id);
    coordinator.ledger().PauseJob(plan_.id, true, [this](const absl::StatusOr<core::Job>& job) {
      if (absl::IsFailedPrecondition(job.status())) return;  // It has ended.
      if (!job.ok()) {
        if (!absl::IsUnavailable(job.status())) {
          world_.promises.Break("%s cannot be paused: %s", plan_.id, job.status().ToString());
        }
        return Again(absl::Seconds(1), [this] { Pause(); });
      }
      world_.trace("%s is paused", plan_.id);
      if (!resuming_) world_.promises.PauseAcknowledged(plan_.id, *world_.store);
    });
  });
}

// Until it has ended: a pause that was on its way for long may come after.
void Submitter::Resume() {
  resuming_ = true;
  Again(kPatience, [this] { Resume(); });
  if (!created_) return;
  At([this](CoordinatorNode& coordinator) {
    const absl::StatusOr<core::Job> now = coordinator.ledger().GetJob(plan_.id);
    if (!now.ok() || !now->paused) return;
    coordinator.ledger().PauseJob(plan_.id, false, [this](const absl::StatusOr<core::Job>& job) {
      if (job.ok() || absl::IsUnavailable(job.status()) || absl::IsFailedPrecondition(job.status())) return;
      world_.promises.Break("%s cannot be resumed: %s", plan_.id, job.status().ToString());
    });
  });
}

void Submitter::Prioritize() {
  if (!created_) return Again(absl::Seconds(1), [this] { Prioritize(); });
  At([this](CoordinatorNode& coordinator) {
    coordinator.ledger().PrioritizeJob(
        plan_.id, plan_.priority, [this](const absl::StatusOr<core::Job>& job) {
          if (absl::IsFailedPrecondition(job.status())) return;  // It has ended.
          if (absl::IsUnavailable(job.status())) return Again(absl::Seconds(1), [this] { Prioritize(); });
          if (!job.ok() || job->priority != plan_.priority) {
            world_.promises.Break("%s cannot be given priority %d: %s", plan_.id, plan_.priority,
                                  job.status().ToString());
          }
        });
  });
}

}  // namespace imgfleet::simulation
