// The ledger: the one door through which jobs, shards, leases and outcomes change.
//
// Each verb is queued, decided by the pure functions of coordinator/core, written together with its
// neighbours in one store transaction (group commit), and answered once that transaction is durable. So an
// answer means: it holds, whatever dies next. Callbacks run on the ledger's own thread, must not block, and
// may call verbs.
//
// A store that fails (disk full, server away) is no end: the verbs of that batch are tried one by one, those
// that cannot be stored are answered with an error or kRetry and have changed nothing, and the ledger goes
// on.
//
// Opening an exclusive store (SQLite) that another coordinator left: every lease lapses after
// disconnect_grace unless its holder renews it, nothing counts as lost, and uploads that were still being
// read become FAILED with their outcomes kept. Jobs whose list can be opened again stay READING for the
// service to take up: see JobsBeingRead.
//
// On a store that other coordinators work on too (PostgreSQL) only what lapsed is touched at opening, and any of them
// may answer any verb: a worker that moves from one to another takes its leases along with its first Renew there.
//
// Thread-safe. Times are the ledger's own, read once per batch; callers pass durations.
//
// Where everything happens in one thread, as in the simulation, the ledger is turned by hand instead: it has no
// thread, and nothing is committed but in Turn().
//
// A store that never waits (memory) can be turned by whoever asks: a verb is then committed on the thread that calls it,
// before it returns, unless another thread is at it just now, which commits it as well. So nobody waits for a thread to
// wake up. Callbacks and listeners run on that thread, one at a time as ever; whoever calls a verb holds no lock that they
// take.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/core/fair_share.h"
#include "coordinator/core/quota.h"
#include "coordinator/core/types.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

template <typename T>
using Callback = std::function<void(T)>;

class Ledger {
 public:
  struct Options {
    absl::Duration lease_period = absl::Seconds(15);
    // From a worker's stream breaking to its leases being free: time to reconnect and keep them.
    absl::Duration disconnect_grace = absl::Seconds(2);
    // This coordinator among those that work on the store: whose readings of lists are whose.
    std::string coordinator = "coordinator";
    // How long a reading holds without a word from its coordinator.
    absl::Duration reading_period = absl::Seconds(15);
    core::Quotas quotas;
    // How long an ended job is kept.
    absl::Duration retention = absl::InfiniteDuration();
    // Whether items suspected of killing workers are tried, and the guilty given up (core/trials.h). Otherwise they are
    // leased no more, and Changes::suspected tells of them.
    bool holds_trials = true;
  };

  enum class Turned { kByItsThread, kByHand, kByWhoAsks };

  Ledger(std::unique_ptr<Store> store, const Clock& clock, Options options,
         Turned turned = Turned::kByItsThread);
  // Finishes what is queued, then stops. No verb may be called any more. By hand, what was asked since the last Turn is
  // dropped without an answer, as in a process that is killed.
  ~Ledger();

  // --- By hand only; all from one thread ----------------------------------------------------------------------

  // Commits one batch of what was asked so far and what fell due, and calls back; true where either was there.
  bool Turn();
  // Whether anything was asked, or heard of other coordinators, that no Turn has seen to.
  bool Asked() const;
  // When something falls due.
  absl::Time NextDue() const;

  // --- Jobs ---------------------------------------------------------------------------------------------------

  // A job with an idempotency key may exist already: then that one is the answer, known by its id, and nothing changes.
  // ALREADY_EXISTS where it was another submission.
  // RESOURCE_EXHAUSTED  the owner's quota is spent

  // The job submitted under `again`'s key, or nullopt: whether it is worth the while to read a list.
  void FindSubmitted(core::NewJob again, Callback<absl::StatusOr<std::optional<core::Job>>> done);
  // Creates a job with all its items, in one transaction.
  void SubmitJob(core::NewJob job, std::vector<core::NewShard> shards,
                 Callback<absl::StatusOr<core::Job>> done);
  // Creates a job in state kReading, whose list this coordinator reads.
  void CreateJob(core::NewJob job, Callback<absl::StatusOr<core::Job>> done);
  // The list of a job in state kReading of which nothing is in shards yet turned out to be this one: whoever reads it after
  // this coordinator knows it again. ABORTED where another coordinator reads it, FAILED_PRECONDITION where it is too late.
  void SetSource(std::string job_id, std::string source, Callback<absl::Status> done);
  // Appends the next shard of a job that is being read. Indices must continue where the last shard ended. ABORTED where
  // another coordinator has taken the reading up, RESOURCE_EXHAUSTED as long as the owner has too many open items.
  void AppendShard(std::string job_id, core::NewShard shard, Callback<absl::Status> done);
  // The list is read to its end (OK) or broke off (any other status, which becomes Job.failure).
  void FinishReading(std::string job_id, absl::Status how, Callback<absl::StatusOr<core::Job>> done);
  // Says that this coordinator still reads what it reads, and takes up what nobody reads any more: jobs whose list can be
  // read again are the answer; an upload that is gone fails. To be called every third of reading_period.
  void KeepReadings(Callback<absl::StatusOr<std::vector<core::Job>>> taken_up);
  // Says so of these only. What is this coordinator's by the store and not by itself (it was told that the store failed,
  // though it was durable) lapses and is taken up as well.
  void KeepReadings(std::set<std::string> read_here,
                    Callback<absl::StatusOr<std::vector<core::Job>>> taken_up);
  void CancelJob(std::string job_id, Callback<absl::StatusOr<core::Job>> done);
  // Pausing takes the job's leases back at once; nothing counts as lost. FAILED_PRECONDITION where it has ended.
  void PauseJob(std::string job_id, bool paused, Callback<absl::StatusOr<core::Job>> done);
  void PrioritizeJob(std::string job_id, int32_t priority, Callback<absl::StatusOr<core::Job>> done);

