// The coordinator's side of one worker's stream as a state machine: what comes in are the worker's messages,
// the ledger's answers and what changed elsewhere; what goes out are messages and calls to the ledger, to be
// made in their order. No I/O, no threads, no clock: a simulation runs the very code that ships.
//
// Credit: the worker's last report says how much room it has and what it holds; leases that were sent after
// it count as held, and what is committed counts no more. Shards are acquired as long as a quarter of the room is
// free, in slices of a quarter, so that several workers that are hungry at once share what there is. The last eighth of
// the room is spare (core::Credit): a job of which the worker holds next to nothing is leased into it at once, whatever
// others have filled. A worker whose slots all wait for slow origins so takes small jobs all the same.
//
// Express jobs (lane.h) have a ledger of their own, which is asked first and whenever it has something, for all the room
// that there is. Their leases are urgent, and are not put off for an origin that asks for it.
//
// Trials (core/shard.h): a lease that must be alone is given to a worker that holds nothing, and nothing else is until it
// has ended, of neither ledger. A worker that is told to run dry for it gets nothing from the durable ledger until it
// holds none of its leases, and then nothing from the express one. Where a worker brings leases along over a new stream,
// nothing is given before the ledger has said whether one of them is such a lease.
//
// Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/fair_share.h"
#include "coordinator/core/types.h"
#include "coordinator/service/lane.h"
#include "proto/imgfleet/v1/worker.pb.h"

namespace imgfleet::service {

inline constexpr uint32_t kProtocolVersion = 1;

// Calls to the ledgers; where none is named, the job's id tells. Those with `number` or `answer` come back to the
// session.
struct AcquireCall {
  Lane lane = Lane::kDurable;
  core::Credit credit;
};
struct RenewCall {
  Lane lane = Lane::kDurable;
  std::vector<core::LeaseRef> held;
  bool first =
      false;  // The worker's first word on this stream: Returned() before Renew(). Of the durable ledger.
};
struct CommitCall {
  core::Chunk chunk;
  uint64_t number = 0;
};
struct HandBackCall {
  core::LeaseRef lease;
  absl::Duration not_before;
  bool answer = false;  // The worker asked for it and is told.
};
using LedgerCall = std::variant<AcquireCall, RenewCall, CommitCall, HandBackCall>;

class WorkSession {
 public:
  struct Options {
    absl::Duration lease_period = absl::Seconds(15);
    absl::Duration report_interval = absl::Seconds(5);
    bool deals_origins = false;  // Welcome.deals_origins.
  };

  struct Output {
    std::vector<v1::CoordinatorMessage> send;
    std::vector<LedgerCall> calls;
    // The stream is to be ended with this, after what is in `send`.
    std::optional<absl::Status> end;
  };

  explicit WorkSession(Options options) : options_(options) {}

  void Received(const v1::WorkerMessage& message);

  // Answers of the ledger.
  void Acquired(absl::StatusOr<core::Leases> shards, Lane lane = Lane::kDurable);
  void Renewed(const absl::StatusOr<core::VoidLeases>& void_leases, Lane lane = Lane::kDurable);
  void Committed(const core::LeaseRef& lease, uint64_t number, uint32_t items,
                 const core::CommitAnswer& answer);
  void HandedBack(const core::LeaseRef& lease, const core::CommitAnswer& answer);

  // A shard became READY somewhere.
  void WorkAvailable(Lane lane = Lane::kDurable);
  // The job was cancelled or failed: its leases are void.
  void JobEnded(absl::string_view job_id);
  // Ends the stream: it has become too old, was superseded, or the coordinator stops.
  void End(absl::Status status);

  // What is to be done since the last call.
  Output Take();

  // From the Hello; empty before it.
  const std::string& worker_id() const { return worker_id_; }
  const std::string& display_name() const { return display_name_; }
  bool ended() const { return ended_; }
  // Leases that the worker is believed to hold.
  size_t leases() const { return held_.size(); }
  // Items for which the worker has room now.
  uint64_t room() const { return Closed() ? 0 : capacity_items_ - std::min(held_items_, capacity_items_); }
  // It takes no more leases.
  bool draining() const { return draining_; }

 private:
  struct Held {
    uint64_t epoch = 0;
    uint64_t number = 0;  // Of the Lease on this stream; 0 for those the worker brought along.
    uint64_t items = 0;   // Without an outcome, as the worker last said.
    uint64_t bytes = 0;
    // Of the Lease on this stream: what it covered, what was committed since, and by which chunks: one that comes twice
    // makes no room twice.
    uint64_t leased = 0;
    uint64_t committed = 0;
    std::set<uint64_t> counted = {};
  };

  void OnHello(const v1::Hello& hello);
  void OnReport(const v1::Report& report);
  void OnChunk(const v1::Chunk& chunk);
  void OnHandBack(const v1::HandBack& back);
  // Nothing may be given beside what the worker has.
  bool Closed() const;
  // What the worker may hold of large jobs at present: not much more than it works on at a time and brings in four report
  // intervals, so that workers that come later find something.
  uint64_t Enough() const;
  bool HoldsAlone() const { return alone_ && held_.count(*alone_) > 0; }
  void AcquireIfRoom();
  void AcquireExpress();
  void AcquireDurable();
  using HeldLeases = std::map<core::ShardKey, Held>;
  // Books of what is held.
  void Hold(HeldLeases& leases, const core::ShardKey& shard, const Held& lease);
  HeldLeases::iterator Release(HeldLeases::iterator lease);
  void Reduce(HeldLeases::iterator lease, uint64_t items);
  void SendLease(core::LeasedShard shard, Lane lane);
  void SendAck(const core::LeaseRef& lease, uint64_t number, v1::Ack::Code code, absl::string_view message);
  void SendRevoke(const core::LeaseRef& lease);
  // The worker sent what cannot be: it loses the lease, in the ledger too.
  void TakeAway(const core::LeaseRef& lease);

  const Options options_;

  std::string worker_id_;
  std::string display_name_;
  bool ended_ = false;
  HeldLeases held_;
  uint64_t held_items_ = 0, held_bytes_ = 0;
  std::map<std::string, uint64_t> held_of_;  // Items by durable job.
  uint64_t capacity_items_ = 0;
  uint64_t capacity_bytes_ = 0;
  uint64_t concurrency_ = 0;                       // As the worker says; 0: its capacity alone holds.
  uint64_t committed_ = 0, committed_before_ = 0;  // Items since its last report, and between the two before.
  uint64_t leases_sent_ = 0;
  bool reported_ = false;
  bool draining_ = false;
  bool settling_ = false;  // Whether a lease that was brought along must be alone is not known yet.
  std::optional<core::ShardKey> alone_;  // While it is held, nothing else is given.
  bool run_dry_ = false;
  bool suspects_ = false;  // Something can be had once the worker holds nothing.
  // What is known of a ledger.
  struct Source {
    bool acquiring = false;
    bool failed = false;
    bool work = false;  // Perhaps; false once the ledger has said that there is none.
  };
  Source durable_{.work = true};
  bool spare_work_ = true;  // The same of what fits into the spare part.
  Source express_;
  Output output_;
};

}  // namespace imgfleet::service
