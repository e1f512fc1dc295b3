// One stream between a worker and a coordinator. Messages keep their order within it and take their time; when it breaks,
// what is under way is lost or still arrives, each way by itself, and the ends learn of it one after the other: so a
// coordinator may hear an old stream's messages after a new stream's.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/service/work_streams.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "tests/simulation/world.h"

namespace imgfleet::simulation {

class Link final : public service::Wire, public std::enable_shared_from_this<Link> {
 public:
  Link(World& world, WorkerNode& worker, CoordinatorNode& coordinator);

  // The worker dials; the coordinator, if it is up, hears of it.
  void Open();

  // --- The worker's end ---------------------------------------------------------------------------------------
  void Send(const v1::WorkerMessage& message);
  void CloseSending();

  // --- The coordinator's end: service::Wire --------------------------------------------------------------------
  void StartRead() override;
  void StartWrite(const v1::CoordinatorMessage& message) override;
  void Finish(const absl::Status& status) override;

  // --- Faults -------------------------------------------------------------------------------------------------
  struct Cut {
    bool up_arrives = false;    // What the worker has sent.
    bool down_arrives = false;  // What the coordinator has sent.
    absl::Duration worker_learns = absl::ZeroDuration();
    absl::Duration coordinator_learns = absl::ZeroDuration();
  };
  void Break(const Cut& cut);
  // Nothing moves for so long.
  void Stall(absl::Duration lasts);

  bool over() const { return cut_ || finished_; }
  WorkerNode& worker() { return worker_; }
  CoordinatorNode& coordinator() { return coordinator_; }

 private:
  struct Arrived {
    v1::WorkerMessage message;
    bool end = false;
  };

  absl::Duration Latency();
  // How long until something that is sent now arrives, behind what was sent before.
  absl::Duration Behind(absl::Time& last);
  void Up(Arrived arrived);
  void Deliver();
  void Observe(const v1::WorkerMessage& message);
  void Observe(const v1::CoordinatorMessage& message);
  // Done at the coordinator, as long as it is the process that took this stream.
  void AtCoordinator(absl::Duration wait, std::function<void()> what);
  // Done at the worker, as long as it is the process that opened this stream.
  void AtWorker(absl::Duration wait, std::function<void()> what);
  void Conclude();

  World& world_;
  WorkerNode& worker_;
  CoordinatorNode& coordinator_;
  const uint64_t worker_life_;
  uint64_t coordinator_life_ = 0;
  std::shared_ptr<service::WorkStream> stream_;  // Null until the coordinator has heard of it.

  std::optional<Cut> cut_;
  absl::Time last_up_, last_down_;  // When what was sent last arrives.
  std::deque<Arrived> inbox_;       // At the coordinator.
  bool reading_ = false;
  bool writing_ = false;
  bool finished_ = false;
  bool concluded_ = false;
  bool worker_knows_ = false;
};

}  // namespace imgfleet::simulation
