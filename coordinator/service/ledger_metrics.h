// What the ledger holds and what it committed, for Prometheus.
//
//   imgfleet_coordinator_outcomes_total{reason}   committed outcomes, with reason "" for measurements
//   imgfleet_coordinator_fetched_bytes_total      body bytes fetched for them
//   imgfleet_coordinator_leases_lapsed_total      leases that ran out
//   imgfleet_coordinator_jobs{state}              jobs in the store
//   imgfleet_coordinator_leases                   leases that are held
//   imgfleet_coordinator_items_pending            items that workers are owed for: the backlog, to scale by
//
// Counters count what this coordinator committed; the gauges are read from the store when they are asked for, so
// coordinators that share a store show the same. They cost as much as there are jobs that have not ended, and leases.
#pragma once

#include <memory>

#include "common/metrics/metrics.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::service {

// Thread-safe. Must be gone before the ledger.
class LedgerMetrics {
 public:
  LedgerMetrics(store::Ledger& ledger, metrics::Registry& metrics);

  // What the ledger's listener says.
  void Count(const store::Ledger::Changes& changes);

 private:
  void Refresh();

  store::Ledger& ledger_;
  metrics::Registry& metrics_;
  prometheus::Counter& succeeded_;
  prometheus::Counter& fetched_bytes_;
  prometheus::Counter& lapsed_;
  prometheus::Gauge& leases_;
  prometheus::Gauge& items_pending_;
  const std::shared_ptr<void> refreshing_;
};

}  // namespace imgfleet::service
