// A task brings one item to its outcome: the border between the agent, which knows leases, and the fetch
// engine, which knows bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"
#include "proto/imgfleet/v1/worker.pb.h"

namespace imgfleet::task {

// What all items of one lease share. The agent sets `abandoned` when the lease is void or handed back: items
// not begun are then dropped, running ones are broken off. Their `done` is still called, and its outcome goes
// nowhere.
struct Lease {
  v1::JobSpec spec;
  std::atomic<bool> abandoned{false};
  // Called instead of an item's `done` where its origin wants to be asked again only after `wait`. `outcome` is what the
  // item ends with, should it not be put off. Null: `done` is called with it.
  std::function<void(uint64_t index, const v1::Outcome& outcome, absl::Duration wait)> put_off;
  // The worker drains: items of which nothing was sent yet are not begun any more, and `not_begun` is called for each
  // instead of its `done`, like that. Null: there are none such.
  std::atomic<bool> closing{false};
  std::function<void()> not_begun;
};

struct Item {
  uint64_t index = 0;
  std::string id;
  std::string url;
  std::shared_ptr<const Lease> lease;  // To be held until `done` has returned.
  // Called exactly once, on an engine thread or from Start; must not block. The outcome carries index, id and url.
  std::function<void(const v1::Outcome&)> done;
  // Begun before all that are not.
  bool urgent = false;
};

// Thread-safe.
class Runner {
 public:
  virtual ~Runner() = default;
  // Queues the items; begins them in order as concurrency allows, urgent ones first. Bounded by its caller: the agent's
  // credit.
  virtual void Start(std::vector<Item> items) = 0;
  // Looks at `abandoned` and `closing` of all that is queued or running, now.
  virtual void DropAbandoned() = 0;
  // Items it can usefully hold (running and queued): the agent's credit.
  virtual uint32_t capacity() const = 0;
  // How many items it works on at a time; 0: as many as it is given.
  virtual uint32_t concurrency() const { return 0; }
  // Whether it could work on more of other origins now, though it holds so many.
  virtual bool WaitsForOrigins(uint64_t /*held*/) const { return false; }

  // --- Origins' budgets, where a coordinator deals them out. A runner that has none does nothing.

  // A coordinator deals: `wake` is called, from any thread, when there is something to report at once. Null: none does.
  virtual void HearOrigins(std::function<void()> /*wake*/) {}
  // What is to be reported now; `all`: of all origins in use. Without number; empty where there is nothing to say.
  virtual v1::OriginReport ReportOrigins(bool /*all*/, absl::Time /*now*/) { return {}; }
  // `reported`: when the report that they answer was sent.
  virtual void KeepPermits(const v1::OriginPermits& /*permits*/, absl::Time /*reported*/,
                           absl::Time /*now*/) {}
  // The stream to the coordinator is broken: no permit holds any more.
  virtual void LosePermits(absl::Time /*now*/) {}
};

}  // namespace imgfleet::task
