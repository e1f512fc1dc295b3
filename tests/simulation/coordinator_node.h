// A coordinator: the shipped ledger and worker streams on a store that all coordinators share and that outlives them.
// What is committed takes its time; then the ledger is turned by hand.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/service/work_streams.h"
#include "coordinator/store/ledger.h"
#include "tests/simulation/link.h"
#include "tests/simulation/world.h"

namespace imgfleet::simulation {

class CoordinatorNode final : public Node {
 public:
  CoordinatorNode(World& world, std::string name) : Node(world, std::move(name), 1) {}
  ~CoordinatorNode() override;

  void Start();
  // A worker is on its way here; then it has come.
  void Dialled(Link& link);
  std::shared_ptr<service::WorkStream> Accept(Link& link);
  void Forget(const Link& link);
  // Only while it runs.
  store::Ledger& ledger() { return *ledger_; }
  // It has begun to read that job's list.
  void Reads(const std::string& job) { reading_.insert(job); }
  // What the Jobs service does when it has cancelled a job.
  void JobEnded(const std::string& job) { streams_->JobEnded(job); }

  // --- Faults -------------------------------------------------------------------------------------------------
  void Kill(absl::Duration back);
  // Dies of the next transaction: it is durable, and nobody is told.
  void KillAfterCommit(absl::Duration back);
  // SIGTERM: ends its streams, finishes what was asked.
  void Close(absl::Duration back);
  // Its workers give it up, as it answers no ping.
  void LoseWorkersAfter(absl::Duration wait);
  struct StoreFaults {
    absl::Time until = absl::InfinitePast();
    double chance = 1;
  };
  void StoreFails(StoreFaults faults, bool durable) { (durable ? fails_durable_ : fails_) = faults; }
  void StoreIsSlow(absl::Time until) { slow_until_ = until; }

 private:
  class ThisStore;

  void Turn() override;
  void TurnLedger();
  void LookForNews();
  void KeepReadings();
  void Tear();
  void LoseStreams(bool learned);

  std::unique_ptr<store::Ledger> ledger_;
  std::unique_ptr<service::WorkStreams> streams_;
  std::shared_ptr<void> listening_;
  std::set<std::string> reading_;             // Jobs whose lists it reads.
  std::vector<std::shared_ptr<Link>> links_;  // To it, and not over.
  bool turning_ = false;                      // A turn of the ledger is under way.
  bool booted_ = false;
  absl::Time due_at_ = absl::InfiniteFuture();  // When it is looked at next for what falls due.
  bool dying_ = false;
  bool dead_ = false;  // Its transactions fail: it is only to be taken away.
  absl::Duration back_;
  std::function<void(store::News)> hear_;
  StoreFaults fails_, fails_durable_;
  absl::Time slow_until_ = absl::InfinitePast();
};

}  // namespace imgfleet::simulation
