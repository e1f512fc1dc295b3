#include "tests/simulation/world.h"

#include <utility>

#include "coordinator/store/memory_store.h"
#include "tests/simulation/coordinator_node.h"
#include "tests/simulation/worker_node.h"

namespace imgfleet::simulation {
namespace {

enum Purpose : uint64_t { kNetwork = 11, kNodes = 12, kClocks = 13 };

}  // namespace

World::World(const Plan& plan, std::FILE* out, metrics::Registry& metrics)
    : plan(plan),
      trace(timeline, out),
      network(plan.seed, kNetwork),
      nodes(plan.seed, kNodes),
      promises(plan, trace,
               [this](const std::string& worker, const core::LeaseRef& lease) {
                 for (const auto& node : workers) {
                   if (node->Holds(worker, lease)) return true;
                 }
                 return false;
               }),
      store_clock(timeline, 1, Timeline::Start()),
      store(store::NewMemoryStore(store_clock)),
      metrics(metrics) {
  Random clocks(plan.seed, kClocks);
  for (uint32_t i = 0; i < plan.coordinators; ++i) {
    coordinators.push_back(std::make_unique<CoordinatorNode>(*this, absl::StrCat("coordinator-", i)));
  }
  for (uint32_t i = 0; i < plan.workers; ++i) {
    const double rate = 1 + plan.skew * (2 * clocks.Unit() - 1);
    workers.push_back(std::make_unique<WorkerNode>(*this, absl::StrCat("worker-", i), rate));
  }
}

World::~World() = default;

void Node::Post(absl::Duration wait, std::function<void()> what) {
  world_.timeline.After(wait, [this, life = life_, what = std::move(what)] {
    if (life != life_) return;
    if (paused_) return deferred_.push_back(what);
    Do(what);
  });
}

void Node::Do(const std::function<void()>& what) {
  const uint64_t life = life_;
  what();
  if (life == life_ && running_) Turn();
}

void Node::Pause(absl::Duration lasts) {
  if (!running_ || paused_) return;
  paused_ = true;
  world_.trace("%s stops", name_);
  world_.timeline.After(lasts, [this, life = life_] {
    if (life != life_) return;
    world_.trace("%s goes on", name_);
    paused_ = false;
    std::vector<std::function<void()>> deferred;
    deferred.swap(deferred_);
    for (const auto& what : deferred) {
      if (life != life_) return;
      Do(what);
    }
    if (life == life_ && running_) Turn();
  });
}

void Node::Died() {
  running_ = false;
  paused_ = false;
  ++life_;
  deferred_.clear();
}

}  // namespace imgfleet::simulation
