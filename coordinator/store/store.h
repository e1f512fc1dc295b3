// Where jobs, shards and outcomes live. A store keeps rows and finds them; it decides nothing: decisions are
// coordinator/core's, put together by the ledger, written once for all stores.
//
// Writing goes through Transact: all that its body did is durable when it returns OK, and nothing of it
// happened otherwise. Reading has connections of its own, sees committed rows only and waits for no writer.
//
// Rows, by table:
//   jobs       core::JobRecord                   by id
//   shards     core::Shard                       by (job, shard)
//   items      payload of core::NewShard         by (job, shard)
//   chunks     core::StoredChunk                 by (job, commit_seq), and by (job, shard)
//   schedules  core::Schedule                    by id
//
// Several coordinators on one store. The row of a job is the lock of all that belongs to it: whoever changes any of it
// holds that row. A batch declares the jobs that it knows it touches; they are locked first, in ascending order, waiting
// for whoever has them; names come before all jobs. Whatever else turns out to be needed is locked with TryLockJob and
// TryLockName only, which never wait. So there are no deadlocks.
// What others changed is heard as News.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/fair_share.h"
#include "coordinator/core/job.h"
#include "coordinator/core/shard.h"
#include "coordinator/core/types.h"

namespace imgfleet::store {

// What a transaction is known to touch before it begins.
struct Declared {
  std::vector<std::string> jobs;       // Ids, whether there are such jobs or not.
  std::vector<core::ShardKey> shards;  // Of those jobs.
  // Of what has no row yet, or none to be locked beside jobs: idempotency keys, schedules, owners with a quota. Any text;
  // whoever declares the same waits.
  std::vector<std::string> names;

  bool empty() const { return jobs.empty() && shards.empty() && names.empty(); }
};

// What of it there is.
struct Prefetched {
  std::vector<core::JobRecord> jobs;
  std::vector<core::Shard> shards;
};

// What was changed in a store.
struct News {
  std::vector<std::string> jobs;     // State, counters, shards or chunks of these.
  std::vector<std::string> stopped;  // Their leases are void.
  bool work = false;                 // A shard became READY.
};

// The rows as one transaction sees them, its own writes included. Any error but NOT_FOUND and ALREADY_EXISTS
// means that the store failed: the body must return it. A write may fail later than it is asked for, and then the
// transaction fails with that error.
class Transaction {
 public:
  virtual ~Transaction() = default;

  // The time that all times of shards are compared with: the store's, the same throughout a transaction.
  virtual absl::Time Now() const = 0;

  // What was declared, once; nothing on a store of one coordinator, which need not lock.
  virtual Prefetched TakePrefetched() { return {}; }

  // Locks; a job that was not declared may have to be waited for.
  virtual absl::StatusOr<std::optional<core::JobRecord>> GetJob(absl::string_view id) = 0;
  // Locks; nullopt too where another coordinator has it just now.
  virtual absl::StatusOr<std::optional<core::JobRecord>> TryLockJob(absl::string_view id) {
    return GetJob(id);
  }
  // As declaring it does; false where another coordinator has it just now.
  virtual absl::StatusOr<bool> TryLockName(absl::string_view) { return true; }
  // Does not lock: only what never changes again may be relied on.
  virtual absl::StatusOr<std::optional<core::JobRecord>> PeekJob(absl::string_view id) { return GetJob(id); }
  virtual absl::Status InsertJob(const core::JobRecord& record) = 0;  // ALREADY_EXISTS
  // Everything but id, owner, spec, source, create_time, parent, idempotency_key, request_hash and schedule, which
  // never change, but for the source (see UpdateSource).
  virtual absl::Status UpdateJob(const core::JobRecord& record) = 0;                          // NOT_FOUND
  virtual absl::Status UpdateSource(absl::string_view job_id, absl::string_view source) = 0;  // NOT_FOUND
  // The job of `owner` that is not expired and was submitted under `key`, which is not empty.
  virtual absl::StatusOr<std::optional<core::JobRecord>> FindByKey(absl::string_view owner,
                                                                   absl::string_view key) = 0;
  // Jobs in state kReading.
  virtual absl::StatusOr<std::vector<core::JobRecord>> JobsBeingRead() = 0;
  // Jobs in state kReading whose reader_due is at `by` or before, earliest first.
  virtual absl::StatusOr<std::vector<core::JobRecord>> LapsedReadings(absl::Time by, size_t limit) = 0;
  // Jobs of `owner` that have not ended.
  virtual absl::StatusOr<core::OwnerUse> UseOf(absl::string_view owner) = 0;

  // Jobs that ended at `by` (wall) or before and are not expired, earliest first.
  virtual absl::StatusOr<std::vector<core::JobRecord>> EndedBy(absl::Time by, size_t limit) = 0;
  // Ids of expired jobs.
  virtual absl::StatusOr<std::vector<std::string>> ExpiredJobs(size_t limit) = 0;
  // Deletes up to `rows` rows of each of a job's tables, and with its last ones the job. True: it is gone.
  virtual absl::StatusOr<bool> DeletePart(absl::string_view job_id, size_t rows) = 0;

