// What the coordinator does once it has a store: the ledger, lists, the express lane, and the gRPC services over them. Knows
// no server and no address.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "coordinator/coordinator.h"
#include "coordinator/service/express_lane.h"
#include "coordinator/service/job_watch.h"
#include "coordinator/service/jobs_service.h"
#include "coordinator/service/ledger_metrics.h"
#include "coordinator/service/list_files.h"
#include "coordinator/service/threads.h"
#include "coordinator/service/workers_service.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/store.h"

namespace imgfleet {

// Thread-safe but for its end.
class Services {
 public:
  // `metrics` and `clock` must outlive it.
  Services(const Coordinator::Options& options, std::unique_ptr<store::Store> store,
           metrics::Registry& metrics, const Clock& clock);

  // Takes up what nobody reads. Once.
  absl::Status Begin() { return lists_.Resume(); }
  // Ends streams and whatever waits, so that a server can be shut down.
  void Close();
  // Ends the rest: finishes what the ledger was asked, and answers it. After the server's end, before that of this.
  void Stop();

  v1::Jobs::CallbackService& jobs() { return jobs_; }
  v1::Workers::CallbackService& workers() { return workers_; }
  // As Ledger::Health has it. Not after Stop.
  absl::Status Health() const { return ledger_->Health(); }

 private:
  // In the order in which they are made; what stands above serves what stands below.
  service::JobWatch watch_;
  service::Threads readers_;
  std::unique_ptr<store::Ledger> ledger_;
  std::unique_ptr<service::LedgerMetrics> counting_;
  std::unique_ptr<store::Ledger> express_ledger_;
  service::WorkersService workers_;
  service::ExpressLane express_;
  service::ListFiles lists_;
  service::JobsService jobs_;
  std::shared_ptr<void> listening_;
  std::shared_ptr<void> listening_express_;
};

}  // namespace imgfleet
