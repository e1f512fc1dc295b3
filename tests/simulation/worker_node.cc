#include "tests/simulation/worker_node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "tests/simulation/coordinator_node.h"

namespace imgfleet::simulation {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(2);  // As in agent_thread.cc.

}  // namespace

void WorkerNode::Start() {
  if (running()) return;
  Born();
  agent::Agent::Options options;
  options.worker_id = worker_id();
  options.display_name = name();
  options.capacity_items = world_.plan.capacity_items;
  options.chunk_items = world_.plan.chunk_items;
  agent_ = std::make_unique<agent::Agent>(options);
  link_ = nullptr;
  leases_.clear();
  fetched_ = 0;
  failures_ = 0;
  connect_at_ = absl::InfinitePast();
  drain_ = absl::InfiniteDuration();
  give_up_at_ = farewell_at_ = wake_at_ = absl::InfiniteFuture();
  finished_ = welcomed_ = false;
  world_.trace("%s starts", worker_id());
  Post(absl::ZeroDuration(), [] {});
}

void WorkerNode::Kill(absl::Duration back, bool machine) {
  if (!running()) return;
  world_.trace("%s dies with %d leases", worker_id(), agent_->leases());
  if (link_ != nullptr) {
    Link::Cut cut;
    cut.up_arrives = world_.nodes.Chance(0.5);
    if (machine) cut.coordinator_learns = world_.nodes.Between(absl::Seconds(1), absl::Seconds(15));
    link_->Break(cut);
  }
  link_ = nullptr;
  agent_ = nullptr;
  Died();
  world_.timeline.After(back, [this] { Start(); });
}

void WorkerNode::Drain(absl::Duration timeout) {
  if (!running()) return;
  world_.trace("%s is to drain within %s", worker_id(), absl::FormatDuration(timeout));
  Post(absl::ZeroDuration(), [this, timeout] { drain_ = std::min(drain_, timeout); });
}

void WorkerNode::Exit() {
  world_.trace("%s ends", worker_id());
  if (link_ != nullptr && !link_->over())
    link_->Break({true, false, absl::ZeroDuration(), absl::ZeroDuration()});
  link_ = nullptr;
  agent_ = nullptr;
  Died();
  world_.timeline.After(world_.nodes.Between(absl::Milliseconds(10), absl::Seconds(3)), [this] { Start(); });
}

void WorkerNode::Isolate(absl::Duration lasts) {
  isolated_until_ = std::max(isolated_until_, world_.timeline.now() + lasts);
  if (link_ == nullptr) return;
  world_.trace("%s is cut off", name());
  Link::Cut cut;
  cut.worker_learns = world_.nodes.Between(absl::ZeroDuration(), absl::Seconds(15));
  cut.coordinator_learns = world_.nodes.Between(absl::ZeroDuration(), absl::Seconds(15));
  link_->Break(cut);
}

bool WorkerNode::Holds(const std::string& worker, const core::LeaseRef& lease) const {
  if (agent_ == nullptr || worker != worker_id()) return false;
  v1::ShardKey shard;
  shard.set_job_id(lease.shard.job_id);
  shard.set_shard(lease.shard.shard);
  return agent_->Holds(shard, lease.epoch);
}

// --- The network ----------------------------------------------------------------------------------------------

void WorkerNode::Connect(absl::Time now) {
  std::vector<CoordinatorNode*> up;
  for (const auto& coordinator : world_.coordinators) {
    if (coordinator->running()) up.push_back(coordinator.get());
  }
  welcomed_ = false;
  if (up.empty() || world_.timeline.now() < isolated_until_) {
    connect_at_ = now + absl::Milliseconds(200) * std::min(1u << std::min(failures_, 5u), 25u);
    ++failures_;
    return;
  }
  CoordinatorNode& coordinator = *up[world_.nodes.Below(up.size())];
  link_ = std::make_shared<Link>(world_, *this, coordinator);
  world_.trace("%s dials %s", worker_id(), coordinator.name());
  link_->Open();
  agent_->Connected(now);
}

void WorkerNode::Received(const Link& link, const v1::CoordinatorMessage& message) {
  if (link_.get() != &link) return;
  agent_->Received(message, clock_.Boot());
  if (message.has_lease()) world_.promises.LeaseTaken(worker_id(), message.lease());
  if (!welcomed_ && agent_->welcomed()) {
    welcomed_ = true;
    failures_ = 0;
  }
}

void WorkerNode::StreamEnded(const Link& link, const absl::Status& status) {
  if (link_.get() != &link) return;
  world_.trace("%s learns that its stream ended: %s", worker_id(), status.ToString());
  if (status.code() == absl::StatusCode::kFailedPrecondition ||
      status.code() == absl::StatusCode::kInvalidArgument) {
    world_.promises.Break("%s was turned away: %s", worker_id(), status.ToString());
  }
  const absl::Time now = clock_.Boot();
  agent_->Disconnected();
  link_ = nullptr;
  if (agent_->draining() && agent_->idle()) {
    finished_ = true;
    return;
  }
  connect_at_ =
      welcomed_ ? now : now + absl::Milliseconds(200) * std::min(1u << std::min(failures_, 5u), 25u);
  ++failures_;
}

