// The Workers service: gives each stream a WorkSession and carries its messages and calls.
//
// Thread-safe. Only one stream counts per worker_id: a newer one ends the older. Nothing is sent and no ledger is
// waited for under a lock.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "coordinator/service/work_session.h"
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
  };

  // The ledger must outlive every stream; `metrics` this.
  WorkersService(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics, Options options);
  ~WorkersService() override;

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Work(
      grpc::CallbackServerContext* context) override;

  // What the ledger's listener says.
  void WorkAvailable();
  // The job was cancelled or failed: workers stop with it now, not at their next report.
  void JobEnded(absl::string_view job_id);
  // Ends all streams, and new ones at once: the coordinator stops.
  void Close();

  // Streams that were welcomed.
  size_t workers() const;

 private:
  class Stream;
  struct Counters;

  // The stream has said who it is: an older one of the same worker ends.
  void Enter(const std::string& worker_id, const std::shared_ptr<Stream>& stream);
  // The stream is over.
  void Leave(const std::string& worker_id, const std::shared_ptr<Stream>& stream);
  std::vector<std::shared_ptr<Stream>> Streams() const;

  store::Ledger& ledger_;
  const Clock& clock_;
  const Options options_;
  const std::unique_ptr<Counters> counters_;

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::shared_ptr<Stream>> by_worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::service
