// A worker: the shipped Agent, with a fetch engine that needs the time that the plan says, and a process around both that
// connects, drains, dies and is started again as agent_thread.cc and systemd do it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "tests/simulation/link.h"
#include "tests/simulation/world.h"
#include "worker/agent/agent.h"

namespace imgfleet::simulation {

class WorkerNode final : public Node {
 public:
  WorkerNode(World& world, std::string name, double rate) : Node(world, std::move(name), rate) {}

  void Start();

  // --- Faults -------------------------------------------------------------------------------------------------
  // The process dies and comes back after that time. A machine that dies takes its connections with it without a word.
  void Kill(absl::Duration back, bool machine);
  // SIGTERM: it drains within `timeout` and ends.
  void Drain(absl::Duration timeout);
  // No coordinator is reached for so long.
  void Isolate(absl::Duration lasts);
  Link* link() { return link_.get(); }

  // --- Of the network -----------------------------------------------------------------------------------------
  void Received(const Link& link, const v1::CoordinatorMessage& message);
  void StreamEnded(const Link& link, const absl::Status& status);

  std::string worker_id() const { return worker_id_of(life()); }
  std::string worker_id_of(uint64_t life) const { return absl::StrCat(name(), ".", life); }
  // Whether this is the living process of that id and holds that lease.
  bool Holds(const std::string& worker, const core::LeaseRef& lease) const;

 private:
  struct Running {
    std::string job;
    uint64_t first_index = 0;
    bool abandoned = false;
  };

  void Turn() override;
  void Connect(absl::Time now);
  void DrainOn(absl::Time now);
  void Do(agent::Agent::Output output);
  void StartItem(const agent::Agent::StartItem& item);
  void FinishItem(uint64_t lease, uint32_t offset, const std::string& job, uint64_t index);
  void Exit();
  void WakeAt(absl::Time local);

  std::unique_ptr<agent::Agent> agent_;
  std::shared_ptr<Link> link_;  // Null while there is none.
  std::map<uint64_t, Running> leases_;
  std::string buffer_;
  uint64_t fetched_ = 0;
  bool welcomed_ = false;
  uint32_t failures_ = 0;
  absl::Time connect_at_ = absl::InfinitePast();     // All by its own clock.
  absl::Duration drain_ = absl::InfiniteDuration();  // Finite: drain, within that.
  absl::Time give_up_at_ = absl::InfiniteFuture();
  absl::Time farewell_at_ = absl::InfiniteFuture();
  bool finished_ = false;
  absl::Time isolated_until_ = absl::InfinitePast();  // Simulated time.
  absl::Time wake_at_ = absl::InfiniteFuture();       // Simulated time.
};

}  // namespace imgfleet::simulation
