#include "coordinator/service/outcome_counters.h"

#include <string>

#include "common/outcome/reasons.h"

namespace imgfleet::service {
namespace {

constexpr char kName[] = "imgfleet_coordinator_outcomes_total";
constexpr char kHelp[] =
    "Outcomes acknowledged, by reason of the failure; a chunk that was sent twice counts twice.";

}  // namespace

OutcomeCounters::OutcomeCounters(metrics::Registry& metrics)
    : metrics_(metrics),
      succeeded_(metrics.Counter(kName, kHelp, {{"reason", ""}})),
      fetched_bytes_(metrics.Counter("imgfleet_coordinator_fetched_bytes_total",
                                     "Body bytes that workers fetched for these outcomes.")) {}

void OutcomeCounters::Add(const core::Counts& counts) {
  succeeded_.Increment(static_cast<double>(counts.succeeded));
  fetched_bytes_.Increment(static_cast<double>(counts.fetched_bytes));
  for (const auto& [reason, count] : counts.reasons) {
    const std::string name(outcome::ReasonName(static_cast<v1::ItemError::Reason>(reason)));
    metrics_.Counter(kName, kHelp, {{"reason", name}}).Increment(static_cast<double>(count));
  }
}

}  // namespace imgfleet::service
