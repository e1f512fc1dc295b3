// What one seed plays: how many nodes, which jobs, and which faults when. Made of the seed before anything happens, so
// that a failing run can be played again with fewer faults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace imgfleet::simulation {

enum class ItemKind {
  kSucceeds,
  kFails,
  kPutOff,  // Its origin asks to wait, some times; then it succeeds.
  kPoison,  // Kills the worker that starts it.
  kBadRow,  // Has its outcome when the list is read.
};

struct ItemPlan {
  ItemKind kind = ItemKind::kSucceeds;
  absl::Duration takes;
  uint32_t put_offs = 0;
};

struct JobPlan {
  std::string id;
  std::vector<uint32_t> shards;  // Items of each.
  std::vector<ItemPlan> items;
  absl::Time submit;
  absl::Duration append_gap;  // Between two shards of its list.
  bool upload = false;        // Its list cannot be read again.
  bool breaks_off = false;    // After its last shard.
  absl::Time cancel = absl::InfiniteFuture();
  absl::Time pause = absl::InfiniteFuture();
  absl::Time resume = absl::InfiniteFuture();
  absl::Time prioritize = absl::InfiniteFuture();
  int32_t priority = 0;  // From `prioritize` on.

  bool poisoned() const;
};

enum class FaultKind {
  kCutStream,          // A connection breaks; both ends learn of it at once.
  kSilentCut,          // They learn of it one after the other, what is under way may still arrive.
  kKillWorker,         // SIGKILL.
  kWorkerMachineDies,  // The same, and nobody tells the coordinator.
  kStopWorker,         // SIGSTOP, then SIGCONT.
  kDrainWorker,        // SIGTERM.
  kIsolateWorker,      // Reaches no coordinator for a while.
  kStall,              // A stream carries nothing for a while.
  kKillCoordinator,    // SIGKILL.
  kKillAfterCommit,    // SIGKILL when a transaction is durable and nobody was told.
  kStopCoordinator,    // SIGSTOP, then SIGCONT.
  kCloseCoordinator,   // SIGTERM.
  kStoreFails,         // Transactions fail, and nothing of them is stored.
  kStoreFailsDurable,  // Transactions fail, though they are stored.
  kStoreIsSlow,
  kKillFleet,  // SIGKILL to all workers.
  kLast = kKillFleet,
};

const char* NameOf(FaultKind kind);

struct Fault {
  FaultKind kind = FaultKind::kCutStream;
  absl::Time at;
  absl::Duration lasts;
  uint32_t whom = 0;  // Modulo the number of nodes.
  double chance = 1;  // Where it happens now and then while it lasts.
};

struct Plan {
  uint64_t seed = 0;
  uint32_t workers = 1;
  uint32_t coordinators = 1;
  uint32_t capacity_items = 16;
  uint32_t concurrency = 0;  // As workers say it; 0: they do not.
  uint32_t chunk_items = 8;
  double skew = 0;           // Rates of the workers' clocks differ from 1 by at most this.
  double repeats = 0;        // Share of messages that come twice.
  double slow_messages = 0;  // Share of messages that take seconds.
  absl::Duration latency;    // Of a message at most, mostly.
  absl::Duration commit;     // Of a transaction at most, mostly.
  std::vector<JobPlan> jobs;
  std::vector<Fault> faults;
  absl::Time faults_end;  // From here on nothing goes wrong any more.

  bool Has(FaultKind kind) const;
  bool Pauses() const;
  // What is reported arrives and takes effect, under a clock that all agree on: a worker lets go of a lease before another
  // can get it.
  bool Orderly() const;
  // Nothing goes wrong at all but that messages and transactions take their time: no item is fetched twice.
  bool Calm() const;
};

Plan MakePlan(uint64_t seed);

}  // namespace imgfleet::simulation
