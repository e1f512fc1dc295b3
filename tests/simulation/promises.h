// What must hold whatever happens, checked after every step. It keeps its own books, made of what passes the network and
// of what is read back from the store after each transaction, never of what the code under test believes:
//
//   - what was acknowledged (a job, a shard of its list, a chunk, a job's end) is stored when the answer is sent, and
//     stays;
//   - every stored chunk is one that a worker sent, whole, under the lease epoch that was the shard's at that time, of
//     offsets that this lease covered; or a bad row of the list; or an item given up, after kMaxLosses leases of it alone
//     were lost;
//   - an item that is given up kills workers, and one that does is given up, whatever else dies;
//   - what is leased on trial is all that its worker holds, and all that it gets until that lease has ended;
//   - exactly one outcome per item; commit_seq without holes; the job's counters equal its outcomes, read back;
//   - a shard's row agrees with its chunks; its epoch only grows; no epoch is two workers', nor given twice;
//   - a lease that its worker holds is given to nobody else before it has lapsed or was handed back;
//   - of a job that is paused nothing is leased, and no outcome of a worker's is stored; what was acknowledged as paused is;
//   - an ended job never changes, and none is COMPLETED before its last outcome;
//   - a worker holds no more items than its credit and one shard, and runs no more than its capacity;
//   - what a reader has seen never changes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "coordinator/core/job.h"
#include "coordinator/core/shard.h"
#include "coordinator/core/types.h"
#include "coordinator/store/store.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "tests/simulation/plan.h"
#include "tests/simulation/trace.h"

namespace imgfleet::simulation {

class Promises {
 public:
  // Whether a living process holds that lease.
  using Holds = std::function<bool(const std::string& worker, const core::LeaseRef& lease)>;

  Promises(const Plan& plan, Trace& trace, Holds holds);

  // The first promise that was broken; empty as long as none was.
  const std::string& broken() const { return broken_; }
  template <typename... Args>
  void Break(const absl::FormatSpec<Args...>& format, const Args&... args) {
    if (broken_.empty()) SetBroken(absl::StrFormat(format, args...));
  }

  // --- What the store did -------------------------------------------------------------------------------------

  // At the end of a transaction, before it takes effect.
  absl::Status Look(store::Transaction& transaction);
  // After it took effect.
  void Committed(store::Store& store);
  // Reads everything once more.
  void CheckAll(store::Store& store);

  // --- What was answered to those who submit ------------------------------------------------------------------

  void JobAcknowledged(const std::string& job, store::Store& store);
  void ShardAcknowledged(const std::string& job, uint64_t items_then, store::Store& store);
  void EndAcknowledged(const std::string& job, core::JobState state, store::Store& store);
  void PauseAsked(const std::string& job) { jobs_[job].pause_asked = true; }
  void PauseAcknowledged(const std::string& job, store::Store& store);

  // --- What passed the network --------------------------------------------------------------------------------

  void LeaseSent(const std::string& worker, const v1::Lease& lease);
  // By the worker that lives.
  void LeaseTaken(const std::string& worker, const v1::Lease& lease);
  void ChunkSent(const std::string& worker, const v1::Chunk& chunk);
  void HandBackSent(const v1::HandBack& back);
  void AckSent(const std::string& worker, const v1::Ack& ack);

  // --- What a worker does -------------------------------------------------------------------------------------

  void Holding(const std::string& worker, uint64_t outstanding, uint32_t running);
  void Started(const std::string& job, uint64_t index);
  void Poisoned() { ++deaths_; }

  // Whether every job that was submitted has ended.
  bool AllEnded() const;
  std::string Unfinished() const;
  // How often items were started, in all.
  uint64_t starts() const { return starts_; }
  uint64_t leases() const { return leases_; }
  uint64_t deaths() const { return deaths_; }

 private:
  struct Grant {
    std::string worker;
    std::vector<bool> covers;  // By offset.
    bool handed_back = false;
  };
  struct SentChunk {
    std::string worker;
    core::ShardKey shard;
    uint64_t epoch = 0;
    std::vector<uint32_t> offsets;
  };
  struct ShardTruth {
    core::Shard row;
    core::Shard lease;      // The row when it had a holder last,
    bool lapsed = false;    // and whether that had lapsed.
    std::vector<bool> has;  // By offset: an outcome.
    uint32_t outcomes = 0;
    std::map<uint64_t, Grant> grants;  // By epoch.
    uint64_t committed_epoch = 0;      // Of the last chunk.
    uint32_t lost_alone = 0;           // Leases of one item that ran out without an outcome, in a row.
  };
  struct JobTruth {
    const JobPlan* plan = nullptr;
    bool acknowledged = false;
    uint64_t acknowledged_items = 0;
    std::optional<core::JobState> acknowledged_end;
    std::optional<core::JobRecord> found;  // By the last Look.
    bool was_paused = false;               // By the one before.
    bool pause_asked = false;              // Its leases may be taken back.
    std::vector<core::Shard> rows;         // By the last Look.
    uint64_t seq = 0;
    std::vector<size_t> payloads;  // Hashes, by commit_seq - 1.
    core::Counts counts;
    std::vector<ShardTruth> shards;
    std::optional<core::Job> final;
    std::vector<uint32_t> starts;  // By index.
  };

  void SetBroken(std::string what);
  void CheckJob(const std::string& id, JobTruth& job, store::Store& store);
  void CheckRow(JobTruth& job, const core::Shard& row);
  void CheckLost(ShardTruth& shard, const core::Shard& row);
  void CheckPaused(const JobTruth& job);
  void TakeChunk(const std::string& id, JobTruth& job, const core::StoredChunk& chunk);
  void CheckOrigin(const std::string& id, JobTruth& job, ShardTruth& shard, const core::StoredChunk& chunk);
  void CheckCounters(const std::string& id, const JobTruth& job);
  void CheckEnd(const std::string& id, JobTruth& job);

  const Plan& plan_;
  Trace& trace_;
  const Holds holds_;
  std::string broken_;
  std::map<std::string, JobTruth> jobs_;
  absl::Time store_now_;
  // By payload, which no two chunks share.
  std::unordered_map<std::string, SentChunk> sent_;
  std::map<std::pair<std::string, uint64_t>, const std::string*>
      by_number_;  // (worker, chunk_number) -> payload.
  uint32_t largest_shard_ = 0;
  uint64_t starts_ = 0, leases_ = 0, deaths_ = 0;
};

}  // namespace imgfleet::simulation