  // --- Schedules ----------------------------------------------------------------------------------------------
  // A schedule that is due makes a job in state kReading that nobody reads yet. Its last job has not ended, or the
  // owner's quota is spent: then that time is passed over. After a standstill it fires once.

  // `next_time` is set here.
  void CreateSchedule(core::Schedule schedule, Callback<absl::StatusOr<core::Schedule>> done);
  // A schedule that is resumed goes on with the next time that lies ahead.
  void PauseSchedule(std::string id, bool paused, Callback<absl::StatusOr<core::Schedule>> done);
  // Its jobs stay.
  void DeleteSchedule(std::string id, Callback<absl::Status> done);

  // Creates a job with all its shards, whose list ends with them.
  void CreateWhole(core::NewJob job, std::vector<core::NewShard> shards,
                   Callback<absl::StatusOr<core::Job>> done);
  // Deletes a job as if it had never been, at one go: for small ones. What is leased of it is void.
  void Forget(std::string job_id);

  // --- Leases -------------------------------------------------------------------------------------------------
  // `holder` is the worker_id of a Hello.

  // Leases READY shards to `holder`, at most `max_items` and `max_bytes` in sum (one shard is always given if
  // max_items > 0 and nothing else fits). Empty where there is nothing to do. `holder` holds nothing else.
  void Acquire(std::string holder, uint64_t max_items, uint64_t max_bytes,
               Callback<absl::StatusOr<core::Leases>> done);
  // The same for a worker that tells more exactly.
  void Acquire(std::string holder, core::Credit credit, Callback<absl::StatusOr<core::Leases>> done);
  // Renews each; the answer holds those that are void. A lapsed lease whose shard nobody else got since is
  // taken up again.
  void Renew(std::string holder, std::vector<core::LeaseRef> held,
             Callback<absl::StatusOr<core::VoidLeases>> void_leases);
  void CommitChunk(core::Chunk chunk, Callback<core::CommitAnswer> done);
  // Frees what is left of the lease; nothing counts as lost.
  void HandBack(core::LeaseRef lease, absl::Duration not_before, Callback<core::CommitAnswer> done);
  // The worker lives, and this is all that it holds: the first it says on a new stream. What was suspected of having
  // killed it is innocent.
  void Returned(std::string holder, std::vector<core::LeaseRef> held);
  // The worker's stream ended: what it holds lapses after disconnect_grace unless renewed. `in_peace`: it had drained.
  void Disconnected(std::string holder, bool in_peace = false);

  // Looks at the clock now. The ledger does so by itself when a lease or a delay runs out; a test that moves
  // a FakeClock calls this instead of waiting. `done` comes after everything asked before, and what fell due,
  // is durable.
  void Tick(Callback<absl::Status> done);

  // --- Reading, with connections of their own: never waits for writers ----------------------------------------

  absl::StatusOr<core::Job> GetJob(absl::string_view job_id);
  // Those of `owner`, of all where that is empty; newest first. `before` is the id of the last job of the page before,
  // or empty.
  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  uint32_t limit);
  // Jobs whose list is not read to its end, oldest first; after a restart only those with a `source`. To go
  // on, skip the first `items` of the list and append from there.
  absl::StatusOr<std::vector<core::Job>> JobsBeingRead();
  // Committed chunks after `after_commit_seq`, at most `max_bytes` of payload (at least one chunk if there is
  // one).
  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id,
                                                              uint64_t after_commit_seq, uint64_t max_bytes);
  absl::StatusOr<core::Census> TakeCensus();
  // The shard that holds `index`, or the next one after it, with all its chunks so far; nullopt beyond the last shard
  // known. NOT_FOUND, as with ReadByCommit, where the job is gone.
  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id, uint64_t index);
  absl::StatusOr<core::Schedule> GetSchedule(absl::string_view id);
  // As ListJobs.
  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            uint32_t limit);

  // OK while the store works, as far as can be seen; else why it is not to be relied on: see store_health.h.
  absl::Status Health() const;

  // --- Being told ---------------------------------------------------------------------------------------------

  // What a committed batch changed, or another coordinator on the same store. Called on the ledger's thread after each
  // batch that changed anything, and when something is heard.
  struct Changes {
    std::vector<std::string> jobs;       // These changed: state, counters, shards or chunks.
    bool work_available = false;         // A shard became READY.
    std::vector<std::string> stopped;    // Their leases are void: they were paused, cancelled, or failed.
    std::vector<std::string> suspected;  // Items of these are leased no more, see Options::holds_trials.
    bool lists_waiting = false;          // A schedule made a job whose list nobody reads yet.
    core::Counts outcomes;               // Committed: a chunk that came again is not among them.
    uint64_t leases_lapsed = 0;          // Ran out; their shards became READY.
  };
  using Listener = std::function<void(const Changes&)>;
  // The listener is never called again once the returned handle is destroyed.
  [[nodiscard]] std::shared_ptr<void> Listen(Listener listener);

 private:
  class Loop;
  class LoopThread;
  // What a verb touches.
  Declared OfJob(const std::string& id) const;
  Declared OfName(absl::string_view kind, absl::string_view name) const;
  Declared OfKey(const core::NewJob& job) const;
  Declared OfShards(const std::vector<core::LeaseRef>& leases) const;

  const Clock& clock_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<LoopThread> thread_;  // Null by hand.
};

}  // namespace imgfleet::store
