#include "tests/simulation/plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/core/types.h"
#include "tests/simulation/random.h"
#include "tests/simulation/timeline.h"

namespace imgfleet::simulation {
namespace {

enum Purpose : uint64_t { kShape = 1, kJobs = 2, kFaults = 3, kControl = 4 };

absl::Time In(Random& random, absl::Duration within) {
  return Timeline::Start() + random.Between(absl::ZeroDuration(), within);
}

ItemPlan MakeItem(Random& random, absl::Duration takes, double poison, double put_off, double fails) {
  ItemPlan item;
  item.takes = random.Between(absl::Milliseconds(1), takes);
  if (random.Chance(poison)) {
    item.kind = ItemKind::kPoison;
  } else if (random.Chance(put_off)) {
    item.kind = ItemKind::kPutOff;
    item.put_offs = static_cast<uint32_t>(random.Between(1, 7));
  } else if (random.Chance(fails)) {
    item.kind = ItemKind::kFails;
  } else if (random.Chance(0.03)) {
    item.kind = ItemKind::kBadRow;
  }
  return item;
}

JobPlan MakeJob(Random& random, uint32_t number) {
  JobPlan job;
  job.id = absl::StrCat("job-", number);
  job.submit = In(random, absl::Seconds(number == 0 ? 1 : 30));
  job.append_gap =
      random.Chance(0.7) ? absl::Milliseconds(5) : absl::Milliseconds(random.Between(100, 4'000));
  job.upload = random.Chance(0.3);
  job.breaks_off = random.Chance(0.05);
  if (random.Chance(0.1)) job.cancel = job.submit + random.Between(absl::ZeroDuration(), absl::Seconds(20));
  const absl::Duration takes =
      random.Chance(0.5) ? absl::Milliseconds(200) : absl::Seconds(random.Between(1, 6));
  const double put_off = random.Chance(0.15) ? 0.1 : 0;
  const double fails = random.Chance(0.5) ? 0.1 : 0;
  // Poison costs a worker a dozen lives, so there is little of it.
  bool poison = random.Chance(0.15);
  const auto shards = random.Chance(0.03) ? 0 : random.Between(1, random.Chance(0.7) ? 4 : 9);
  const auto most = random.Chance(0.6) ? 12 : 40;
  for (uint32_t i = 0; i < shards; ++i) {
    job.shards.push_back(static_cast<uint32_t>(random.Between(1, most)));
    for (uint32_t item = 0; item < job.shards.back(); ++item) {
      job.items.push_back(MakeItem(random, takes, poison ? 0.05 : 0, put_off, fails));
      if (job.items.back().kind == ItemKind::kPoison) poison = random.Chance(0.2);
    }
  }
  return job;
}

// What its owner does with a job while it is under way.
void Control(Random& random, JobPlan& job) {
  if (random.Chance(0.15)) {
    job.pause = job.submit + random.Between(absl::ZeroDuration(), absl::Seconds(random.Chance(0.7) ? 3 : 20));
    job.resume = job.pause + random.Between(absl::ZeroDuration(), absl::Seconds(random.Chance(0.5) ? 3 : 30));
  }
  if (random.Chance(0.15)) {
    job.prioritize = job.submit + random.Between(absl::ZeroDuration(), absl::Seconds(10));
    job.priority = static_cast<int32_t>(random.Between(0, 8)) + core::kMinPriority;
  }
}

// Which kinds a seed knows at all: a bug that needs two of them is hidden by too many others.
std::vector<FaultKind> SomeKinds(Random& random, uint32_t coordinators) {
  std::vector<FaultKind> kinds;
  const double share = random.Chance(0.5) ? 0.2 : 0.5;
  for (int kind = 0; kind <= static_cast<int>(FaultKind::kLast); ++kind) {
    if (random.Chance(share)) kinds.push_back(static_cast<FaultKind>(kind));
  }
  (void)coordinators;
  return kinds;
}

absl::Duration HowLong(Random& random, FaultKind kind) {
  switch (kind) {
    case FaultKind::kStopWorker:
    case FaultKind::kStopCoordinator:
    case FaultKind::kStall:
    case FaultKind::kIsolateWorker:
      return random.Chance(0.5) ? random.Between(absl::Milliseconds(100), absl::Seconds(5))
                                : random.Between(absl::Seconds(5), absl::Seconds(40));
    case FaultKind::kStoreFails:
    case FaultKind::kStoreFailsDurable:
    case FaultKind::kStoreIsSlow:
      return random.Between(absl::Milliseconds(100), absl::Seconds(10));
    case FaultKind::kDrainWorker:
      return random.Between(absl::ZeroDuration(), absl::Seconds(5));  // The time it is given.
    default:
      return random.Between(absl::Milliseconds(10), absl::Seconds(5));  // Until it is back.
  }
}

}  // namespace

bool JobPlan::poisoned() const {
  return std::any_of(items.begin(), items.end(),
                     [](const ItemPlan& item) { return item.kind == ItemKind::kPoison; });
}

const char* NameOf(FaultKind kind) {
  static constexpr const char* kNames[] = {
      "cut stream",       "silent cut",          "kill worker",      "worker's machine dies",
      "stop worker",      "drain worker",        "isolate worker",   "stall",
      "kill coordinator", "kill after commit",   "stop coordinator", "close coordinator",
      "store fails",      "store fails durable", "store is slow",    "kill fleet"};
  return kNames[static_cast<int>(kind)];
}

bool Plan::Has(FaultKind kind) const {
  return std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) { return fault.kind == kind; });
}

bool Plan::Pauses() const {
  return std::any_of(jobs.begin(), jobs.end(),
                     [](const JobPlan& job) { return job.pause != absl::InfiniteFuture(); });
}

bool Plan::Orderly() const {
  const bool poisoned =
      std::any_of(jobs.begin(), jobs.end(), [](const JobPlan& job) { return job.poisoned(); });
  return skew == 0 && !poisoned && std::all_of(faults.begin(), faults.end(), [](const Fault& fault) {
           return fault.kind == FaultKind::kStoreIsSlow;
         });
}

bool Plan::Calm() const { return Orderly() && faults.empty() && slow_messages == 0 && !Pauses(); }

Plan MakePlan(uint64_t seed) {
  Plan plan;
  plan.seed = seed;
  Random shape(seed, kShape);
  plan.workers = static_cast<uint32_t>(shape.Between(1, 4));
  plan.coordinators = shape.Chance(0.6) ? 1 : static_cast<uint32_t>(shape.Between(2, 3));
  plan.capacity_items =
      static_cast<uint32_t>(shape.Chance(0.5) ? shape.Between(1, 16) : shape.Between(16, 100));
  plan.chunk_items = static_cast<uint32_t>(shape.Between(1, 16));
  plan.skew = shape.Chance(0.5) ? 0 : shape.Unit() * 0.05;
  plan.repeats = shape.Chance(0.5) ? 0 : 0.05;
  plan.slow_messages = shape.Chance(0.7) ? 0 : 0.02;
  plan.latency = shape.Between(absl::Microseconds(100), absl::Milliseconds(shape.Chance(0.7) ? 5 : 200));
  plan.commit = shape.Between(absl::Microseconds(100), absl::Milliseconds(shape.Chance(0.8) ? 5 : 300));
  plan.concurrency = shape.Chance(0.5) ? 0 : static_cast<uint32_t>(shape.Between(1, 32));

  Random jobs(seed, kJobs);
  const uint64_t count = jobs.Between(1, 3);
  for (uint32_t i = 0; i < count; ++i) plan.jobs.push_back(MakeJob(jobs, i));
  Random control(seed, kControl);
  for (JobPlan& job : plan.jobs) Control(control, job);

  Random faults(seed, kFaults);
  const absl::Duration window = faults.Between(absl::Seconds(5), absl::Seconds(60));
  plan.faults_end = Timeline::Start() + window;
  for (const JobPlan& job : plan.jobs) {
    if (job.resume != absl::InfiniteFuture()) plan.faults_end = std::max(plan.faults_end, job.resume);
  }
  if (faults.Chance(0.1)) return plan;
  const std::vector<FaultKind> kinds = SomeKinds(faults, plan.coordinators);
  if (kinds.empty()) return plan;
  const uint64_t many = faults.Between(1, faults.Chance(0.7) ? 8 : 25);
  for (uint64_t i = 0; i < many; ++i) {
    Fault fault;
    fault.kind = kinds[faults.Below(kinds.size())];
    fault.at = In(faults, window);
    fault.lasts = HowLong(faults, fault.kind);
    fault.whom = static_cast<uint32_t>(faults.Below(1000));
    fault.chance = faults.Chance(0.5) ? 1 : 0.3;
    if (fault.kind == FaultKind::kStall && faults.Chance(0.4)) {
      // What it hands back while nothing moves arrives when others have its leases.
      fault.lasts = faults.Between(absl::Seconds(11), absl::Seconds(15));
      Fault drain = fault;
      drain.kind = FaultKind::kDrainWorker;
      drain.at += faults.Between(absl::Milliseconds(10), absl::Seconds(3));
      drain.lasts = faults.Between(absl::ZeroDuration(), absl::Seconds(1));
      plan.faults.push_back(drain);
    }
    plan.faults_end = std::max(plan.faults_end, fault.at + fault.lasts);
    plan.faults.push_back(fault);
  }
  std::stable_sort(plan.faults.begin(), plan.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at < b.at; });
  return plan;
}

}  // namespace imgfleet::simulation
