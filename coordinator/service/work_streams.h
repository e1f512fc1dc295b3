// The worker streams of one coordinator, whatever carries them: each has a WorkSession, whose calls go to the ledger
// and whose messages go to a Wire. gRPC is one (workers_service.cc), the simulation's network another; both run this
// code.
//
// Thread-safe. Only one stream counts per worker_id: a newer one ends the older. Nothing is sent and no ledger is
// waited for under a lock.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "coordinator/service/origin_desk.h"
#include "coordinator/service/work_session.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/worker.pb.h"

namespace imgfleet::service {

// Carries one stream. What is started here ends with a call of WorkStream's, never within the call that starts it. Calls
// come one at a time, under the stream's lock, and must not wait; none comes after Finish.
class Wire {
 public:
  virtual ~Wire() = default;
  // The worker's next message: ends with OnRead or OnReadsDone.
  virtual void StartRead() = 0;
  // Ends with OnWritten. One at a time; the message stays where it is until then.
  virtual void StartWrite(const v1::CoordinatorMessage& message) = 0;
  // The stream ends with this status: ends with OnDone.
  virtual void Finish(const absl::Status& status) = 0;
};

class WorkStreams;

// One worker's stream. The ledger's callbacks hold it beyond the end of its wire.
class WorkStream : public std::enable_shared_from_this<WorkStream> {
 public:
  // What the wire says.
  void OnRead(const v1::WorkerMessage& message);
  void OnReadsDone();
  void OnWritten(bool ok);
  void OnDone();

  void Begin();
  void End(absl::Status status);
  void WorkAvailable(Lane lane);
  void JobEnded(absl::string_view job_id);
  // Beside what the session says.
  void Send(v1::CoordinatorMessage message);

  // Items for which the worker has room.
  uint64_t room() const;
  // Leases that the worker is believed to hold.
  size_t leases() const;

 private:
  friend class WorkStreams;
  WorkStream(WorkStreams& streams, Wire& wire, uint64_t number);

  // The Hello was taken: leases of an older stream lapse unless this one renews them, which it can only do after this.
  void Entered();
  template <typename Feed>
  void Do(Feed feed);
  void StartWhatIsDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Stuffed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Call(LedgerCall call);
  std::string worker_id() const;
  bool draining() const;

  WorkStreams& streams_;
  Wire& wire_;
  const uint64_t number_;

  mutable absl::Mutex mutex_;
  WorkSession session_ ABSL_GUARDED_BY(mutex_);
  v1::CoordinatorMessage current_ ABSL_GUARDED_BY(mutex_);  // Of the write in flight.
  std::deque<v1::CoordinatorMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  size_t committing_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

class WorkStreams {
 public:
  // The ledgers must outlive every stream; `metrics` this. `express` null: there is no express lane.
  WorkStreams(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics,
              WorkSession::Options options, store::Ledger* express = nullptr);
  ~WorkStreams();

  // Where reports of origins go, for as long as the streams live. To be called before the first stream comes.
  void SetOrigins(OriginDesk* origins) { origins_ = origins; }
  // To the worker's stream; dropped where there is none.
  void Send(const std::string& worker_id, v1::CoordinatorMessage message);

  // A worker dialled in. To be begun once its wire is ready to be called; `wire` must live until OnDone.
  std::shared_ptr<WorkStream> Open(Wire& wire);

  // What the durable ledger's listener says.
  void WorkAvailable();
  // The express ledger has shards of so many items: the worker with the most room is told, or all where they do not fit
  // there. False, and nobody is told, where there is no room for them in all workers together.
  bool OfferExpress(uint64_t items);
  // `left` is called whenever a worker has gone. Before the first stream.
  void OnWorkerLeft(std::function<void()> left) { worker_left_ = std::move(left); }
  // The job was cancelled or failed: workers stop with it now, not at their next report.
  void JobEnded(absl::string_view job_id);
  // Ends all streams, and new ones at once: the coordinator stops.
  void Close();

  // Streams that were welcomed.
  size_t workers() const;

 private:
  friend class WorkStream;
  struct Counters;

  // The stream has said who it is: an older one of the same worker ends.
  void Enter(const std::string& worker_id, const std::shared_ptr<WorkStream>& stream);
  // The stream is over.
  void Leave(const std::string& worker_id, const std::shared_ptr<WorkStream>& stream);
  std::vector<std::shared_ptr<WorkStream>> Streams() const;

  // Without an express lane nothing lives there: the durable ledger says so, too.
  store::Ledger& LedgerOf(Lane lane) const {
    return lane == Lane::kExpress && express_ != nullptr ? *express_ : ledger_;
  }
  void Disconnected(const std::string& worker_id, bool in_peace);

  store::Ledger& ledger_;
  store::Ledger* const express_;
  const Clock& clock_;
  const WorkSession::Options options_;
  const std::unique_ptr<Counters> counters_;
  std::function<void()> worker_left_;
  OriginDesk* origins_ = nullptr;

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t opened_ ABSL_GUARDED_BY(mutex_) = 0;
  // In the order in which they came, in which they are told of work.
  std::map<uint64_t, std::shared_ptr<WorkStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<WorkStream>> by_worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::service
