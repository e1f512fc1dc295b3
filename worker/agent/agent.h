// The worker's side of the lease protocol (proto/imgfleet/v1/worker.proto) as a state machine: what comes in
// are messages, outcomes and the time; what goes out are messages, items to start and leases to abandon. It
// does no I/O, has no threads and reads no clock, so that a simulation runs the very code that ships.
//
//   Agent agent(options);
//   agent.Connected(now);             // a stream was opened: greets
//   agent.Received(message, now);     // ... Welcome, Lease, Ack, Revoke
//   agent.Finished(lease, offset, PackTo(outcome, &buffer), now);
//   agent.Tick(agent.NextWake());     // at the latest then
//   Agent::Output todo = agent.Take();
//
// Promises: an outcome is given up only when the coordinator has acknowledged it or the lease is void; a
// chunk that was not acknowledged is sent again after a reconnect, byte for byte; a lease that was not
// renewed for its period is abandoned here before the coordinator gives it to another, as long as the reports
// that are sent arrive: on a stream that stalls it may be held here a while longer, and what is sent of it is
// stale.
//
// Whose item is next: that of the job with the fewest running, so that a large job delays no small one. The last eighth of
// the room is for jobs that have next to nothing running, and their items are urgent where there are other jobs: the engine
// does not let them wait behind those.
//
// Not thread-safe. Times are Clock::Boot().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "worker/agent/held_lease.h"

namespace imgfleet::agent {

inline constexpr uint32_t kProtocolVersion = 1;

class Agent {
 public:
  struct Options {
    std::string worker_id;     // Drawn once per process.
    std::string display_name;  // For people.
    std::string version;
    // Items the engine can usefully hold. Credit is granted for as many; of a shard that is larger, the rest
    // waits here.
    uint32_t capacity_items = 1024;
    uint64_t capacity_bytes = 64 << 20;
    // A chunk is sent when it has so many outcomes or bytes, when its first outcome is so old, or when
    // nothing more is to come for its shard. The age is what a reader waits at most; the other two bound
    // messages.
    uint32_t chunk_items = 256;
    uint64_t chunk_bytes = 1 << 20;
    absl::Duration chunk_age = absl::Milliseconds(100);
    // Before a chunk that the store could not take is sent again; doubles up to ten times as long.
    absl::Duration retry_delay = absl::Milliseconds(500);
    // So often in a row a shard is put off for an origin that asks for it; then its items end as they are.
    uint32_t max_put_offs = 5;
  };

  struct StartItem {
    uint64_t lease = 0;  // This agent's number for the lease; never used twice.
    uint32_t offset = 0;
    uint64_t index = 0;
    v1::Item item;
    bool urgent = false;  // Not to wait behind items that are not.
  };

  struct Output {
    std::vector<v1::WorkerMessage> send;  // In this order, on the stream of the last Connected.
    // Leases whose items are about to be started, before their first one.
    struct StartLease {
      uint64_t lease = 0;
      uint64_t first_index = 0;
      v1::JobSpec spec;
      bool urgent = false;  // Lease.urgent: each of its outcomes is wanted at once.
    };
    std::vector<StartLease> leases;
    std::vector<StartItem> start;
    std::vector<uint64_t> abandon;  // What runs for them is to be broken off; its outcomes are ignored.
    std::vector<uint64_t> closed;   // Nothing more will be started for them; those abandoned are among them.
  };

  explicit Agent(Options options);

  // A stream was opened. All that was sent before on another is as if it had never been sent.
  void Connected(absl::Time now);
  void Disconnected();
  void Received(const v1::CoordinatorMessage& message, absl::Time now);
  // The outcome of a started item. Of a lease that is no longer held it is dropped. False where the item was put
  // off instead: it has no outcome, and will be leased again.
  bool Finished(uint64_t lease, uint32_t offset, const PackedOutcome& outcome, absl::Time now);
  // A started item of which the engine had begun nothing when the agent drained: it has no outcome, and others are to have
  // it. An urgent lease, for whose outcomes somebody waits, goes back at once then, with what of it was begun.
  void NotBegun(uint64_t lease, absl::Time now);
  // What is due by `now`: reports, chunks that are old enough, chunks to be sent again, leases that have
  // lapsed.
  void Tick(absl::Time now);
  // When Tick has something to do next, as far as is known now.
  absl::Time NextWake() const;

