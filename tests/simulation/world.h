// What all parts of a run share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/metrics/metrics.h"
#include "coordinator/store/store.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/promises.h"
#include "tests/simulation/random.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/trace.h"

namespace imgfleet::simulation {

class CoordinatorNode;
class WorkerNode;

inline constexpr absl::Duration kLeasePeriod = absl::Seconds(15);

struct World {
  const Plan& plan;
  Timeline timeline;
  Trace trace;
  Random network;  // Delays, repeats.
  Random nodes;    // All else that happens by chance.
  Promises promises;
  NodeClock store_clock;
  std::unique_ptr<store::Store> store;
  metrics::Registry& metrics;
  std::vector<std::unique_ptr<CoordinatorNode>> coordinators;
  std::vector<std::unique_ptr<WorkerNode>> workers;
  // Times that an item was put off so far, by job and index.
  std::map<std::pair<std::string, uint64_t>, uint32_t> put_offs;

  // A coordinator goes on reading a job's list that another began.
  std::function<void(const std::string& job, CoordinatorNode&)> taken_up;

  World(const Plan& plan, std::FILE* trace, metrics::Registry& metrics);
  ~World();

  // One coordinator, which is the only one that its store knows.
  bool alone() const { return plan.coordinators == 1; }
  bool faulty() const { return timeline.now() < plan.faults_end; }
};

// A process on a machine with a clock of its own.
class Node {
 public:
  Node(World& world, std::string name, double rate)
      : world_(world), name_(std::move(name)), clock_(world.timeline, rate, Timeline::Start()) {}
  virtual ~Node() = default;

  // Happens at this node after `wait`; never where its process has died by then. A stopped node does it when it goes on.
  void Post(absl::Duration wait, std::function<void()> what);
  // SIGSTOP and, after that time, SIGCONT.
  void Pause(absl::Duration lasts);

  const std::string& name() const { return name_; }
  bool running() const { return running_; }
  bool paused() const { return paused_; }
  // Of the process; another one after each death.
  uint64_t life() const { return life_; }

 protected:
  // What the node does after each event.
  virtual void Turn() = 0;
  void Born() { running_ = true; }
  void Died();

  World& world_;
  std::string name_;
  NodeClock clock_;

 private:
  void Do(const std::function<void()>& what);

  bool running_ = false;
  bool paused_ = false;
  uint64_t life_ = 0;
  std::vector<std::function<void()>> deferred_;
};

}  // namespace imgfleet::simulation
