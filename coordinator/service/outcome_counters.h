// Outcomes by reason, for Prometheus.
#pragma once

#include "common/metrics/metrics.h"
#include "coordinator/core/types.h"

namespace imgfleet::service {

// imgfleet_coordinator_outcomes_total{reason}, with reason "" for measurements. Thread-safe.
class OutcomeCounters {
 public:
  explicit OutcomeCounters(metrics::Registry& metrics);
  void Add(const core::Counts& counts);

 private:
  metrics::Registry& metrics_;
  prometheus::Counter& succeeded_;
  prometheus::Counter& fetched_bytes_;
};

}  // namespace imgfleet::service
