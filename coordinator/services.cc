#include "coordinator/services.h"

#include <utility>

#include "common/ids.h"
#include "coordinator/service/origin_desk.h"
#include "coordinator/store/memory_store.h"
#include "coordinator/store/open_store.h"

namespace imgfleet {
namespace {

service::WorkersService::Options WorkersOptions(const Coordinator::Options& options) {
  service::WorkersService::Options workers;
  workers.session.lease_period = options.lease_period;
  workers.session.report_interval = options.lease_period / 3;
  workers.max_stream_age = options.max_stream_age;
  for (const std::string& text : options.origin_limits) {
    if (auto limit = service::ParseOriginLimit(text); limit.ok()) workers.origins.limits.insert(*limit);
  }
  return workers;
}

// What is done there ends with the call that asked for it, so there is nothing to retain. Quotas hold here by themselves: as
// many requests at a time as jobs, with as many items.
store::Ledger::Options ExpressOptions(const Coordinator::Options& options) {
  store::Ledger::Options ledger;
  ledger.lease_period = options.lease_period;
  // Somebody waits: no longer than a stream that has reached its age takes to be opened again.
  ledger.disconnect_grace = absl::Milliseconds(300);
  ledger.holds_trials = false;
  ledger.quotas = options.quotas;
  return ledger;
}

store::Ledger::Options LedgerOptions(const Coordinator::Options& options, const Clock& clock) {
  store::Ledger::Options ledger;
  ledger.lease_period = options.lease_period;
  ledger.coordinator = NewUuid(clock.Wall());
  ledger.quotas = options.quotas;
  ledger.retention = options.retention;
  return ledger;
}

service::OriginDesk::Cluster OriginsCluster(const Coordinator::Options& options, const Clock& clock) {
  service::OriginDesk::Cluster cluster;
  cluster.board = store::OpenOriginBoard(options.store, clock);
  cluster.homes.coordinator = NewUuid(clock.Wall());
  return cluster;
}

lists::Places::Options PlacesOptions(const Coordinator::Options& options) {
  return {options.list_roots,  options.spool,       options.http,   options.s3,
          options.credentials, options.spool_limit, options.parquet};
}

}  // namespace

Services::Services(const Coordinator::Options& options, std::unique_ptr<store::Store> store,
                   metrics::Registry& metrics, const Clock& clock)
    : readers_(options.read_threads),
      ledger_(std::make_unique<store::Ledger>(std::move(store), clock, LedgerOptions(options, clock))),
      counting_(std::make_unique<service::LedgerMetrics>(*ledger_, metrics)),
      express_ledger_(std::make_unique<store::Ledger>(
          store::NewMemoryStore(clock), clock, ExpressOptions(options), store::Ledger::Turned::kByWhoAsks)),
      workers_(*ledger_, clock, metrics, WorkersOptions(options), express_ledger_.get(),
               OriginsCluster(options, clock)),
      express_(
          *express_ledger_, clock, service::ExpressLane::Options(),
          [this](uint64_t items) { return workers_.OfferExpress(items); },
          [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
      lists_(*ledger_, clock, PlacesOptions(options), options.list_threads,
             [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
      jobs_(*ledger_, clock, watch_, readers_, lists_, express_,
            [this](const std::string& job_id) { workers_.JobEnded(job_id); }),
      listening_(ledger_->Listen([this](const store::Ledger::Changes& changes) {
        counting_->Count(changes);
        watch_.Changed(changes.jobs);
        for (const std::string& job_id : changes.stopped) workers_.JobEnded(job_id);
        if (changes.lists_waiting) lists_.LookSoon();
        if (changes.work_available) workers_.WorkAvailable();
      })),
      listening_express_(express_ledger_->Listen([this](const store::Ledger::Changes& changes) {
        counting_->Count(changes);
        express_.Changed(changes);
      })) {
  workers_.OnWorkerLeft([this] { express_.WorkerLeft(); });
}

void Services::Close() {
  express_.Close();
  workers_.Close();
  watch_.Close();
}

void Services::Stop() {
  lists_.Stop();
  readers_.Stop();
  listening_express_.reset();
  listening_.reset();
  counting_.reset();
  express_ledger_.reset();
  // Finishes what is queued, and answers it: to services that are all still there.
  ledger_.reset();
}

}  // namespace imgfleet