// --- The process ----------------------------------------------------------------------------------------------

void WorkerNode::Turn() {
  const absl::Time now = clock_.Boot();
  if (link_ == nullptr && !finished_ && connect_at_ <= now) Connect(now);
  agent_->SetLoad(world_.plan.concurrency, /*waits_for_origins=*/false);
  agent_->Tick(now);
  DrainOn(now);
  Do(agent_->Take());
  if (finished_) return Exit();
  world_.promises.Holding(worker_id(), agent_->outstanding(), agent_->running());
  absl::Time wake = std::min({agent_->NextWake(), give_up_at_, farewell_at_});
  if (link_ == nullptr) wake = std::min(wake, connect_at_);
  WakeAt(wake);
}

void WorkerNode::WakeAt(absl::Time local) {
  const absl::Time at = clock_.Global(local);
  if (at >= wake_at_) return;
  wake_at_ = at;
  Post(at - world_.timeline.now(), [this, at] {
    if (wake_at_ == at) wake_at_ = absl::InfiniteFuture();
  });
}

void WorkerNode::DrainOn(absl::Time now) {
  if (drain_ == absl::InfiniteDuration() || finished_) return;
  if (!agent_->draining()) {
    agent_->Drain(now);
    give_up_at_ = now + drain_;
  }
  if (!agent_->idle() && give_up_at_ <= now) {
    agent_->GiveUp(now);
    give_up_at_ = absl::InfiniteFuture();
  }
  if (!agent_->idle()) return;
  give_up_at_ = absl::InfiniteFuture();
  Do(agent_->Take());
  if (link_ == nullptr) {
    finished_ = true;
  } else if (farewell_at_ == absl::InfiniteFuture()) {
    link_->CloseSending();
    farewell_at_ = now + kFarewell;
  } else if (farewell_at_ <= now) {
    finished_ = true;
  }
}

void WorkerNode::Do(agent::Agent::Output output) {
  for (const auto& message : output.send) {
    if (link_ != nullptr) link_->Send(message);
  }
  for (auto& lease : output.leases)
    leases_[lease.lease] = {lease.spec.display_name(), lease.first_index, false};
  for (const uint64_t id : output.abandon) {
    if (const auto lease = leases_.find(id); lease != leases_.end()) lease->second.abandoned = true;
  }
  for (const auto& item : output.start) StartItem(item);
}

void WorkerNode::StartItem(const agent::Agent::StartItem& item) {
  const auto lease = leases_.find(item.lease);
  if (lease == leases_.end()) return world_.promises.Break("%s starts an item of no lease", worker_id());
  const std::string& job = lease->second.job;
  world_.promises.Started(job, item.index);
  const auto plan = std::find_if(world_.plan.jobs.begin(), world_.plan.jobs.end(),
                                 [&](const JobPlan& known) { return known.id == job; });
  const ItemPlan& what = plan->items.at(item.index);
  if (item.item.url() != absl::StrCat("http://h/", job, "/", item.index)) {
    return world_.promises.Break("%s starts item %d of %s as %s", worker_id(), item.index, job,
                                 item.item.url());
  }
  if (what.kind == ItemKind::kPoison) {
    // It is found dead when the others of its time are.
    return Post(what.takes, [this, id = item.lease] {
      const auto found = leases_.find(id);
      if (found == leases_.end() || found->second.abandoned) return;
      world_.trace("%s has taken poison", worker_id());
      world_.promises.Poisoned();
      Kill(world_.nodes.Between(absl::Milliseconds(50), absl::Seconds(1)), false);
    });
  }
  Post(what.takes, [this, id = item.lease, offset = item.offset, job, index = item.index] {
    FinishItem(id, offset, job, index);
  });
}

void WorkerNode::FinishItem(uint64_t id, uint32_t offset, const std::string& job, uint64_t index) {
  const auto lease = leases_.find(id);
  // What is broken off may just have come to its end.
  if (lease->second.abandoned && world_.nodes.Chance(0.8)) return;
  const auto plan = std::find_if(world_.plan.jobs.begin(), world_.plan.jobs.end(),
                                 [&](const JobPlan& known) { return known.id == job; });
  const ItemPlan& what = plan->items.at(index);
  v1::Outcome outcome;
  outcome.set_index(index);
  // No two fetches have the same outcome, or who wrote one could not be told.
  outcome.mutable_fetch()->set_final_url(absl::StrCat(worker_id(), " ", ++fetched_));
  outcome.mutable_fetch()->set_fetched_bytes(index + 1);
  absl::Duration put_off;
  if (what.kind == ItemKind::kFails) {
    outcome.mutable_error()->set_reason(v1::ItemError::HTTP_STATUS);
  } else {
    outcome.mutable_image()->set_width(7);
    uint32_t& times = world_.put_offs[{job, index}];
    if (times < what.put_offs) {
      ++times;
      put_off = absl::Seconds(world_.nodes.Between(1, 10));
    }
  }
  buffer_.clear();
  agent::PackedOutcome packed = agent::PackTo(outcome, &buffer_);
  packed.put_off = put_off;
  agent_->Finished(id, offset, packed, clock_.Boot());
}

}  // namespace imgfleet::simulation
