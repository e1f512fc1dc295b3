#include "tests/simulation/simulation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/simulation/coordinator_node.h"
#include "tests/simulation/submitter.h"
#include "tests/simulation/worker_node.h"
#include "tests/simulation/world.h"

namespace imgfleet::simulation {
namespace {

// For what is to be waited for once nothing goes wrong any more: leases that lapse, put-offs, and for poison the leases that it
// costs, each until its loss stands. All items one after the other come on top, twice, since one may be fetched again.
constexpr absl::Duration kPatience = absl::Minutes(5);
constexpr absl::Duration kPatienceWithPoison = absl::Minutes(25);
// A run has no more steps than this, or it does nothing for ever.
constexpr uint64_t kMaxSteps = 2'000'000;

template <typename Nodes>
auto& Pick(Nodes& nodes, const Fault& fault) {
  return *nodes[fault.whom % nodes.size()];
}

void Strike(World& world, const Fault& fault) {
  WorkerNode& worker = Pick(world.workers, fault);
  CoordinatorNode& coordinator = Pick(world.coordinators, fault);
  world.trace("FAULT: %s (%s or %s) for %s", NameOf(fault.kind), worker.name(), coordinator.name(),
              absl::FormatDuration(fault.lasts));
  switch (fault.kind) {
    case FaultKind::kCutStream:
      if (worker.link() != nullptr) worker.link()->Break({});
      return;
    case FaultKind::kSilentCut: {
      Link::Cut cut;
      cut.up_arrives = world.nodes.Chance(0.5);
      cut.down_arrives = world.nodes.Chance(0.5);
      cut.worker_learns =
          world.nodes.Between(absl::ZeroDuration(), absl::Seconds(world.nodes.Chance(0.5) ? 1 : 15));
      cut.coordinator_learns =
          world.nodes.Between(absl::ZeroDuration(), absl::Seconds(world.nodes.Chance(0.5) ? 1 : 15));
      if (worker.link() != nullptr) worker.link()->Break(cut);
      return;
    }
    case FaultKind::kKillWorker:
      return worker.Kill(fault.lasts, false);
    case FaultKind::kKillFleet:
      for (const auto& each : world.workers) each->Kill(fault.lasts, false);
      return;
    case FaultKind::kWorkerMachineDies:
      return worker.Kill(fault.lasts, true);
    case FaultKind::kStopWorker:
      // Who answers no ping for long is cut off.
      if (worker.link() != nullptr && fault.lasts > absl::Seconds(15)) {
        world.timeline.After(absl::Seconds(15), [link = worker.link()->shared_from_this()] {
          link->Break({true, true});
        });
      }
      return worker.Pause(fault.lasts);
    case FaultKind::kDrainWorker:
      return worker.Drain(fault.lasts);
    case FaultKind::kIsolateWorker:
      return worker.Isolate(fault.lasts);
    case FaultKind::kStall:
      if (worker.link() == nullptr) return;
      worker.link()->Stall(fault.lasts);
      if (fault.lasts > absl::Seconds(15)) {
        world.timeline.After(absl::Seconds(15),
                             [link = worker.link()->shared_from_this()] { link->Break({}); });
      }
      return;
    case FaultKind::kKillCoordinator:
      return coordinator.Kill(fault.lasts);
    case FaultKind::kKillAfterCommit:
      return coordinator.KillAfterCommit(fault.lasts);
    case FaultKind::kStopCoordinator:
      if (fault.lasts > absl::Seconds(15)) coordinator.LoseWorkersAfter(absl::Seconds(15));
      return coordinator.Pause(fault.lasts);
    case FaultKind::kCloseCoordinator:
      return coordinator.Close(fault.lasts);
    case FaultKind::kStoreFails:
    case FaultKind::kStoreFailsDurable:
      return coordinator.StoreFails({world.timeline.now() + fault.lasts, fault.chance},
                                    fault.kind == FaultKind::kStoreFailsDurable);
    case FaultKind::kStoreIsSlow:
      return coordinator.StoreIsSlow(world.timeline.now() + fault.lasts);
  }
}

absl::Time Deadline(const Plan& plan) {
  bool poisoned = false;
  absl::Duration work;
  for (const JobPlan& job : plan.jobs) {
    poisoned |= job.poisoned();
    for (const ItemPlan& item : job.items) work += item.takes * (1 + item.put_offs);
  }
  return plan.faults_end + (poisoned ? kPatienceWithPoison : kPatience) + 2 * work;
}

bool Broken(const Plan& plan, metrics::Registry& metrics) { return !Play(plan, metrics).broken.empty(); }

// Takes out of `list` what can go, larger runs first.
template <typename T>
void ShrinkList(Plan& plan, std::vector<T> Plan::*list, size_t least, metrics::Registry& metrics) {
  for (size_t run = std::max<size_t>((plan.*list).size() / 2, 1); run > 0; run /= 2) {
    for (size_t at = 0; at + run <= (plan.*list).size() && (plan.*list).size() - run >= least;) {
      Plan smaller = plan;
      auto& left = smaller.*list;
      left.erase(left.begin() + static_cast<ptrdiff_t>(at), left.begin() + static_cast<ptrdiff_t>(at + run));
      if (Broken(smaller, metrics)) {
        plan = std::move(smaller);
      } else {
        at += run;
      }
    }
  }
}

}  // namespace

Result Play(const Plan& plan, metrics::Registry& metrics, std::FILE* trace) {
  World world(plan, trace, metrics);
  std::vector<std::unique_ptr<Submitter>> submitters;
  for (const JobPlan& job : plan.jobs) {
    submitters.push_back(std::make_unique<Submitter>(world, job));
    submitters.back()->Start();
  }
  world.taken_up = [&](const std::string& job, CoordinatorNode& coordinator) {
    for (size_t i = 0; i < plan.jobs.size(); ++i) {
      if (plan.jobs[i].id == job) submitters[i]->TakenUp(coordinator);
    }
  };
  for (const auto& coordinator : world.coordinators) coordinator->Start();
  for (const auto& worker : world.workers) worker->Start();
  for (const Fault& fault : plan.faults) {
    world.timeline.At(fault.at, [&world, &fault] { Strike(world, fault); });
  }
  const absl::Time deadline = Deadline(plan);
  while (world.promises.broken().empty() && !(world.promises.AllEnded() && !world.faulty())) {
    if (!world.timeline.Step()) break;
    if (world.timeline.now() > deadline || world.timeline.happened() > kMaxSteps) {
      world.promises.Break("not everything ends: %s", world.promises.Unfinished());
    }
  }
  if (world.promises.broken().empty()) world.promises.CheckAll(*world.store);
  Result result;
  result.broken = world.promises.broken();
  result.steps = world.timeline.happened();
  result.simulated = world.timeline.now() - Timeline::Start();
  result.starts = world.promises.starts();
  result.leases = world.promises.leases();
  result.deaths = world.promises.deaths();
  for (const JobPlan& job : plan.jobs) result.items += job.items.size();
  return result;
}

Plan Shrink(const Plan& plan, metrics::Registry& metrics) {
  Plan small = plan;
  ShrinkList(small, &Plan::faults, 0, metrics);
  ShrinkList(small, &Plan::jobs, 1, metrics);
  ShrinkList(small, &Plan::faults, 0, metrics);
  return small;
}

std::string Describe(const Plan& plan) {
  std::string text = absl::StrFormat(
      "seed %d: %d coordinators, %d workers of %d items, %d at a time, chunks of %d, clocks within %.1f %%\n",
      plan.seed, plan.coordinators, plan.workers, plan.capacity_items, plan.concurrency, plan.chunk_items,
      plan.skew * 100);
  for (const JobPlan& job : plan.jobs) {
    absl::StrAppendFormat(&text, "  %s: %d items in %d shards%s%s%s%s\n", job.id, job.items.size(),
                          job.shards.size(), job.poisoned() ? ", poisoned" : "",
                          job.breaks_off ? ", breaks off" : "",
                          job.pause != absl::InfiniteFuture() ? ", is paused" : "",
                          job.cancel != absl::InfiniteFuture() ? ", is cancelled" : "");
  }
  for (const Fault& fault : plan.faults) {
    absl::StrAppendFormat(&text, "  at %.3f s: %s (%d) for %s\n",
                          absl::ToDoubleSeconds(fault.at - Timeline::Start()), NameOf(fault.kind), fault.whom,
                          absl::FormatDuration(fault.lasts));
  }
  return text;
}

}  // namespace imgfleet::simulation
