// The Workers service: carries each worker's stream over gRPC to the WorkStreams of this coordinator.
//
// Thread-safe.
#pragma once

#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "coordinator/service/origin_desk.h"
#include "coordinator/service/work_streams.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"

namespace imgfleet::service {

class WorkersService final : public v1::Workers::CallbackService {
 public:
  struct Options {
    WorkSession::Options session;
    // A stream is ended after this time, shortened by up to a tenth at random, so that load spreads over coordinators
    // and workers do not come back all at once.
    absl::Duration max_stream_age = absl::Minutes(10);
    core::OriginShares::Options origins;
  };

  // The ledgers must outlive every stream; `metrics` this. `express` null: there is no express lane.
  WorkersService(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics, Options options,
                 store::Ledger* express = nullptr, OriginDesk::Cluster cluster = {});

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Work(
      grpc::CallbackServerContext* context) override;

  // As WorkStreams has them.
  void WorkAvailable() { streams_.WorkAvailable(); }
  void JobEnded(absl::string_view job_id) { streams_.JobEnded(job_id); }
  bool OfferExpress(uint64_t items) { return streams_.OfferExpress(items); }
  void OnWorkerLeft(std::function<void()> left) { streams_.OnWorkerLeft(std::move(left)); }
  void Close() { streams_.Close(); }
  size_t workers() const { return streams_.workers(); }

 private:
  const Options options_;
  WorkStreams streams_;
  OriginDesk origins_;
};

}  // namespace imgfleet::service