  // Takes no new leases and starts no waiting items. Leases of which nothing was started are handed back now, and urgent
  // ones of which not all was; the others once what was begun has an acknowledged outcome.
  void Drain(absl::Time now);
  // Breaks off what still runs: sends the outcomes there are and hands back the rest.
  void GiveUp(absl::Time now);

  // For reports from now on: how many items are worked on at a time, and whether more of other origins would help. That
  // is believed when two reports in a row find it so.
  void SetLoad(uint32_t concurrency, bool waits_for_origins) {
    concurrency_ = concurrency;
    waits_for_origins_ = waits_for_origins;
  }

  // What is to be done since the last call.
  Output Take();

  bool welcomed() const { return stream_ == Stream::kWelcomed; }
  bool draining() const { return draining_; }
  // Holds nothing: with draining(), the process may end.
  bool idle() const { return held_.empty(); }
  size_t leases() const { return held_.size(); }
  bool Holds(const v1::ShardKey& shard, uint64_t epoch) const;
  // Items started and not finished.
  uint32_t running() const { return running_; }
  // Items held without an acknowledged outcome.
  uint64_t outstanding() const { return outstanding_; }

 private:
  enum class Stream { kDown, kGreeting, kWelcomed };
  using Shard = std::pair<std::string, uint32_t>;

  void OnWelcome(const v1::Welcome& welcome, absl::Time now);
  void OnLease(const v1::Lease& lease, absl::Time now);
  void OnAck(const v1::Ack& ack, absl::Time now);
  void OnRevoke(const v1::Revoke& revoke);

  // The lease of that shard if it is held under that epoch.
  HeldLease* Find(const v1::ShardKey& shard, uint64_t epoch);
  void StartWaiting();
  // The next lease of the job with items to start; null if there is none.
  HeldLease* NextWaiting(HeldJob& job);
  // Whether the job has less running than such a part of what would be its share.
  bool HasLessThan(const HeldJob& job, uint32_t part) const;
  void StartNext(HeldJob& job, HeldLease& lease);
  void Flush(HeldLease& lease);
  void FlushAged(absl::Time now);
  void SendReport(absl::Time now);
  void SendHandBack(const v1::ShardKey& shard, uint64_t epoch, absl::Duration not_before);
  void HandBack(const HeldLease& lease, absl::Time now);
  // Sends the outcomes there are and hands back the rest.
  void GiveBack(HeldLease& lease, absl::Time now);
  // Forgets the lease. Its running items, if any, are broken off.
  void Close(uint64_t id);
  // Closes the lease if nothing is left to do for it, handing back what was not begun.
  void CloseIfDone(HeldLease& lease, absl::Time now);

  const Options options_;

  Stream stream_ = Stream::kDown;
  bool draining_ = false;
  absl::Duration lease_period_ = absl::InfiniteDuration();
  absl::Duration report_interval_ = absl::InfiniteDuration();
  absl::Time last_report_ = absl::InfinitePast();
  uint64_t last_lease_number_ = 0;
  uint64_t acknowledged_since_report_ = 0;

  uint64_t next_lease_ = 1;
  uint64_t next_chunk_ = 1;
  // In the order in which they came: what is sent of all of them goes in that order, the same on every run.
  std::map<uint64_t, std::unique_ptr<HeldLease>> held_;
  absl::flat_hash_map<Shard, uint64_t> by_shard_;
  absl::flat_hash_map<std::string, std::unique_ptr<HeldJob>> jobs_;
  std::vector<HeldJob*> waiting_;     // Those with leases that wait.
  std::vector<uint64_t> urgent_due_;  // Urgent leases with outcomes to be sent.
  uint32_t running_ = 0;
  uint32_t concurrency_ = 0;
  bool waits_for_origins_ = false, waited_for_origins_ = false;  // Now, and at the last report.
  uint64_t outstanding_ = 0;
  Output output_;
};

}  // namespace imgfleet::agent
