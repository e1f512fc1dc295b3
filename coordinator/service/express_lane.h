// The express lane: short requests, answered while their caller waits, without a disk.
//
// Each is a job of a ledger of its own, on the memory store, with an id that tells so (lane.h): leases, epochs and losses
// are what they are for any job, but nothing is tried here (core/trials.h): nobody has time to wait for an idle worker. Workers get its leases before others, into whatever room they have (work_session.h).
// A request is taken only where the workers of this coordinator have room for it at once. One that loses its worker goes to
// another; where there is none any more, or it has lost several, it ends, with the outcomes it has, and its caller asks again for the others.
//
// Bounded: so many requests at once, with so many bytes of items; each is forgotten with its last outcome, or when its
// caller leaves. What a slow caller has not read yet is at most the outcomes of its items.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "coordinator/store/ledger.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::service {

class ExpressLane {
 public:
  struct Options {
    int max_items = 64;  // Of one request.
    size_t max_requests = 1024;
    uint64_t max_bytes = 64 << 20;  // Of items, all requests together.
  };
  // Tells workers of shards with so many items; false where they have no room for them.
  using Offer = std::function<bool(uint64_t items)>;
  using JobEnded = std::function<void(const std::string& job_id)>;
  // What came since the last call, in the order of commits; with `end` it was the last call. Called on the ledger's
  // thread, or from Cancel and Close; must not block.
  using Hear = std::function<void(std::vector<core::StoredChunk> chunks, std::optional<absl::Status> end)>;

  // `ledger` is of the lane alone. `job_ended` is told of jobs that ended with items that are still leased.
  ExpressLane(store::Ledger& ledger, const Clock& clock, Options options, Offer offer, JobEnded job_ended);

  // Takes a request; `hear` gets the rest, a refusal for want of workers included. Returns what to cancel it by.
  //   INVALID_ARGUMENT    no items, or a bad spec
  //   RESOURCE_EXHAUSTED  too many items, or too many requests
  absl::StatusOr<std::string> Start(const v1::FetchNowRequest& request, Hear hear);
  // The caller has left.
  void Cancel(const std::string& id);
  // What the ledger's listener says.
  void Changed(const store::Ledger::Changes& changes);
  // A worker went away, perhaps with an offer that it did not take.
  void WorkerLeft();
  // Ends all requests, and new ones at once: the coordinator stops.
  void Close();

  size_t requests() const;

 private:
  struct Request {
    Hear hear;
    uint64_t bytes = 0;
    uint64_t after = 0;  // Chunks up to this commit_seq were handed on. Of the ledger's thread.
  };

  absl::Status Admit(const std::string& id, uint64_t items, std::shared_ptr<Request> request);
  std::shared_ptr<Request> Find(const std::string& id) const;
  void Deliver(const std::string& id);
  void OfferWork();
  // Ends every request with a shard that nobody has leased.
  void RefuseWaiting();
  void End(const std::string& id, std::vector<core::StoredChunk> chunks, absl::Status status);

  store::Ledger& ledger_;
  const Clock& clock_;
  const Options options_;
  const Offer offer_;
  const JobEnded job_ended_;

  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<std::string, std::shared_ptr<Request>> requests_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t fresh_items_ ABSL_GUARDED_BY(mutex_) = 0;  // Of requests since the last offer.
};

}  // namespace imgfleet::service
