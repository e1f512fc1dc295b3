#include "coordinator/service/ledger_metrics.h"

#include <string>

#include "common/outcome/reasons.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {
namespace {

constexpr char kOutcomes[] = "imgfleet_coordinator_outcomes_total";
constexpr char kOutcomesHelp[] = "Outcomes committed, by reason of the failure.";

}  // namespace

LedgerMetrics::LedgerMetrics(store::Ledger& ledger, metrics::Registry& metrics)
    : ledger_(ledger),
      metrics_(metrics),
      succeeded_(metrics.Counter(kOutcomes, kOutcomesHelp, {{"reason", ""}})),
      fetched_bytes_(metrics.Counter("imgfleet_coordinator_fetched_bytes_total",
                                     "Body bytes that workers fetched for these outcomes.")),
      lapsed_(metrics.Counter("imgfleet_coordinator_leases_lapsed_total",
                              "Leases that ran out, their worker silent or gone.")),
      leases_(metrics.Gauge("imgfleet_coordinator_leases", "Leases that are held.")),
      items_pending_(metrics.Gauge(
          "imgfleet_coordinator_items_pending",
          "Items in the store without an outcome, of jobs that have not ended and are not paused; the "
          "same at each coordinator of a store.")),
      refreshing_(metrics.OnRender([this] { Refresh(); })) {}

void LedgerMetrics::Count(const store::Ledger::Changes& changes) {
  lapsed_.Increment(static_cast<double>(changes.leases_lapsed));
  succeeded_.Increment(static_cast<double>(changes.outcomes.succeeded));
  fetched_bytes_.Increment(static_cast<double>(changes.outcomes.fetched_bytes));
  for (const auto& [reason, count] : changes.outcomes.reasons) {
    const std::string name(outcome::ReasonName(static_cast<v1::ItemError::Reason>(reason)));
    metrics_.Counter(kOutcomes, kOutcomesHelp, {{"reason", name}}).Increment(static_cast<double>(count));
  }
}

// A store that fails now leaves the figures as they were.
void LedgerMetrics::Refresh() {
  const absl::StatusOr<core::Census> census = ledger_.TakeCensus();
  if (!census.ok()) return;
  leases_.Set(static_cast<double>(census->leases));
  items_pending_.Set(static_cast<double>(census->items_pending));
  for (int state = v1::Job::READING; state <= v1::Job::State_MAX; ++state) {
    const auto found = census->jobs.find(static_cast<core::JobState>(state));
    metrics_
        .Gauge("imgfleet_coordinator_jobs", "Jobs in the store, by state.",
               {{"state", v1::Job::State_Name(static_cast<v1::Job::State>(state))}})
        .Set(found == census->jobs.end() ? 0 : static_cast<double>(found->second));
  }
}

}  // namespace imgfleet::service
