// Where jobs, shards and outcomes live. A store keeps rows and finds them; it decides nothing: decisions are
// coordinator/core's, put together by the ledger, written once for all stores.
//
// Writing goes through Transact: all that its body did is durable when it returns OK, and nothing of it
// happened otherwise. Reading has connections of its own, sees committed rows only and waits for no writer.
//
// Rows, by table:
//   jobs     core::JobRecord                   by id
//   shards   core::Shard                       by (job, shard)
//   items    payload of core::NewShard         by (job, shard)
//   chunks   core::StoredChunk                 by (job, commit_seq), and by (job, shard)
#pragma once

#include <cstdint>
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

// The rows as one transaction sees them, its own writes included. Any error but NOT_FOUND and ALREADY_EXISTS
// means that the store failed: the body must return it. Where several coordinators share a store, rows that
// were got stay locked until the end, and ReadyShards passes over what another one has locked.
class Transaction {
 public:
  virtual ~Transaction() = default;

  // The time that all times of shards are compared with: the store's, the same throughout a transaction.
  virtual absl::Time Now() const = 0;

  virtual absl::StatusOr<std::optional<core::JobRecord>> GetJob(absl::string_view id) = 0;
  virtual absl::Status InsertJob(const core::JobRecord& record) = 0;  // ALREADY_EXISTS
  // Everything but id, owner, spec, source and create_time, which never change.
  virtual absl::Status UpdateJob(const core::JobRecord& record) = 0;  // NOT_FOUND
  // Jobs in state kReading.
  virtual absl::StatusOr<std::vector<core::JobRecord>> JobsBeingRead() = 0;

  virtual absl::StatusOr<std::optional<core::Shard>> GetShard(const core::ShardKey& key) = 0;
  virtual absl::StatusOr<std::string> GetPayload(const core::ShardKey& key) = 0;  // NOT_FOUND
  virtual absl::Status InsertShard(const core::Shard& shard,
                                   absl::string_view payload) = 0;  // ALREADY_EXISTS
  // Everything but key, first_index, items and payload_bytes, which never change.
  virtual absl::Status UpdateShard(const core::Shard& shard) = 0;  // NOT_FOUND

  virtual absl::Status InsertChunk(absl::string_view job_id,
                                   const core::StoredChunk& chunk) = 0;  // ALREADY_EXISTS

  // Jobs that have not ended and have a READY shard, in the order of core::ComesBefore.
  virtual absl::StatusOr<std::vector<core::Share>> ReadyJobs(size_t limit) = 0;
  // READY shards of one job, lowest number first.
  virtual absl::StatusOr<std::vector<core::Shard>> ReadyShards(absl::string_view job_id, size_t limit) = 0;
  // LEASED shards whose holder this is.
  virtual absl::StatusOr<std::vector<core::Shard>> LeasesOf(absl::string_view holder) = 0;
  // LEASED and DELAYED shards due at `by` or before, earliest first.
  virtual absl::StatusOr<std::vector<core::Shard>> DueShards(absl::Time by, size_t limit) = 0;
  // The earliest time at which a shard is due; infinite where none is.
  virtual absl::StatusOr<absl::Time> NextDue() = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // Called by one thread at a time. The body may be called once only, and must not keep the transaction.
  virtual absl::Status Transact(absl::FunctionRef<absl::Status(Transaction&)> body) = 0;

  // Whether no other coordinator works on this store, so that whatever was going on when it was opened has
  // come to an end.
  virtual bool Exclusive() const = 0;

  // --- Readers; thread-safe -----------------------------------------------------------------------------------

  virtual absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) = 0;
  // Highest id first, from below `before` on; from the highest where that is empty.
  virtual absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view before, size_t limit) = 0;
  // Jobs in state kReading, oldest first.
  virtual absl::StatusOr<std::vector<core::Job>> JobsBeingRead() = 0;
  // By commit_seq, beyond `after`; stops once `max_bytes` of payload are exceeded, but gives at least one.
  virtual absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id,
                                                                      uint64_t after, uint64_t max_bytes) = 0;
  virtual absl::StatusOr<core::Census> TakeCensus() = 0;
  // The shard that holds `index`, chunks by commit_seq; nullopt beyond the last one.
  virtual absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                        uint64_t index) = 0;
};

}  // namespace imgfleet::store