  virtual absl::StatusOr<std::optional<core::Shard>> GetShard(const core::ShardKey& key) = 0;
  virtual absl::StatusOr<std::string> GetPayload(const core::ShardKey& key) = 0;  // NOT_FOUND
  // In the order of `keys`.
  virtual absl::StatusOr<std::vector<std::string>> GetPayloads(const std::vector<core::ShardKey>& keys) {
    std::vector<std::string> payloads;
    payloads.reserve(keys.size());
    for (const core::ShardKey& key : keys) {
      absl::StatusOr<std::string> payload = GetPayload(key);
      if (!payload.ok()) return payload.status();
      payloads.push_back(*std::move(payload));
    }
    return payloads;
  }
  virtual absl::Status InsertShard(const core::Shard& shard,
                                   absl::string_view payload) = 0;  // ALREADY_EXISTS
  // Everything but key, first_index, items, payload_bytes and absent, which never change.
  virtual absl::Status UpdateShard(const core::Shard& shard) = 0;  // NOT_FOUND

  virtual absl::Status InsertChunk(absl::string_view job_id,
                                   const core::StoredChunk& chunk) = 0;  // ALREADY_EXISTS

  // Jobs of which something is core::Leasable, in the order of core::ComesBefore.
  virtual absl::StatusOr<std::vector<core::Share>> ReadyJobs(size_t limit) = 0;
  // READY shards of one job, lowest number first.
  virtual absl::StatusOr<std::vector<core::Shard>> ReadyShards(absl::string_view job_id, size_t limit) = 0;
  // LEASED shards whose holder this is.
  virtual absl::StatusOr<std::vector<core::Shard>> LeasesOf(absl::string_view holder) = 0;
  // LEASED and DELAYED shards of one job. Costs as much as there are of all jobs.
  virtual absl::StatusOr<std::vector<core::Shard>> TimedShardsOf(absl::string_view job_id) = 0;
  // LEASED and DELAYED shards due at `by` or before, earliest first.
  virtual absl::StatusOr<std::vector<core::Shard>> DueShards(absl::Time by, size_t limit) = 0;
  // LEASED shards due after `leased`, and DELAYED ones due after `delayed`: later than they can be, unless the clock of Now
  // was set back since. Latest first. A store whose clock never is has none.
  virtual absl::StatusOr<std::vector<core::Shard>> ShardsDueAfter(absl::Time /*leased*/,
                                                                  absl::Time /*delayed*/, size_t /*limit*/) {
    return std::vector<core::Shard>();
  }
  // The earliest time at which a shard is due; infinite where none is.
  virtual absl::StatusOr<absl::Time> NextDue() = 0;

  virtual absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) = 0;
  virtual absl::Status InsertSchedule(const core::Schedule& schedule) = 0;  // ALREADY_EXISTS
  // next_time, last_job and paused; the rest never changes.
  virtual absl::Status UpdateSchedule(const core::Schedule& schedule) = 0;  // NOT_FOUND
  virtual absl::Status DeleteSchedule(absl::string_view id) = 0;            // NOT_FOUND
  // Those not paused whose next_time is at `by` (wall) or before, earliest first.
  virtual absl::StatusOr<std::vector<core::Schedule>> DueSchedules(absl::Time by, size_t limit) = 0;
  // The earliest next_time of those not paused; infinite where there is none.
  virtual absl::StatusOr<absl::Time> NextSchedule() = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // Called by one thread at a time. The body may be called once only, and must not keep the transaction.
  // ABORTED: nothing happened, and it may go well if it is tried again as a whole.
  virtual absl::Status Transact(const Declared& declared,
                                absl::FunctionRef<absl::Status(Transaction&)> body) = 0;
  absl::Status Transact(absl::FunctionRef<absl::Status(Transaction&)> body) { return Transact({}, body); }

  // What became of the last attempt to connect to where it is. Thread-safe.
  virtual absl::Status Reached() const { return absl::OkStatus(); }

  // Whether no other coordinator works on this store, so that whatever was going on when it was opened has
  // come to an end.
  virtual bool Exclusive() const = 0;

  // --- Other coordinators on this store: nothing where there can be none --------------------------------------

  // `hear` is called on a thread of the store's with what others changed, until Deafen() returns. Some of it may come
  // late (seconds), twice, or be our own.
  virtual void Hear(std::function<void(News)>) {}
  virtual void Deafen() {}
  // To be called after a transaction that changed this. Does not wait.
  virtual void Announce(const News&) {}

  // --- Readers; thread-safe -----------------------------------------------------------------------------------
  // Expired jobs are no jobs here; what belongs to them may be there in part.

  virtual absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) = 0;
  // Those of `owner`, of all where that is empty. Highest id first, from below `before` on; from the highest where that
  // is empty.
  virtual absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                          size_t limit) = 0;
  // Jobs in state kReading, oldest first.
  virtual absl::StatusOr<std::vector<core::Job>> JobsBeingRead() = 0;
  // By commit_seq, beyond `after`; stops once `max_bytes` of payload are exceeded, but gives at least one.
  virtual absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id,
                                                                      uint64_t after, uint64_t max_bytes) = 0;
  virtual absl::StatusOr<core::Census> TakeCensus() = 0;
  // The shard that holds `index`, or the next one after it, chunks by commit_seq; nullopt beyond the last one.
  virtual absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                        uint64_t index) = 0;
  virtual absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) = 0;
  // As ListJobs.
  virtual absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner,
                                                                    absl::string_view before,
                                                                    size_t limit) = 0;
};

}  // namespace imgfleet::store
