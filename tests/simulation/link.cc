#include "tests/simulation/link.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/coordinator_node.h"
#include "tests/simulation/worker_node.h"

namespace imgfleet::simulation {
namespace {

std::string Describe(const v1::ShardKey& shard, uint64_t epoch) {
  return absl::StrCat(shard.job_id(), "/", shard.shard(), " epoch ", epoch);
}

std::string Describe(const v1::WorkerMessage& message) {
  if (message.has_hello()) return "Hello";
  if (message.has_report()) {
    const v1::Report& report = message.report();
    std::string text =
        absl::StrCat("Report capacity ", report.capacity_items(), " last ", report.last_lease_number());
    for (const auto& held : report.held()) {
      absl::StrAppend(&text, ", ", Describe(held.shard(), held.lease_epoch()), " (", held.items(), ")");
    }
    return text;
  }
  if (message.has_chunk()) {
    return absl::StrCat("Chunk ", message.chunk().chunk_number(), " of ",
                        Describe(message.chunk().shard(), message.chunk().lease_epoch()), ", ",
                        message.chunk().offsets_size(), " outcomes");
  }
  return absl::StrCat("HandBack ", Describe(message.hand_back().shard(), message.hand_back().lease_epoch()),
                      " for ", message.hand_back().not_before().seconds(), " s");
}

std::string Describe(const v1::CoordinatorMessage& message) {
  if (message.has_welcome()) return "Welcome";
  if (message.has_lease()) {
    return absl::StrCat("Lease ", message.lease().lease_number(), " of ",
                        Describe(message.lease().shard(), message.lease().lease_epoch()), ", ",
                        message.lease().offsets_size(), " items");
  }
  if (message.has_ack()) {
    return absl::StrCat("Ack ", v1::Ack::Code_Name(message.ack().code()), " chunk ",
                        message.ack().chunk_number(), " of ",
                        Describe(message.ack().shard(), message.ack().lease_epoch()));
  }
  return absl::StrCat("Revoke ", Describe(message.revoke().shard(), message.revoke().lease_epoch()));
}

}  // namespace

Link::Link(World& world, WorkerNode& worker, CoordinatorNode& coordinator)
    : world_(world),
      worker_(worker),
      coordinator_(coordinator),
      worker_life_(worker.life()),
      last_up_(world.timeline.now()),
      last_down_(world.timeline.now()) {}

absl::Duration Link::Latency() {
  if (world_.plan.slow_messages > 0 && world_.faulty() && world_.network.Chance(world_.plan.slow_messages)) {
    return world_.network.Between(absl::ZeroDuration(), absl::Seconds(3));
  }
  return world_.network.Between(absl::Microseconds(50), world_.plan.latency);
}

absl::Duration Link::Behind(absl::Time& last) {
  last = std::max(last, world_.timeline.now() + Latency());
  return last - world_.timeline.now();
}

void Link::AtCoordinator(absl::Duration wait, std::function<void()> what) {
  coordinator_.Post(wait, [self = shared_from_this(), what = std::move(what)] {
    if (self->coordinator_life_ == self->coordinator_.life()) what();
  });
}

void Link::AtWorker(absl::Duration wait, std::function<void()> what) {
  worker_.Post(wait, [self = shared_from_this(), what = std::move(what)] {
    if (self->worker_life_ == self->worker_.life()) what();
  });
}

void Link::Open() {
  if (!coordinator_.running()) return Break({});
  coordinator_life_ = coordinator_.life();
  coordinator_.Dialled(*this);
  AtCoordinator(Behind(last_up_), [this] {
    if (cut_ && !cut_->up_arrives) return;
    stream_ = coordinator_.Accept(*this);
    stream_->Begin();
  });
}

// --- Up -------------------------------------------------------------------------------------------------------

void Link::Send(const v1::WorkerMessage& message) {
  Observe(message);
  if (over()) return;
  if (world_.trace.on()) world_.trace("%s -> %s: %s", worker_.name(), coordinator_.name(), Describe(message));
  Up({message, false});
  if (!message.has_hello() && world_.faulty() && world_.network.Chance(world_.plan.repeats)) {
    world_.trace("  (twice)");
    Up({message, false});
  }
}

void Link::CloseSending() { Up({v1::WorkerMessage(), true}); }

void Link::Up(Arrived arrived) {
  if (cut_) return;
  AtCoordinator(Behind(last_up_), [this, arrived = std::move(arrived)] {
    if (stream_ == nullptr || (cut_ && !cut_->up_arrives)) return;
    inbox_.push_back(arrived);
    Deliver();
  });
}

void Link::StartRead() {
  reading_ = true;
  // Not within the call.
  if (!inbox_.empty()) AtCoordinator(absl::ZeroDuration(), [this] { Deliver(); });
}

void Link::Deliver() {
  if (!reading_ || inbox_.empty() || concluded_) return;
  const Arrived arrived = std::move(inbox_.front());
  inbox_.pop_front();
  reading_ = false;
  if (arrived.end) return stream_->OnReadsDone();
  if (world_.trace.on()) world_.trace("%s takes %s", coordinator_.name(), Describe(arrived.message));
  stream_->OnRead(arrived.message);
}

// --- Down -----------------------------------------------------------------------------------------------------

void Link::StartWrite(const v1::CoordinatorMessage& message) {
  writing_ = true;
  Observe(message);
  if (world_.trace.on()) world_.trace("%s -> %s: %s", coordinator_.name(), worker_.name(), Describe(message));
  AtCoordinator(world_.network.Between(absl::ZeroDuration(), absl::Microseconds(200)), [this] {
    if (!std::exchange(writing_, false) || concluded_) return;
    stream_->OnWritten(true);
  });
  if (cut_) return;
  const bool twice = !message.has_welcome() && world_.faulty() && world_.network.Chance(world_.plan.repeats);
  for (int i = 0; i < (twice ? 2 : 1); ++i) {
    AtWorker(Behind(last_down_), [this, message] {
      if (worker_knows_ || (cut_ && !cut_->down_arrives)) return;
      if (world_.trace.on()) world_.trace("%s takes %s", worker_.name(), Describe(message));
      worker_.Received(*this, message);
    });
  }
}

void Link::Finish(const absl::Status& status) {
  finished_ = true;
  world_.trace("%s ends the stream of %s: %s", coordinator_.name(), worker_.name(), status.ToString());
  AtCoordinator(absl::ZeroDuration(), [this] { Conclude(); });
  if (cut_) return;
  AtWorker(Behind(last_down_), [this, status] {
    if (std::exchange(worker_knows_, true)) return;
    worker_.StreamEnded(*this, status);
  });
}

void Link::Conclude() {
  if (std::exchange(concluded_, true)) return;
  if (std::exchange(reading_, false)) stream_->OnReadsDone();
  if (std::exchange(writing_, false)) stream_->OnWritten(false);
  stream_->OnDone();
  coordinator_.Forget(*this);
}

// --- Faults ---------------------------------------------------------------------------------------------------

void Link::Break(const Cut& cut) {
  if (cut_) return;
  cut_ = cut;
  AtWorker(cut.worker_learns, [this] {
    if (std::exchange(worker_knows_, true)) return;
    worker_.StreamEnded(*this, absl::UnavailableError("the connection broke"));
  });
  const absl::Time arrival = cut.up_arrives ? last_up_ : world_.timeline.now();
  AtCoordinator(std::max(cut.coordinator_learns, arrival - world_.timeline.now()), [this] {
    if (stream_ == nullptr || concluded_) return;
    world_.trace("%s learns that the stream of %s broke", coordinator_.name(), worker_.name());
    stream_->End(absl::CancelledError("the worker left"));
    if (finished_) return;
    if (std::exchange(writing_, false)) stream_->OnWritten(false);
  });
}

void Link::Stall(absl::Duration lasts) {
  const absl::Time until = world_.timeline.now() + lasts;
  last_up_ = std::max(last_up_, until);
  last_down_ = std::max(last_down_, until);
}

// --- What the promises are judged by --------------------------------------------------------------------------

void Link::Observe(const v1::WorkerMessage& message) {
  if (message.has_chunk()) world_.promises.ChunkSent(worker_.worker_id(), message.chunk());
  if (message.has_hand_back()) world_.promises.HandBackSent(message.hand_back());
}

void Link::Observe(const v1::CoordinatorMessage& message) {
  if (message.has_lease()) world_.promises.LeaseSent(worker_.worker_id_of(worker_life_), message.lease());
  if (message.has_ack()) world_.promises.AckSent(worker_.worker_id_of(worker_life_), message.ack());
}

}  // namespace imgfleet::simulation
