// What of a batch is about other coordinators on the same store.
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/core/job.h"
#include "coordinator/store/batch.h"

namespace imgfleet::store {
namespace {

// Transactions that overlap may each see the other's times lie ahead by about as long as they take; what lies farther ahead
// was read from a clock that was set back since.
constexpr absl::Duration kClocksApart = absl::Seconds(1);
// No session takes a hand-back with a later not_before.
constexpr absl::Duration kLongestDelay = absl::Hours(1);
constexpr size_t kNearerAtOnce = 256;

}  // namespace

Batch::Batch(Transaction& transaction, absl::Time wall, const Ledger::Options& options,
             const Sharing& sharing, const Witnesses& witnesses)
    : transaction_(transaction),
      wall_(wall),
      options_(options),
      sharing_(sharing),
      muster_(*witnesses.muster),
      trials_(*witnesses.trials) {
  Prefetched prefetched = transaction.TakePrefetched();
  for (core::JobRecord& record : prefetched.jobs) {
    const std::string id = record.job.id;
    jobs_.emplace(id, std::make_unique<JobRow>(JobRow{std::move(record)}));
  }
  for (core::Shard& shard : prefetched.shards) Adopt(std::move(shard));
}

std::string NameOf(absl::string_view kind, absl::string_view name) {
  return absl::StrCat(kind, " ", absl::CHexEscape(name));
}

absl::StatusOr<Batch::JobRow*> Batch::Reach(const std::string& id) {
  if (sharing_.alone) return FindJob(id);
  if (const auto at = jobs_.find(id); at != jobs_.end()) return at->second.get();
  if (sharing_.jobs->count(id) > 0) return nullptr;
  ASSIGN_OR_RETURN(std::optional<core::JobRecord> found, transaction_.TryLockJob(id));
  if (!found) return nullptr;
  return jobs_.emplace(id, std::make_unique<JobRow>(JobRow{*std::move(found)})).first->second.get();
}

// Whether it is locked or not: an ended job never goes on.
absl::StatusOr<bool> Batch::HasEnded(const std::string& id) {
  if (id.empty()) return true;
  if (const auto at = jobs_.find(id); at != jobs_.end()) return core::Ended(at->second->row.job.state);
  ASSIGN_OR_RETURN(const std::optional<core::JobRecord> found, transaction_.PeekJob(id));
  return !found || core::Ended(found->job.state);
}

// The rows were found before their jobs were locked, so they are looked for again where a lock was new.
absl::StatusOr<std::vector<core::Shard>> Batch::Reachable(Find find, std::set<std::string>& beyond) {
  ASSIGN_OR_RETURN(std::vector<core::Shard> found, find());
  if (sharing_.alone || found.empty()) return found;
  const size_t known = jobs_.size();
  for (const core::Shard& shard : found) {
    if (beyond.count(shard.key.job_id) > 0) continue;
    ASSIGN_OR_RETURN(const JobRow* const job, Reach(shard.key.job_id));
    if (job == nullptr && sharing_.jobs->count(shard.key.job_id) == 0) beyond.insert(shard.key.job_id);
  }
  if (jobs_.size() > known) {
    ASSIGN_OR_RETURN(found, find());
  }
  std::erase_if(found, [&](const core::Shard& shard) { return jobs_.count(shard.key.job_id) == 0; });
  return found;
}

absl::Status Batch::BringNearer() {
  const absl::Time lapse = transaction_.Now() + options_.lease_period;
  const absl::Time ready = transaction_.Now() + kLongestDelay;
  for (;;) {
    const auto find = [&] {
      return transaction_.ShardsDueAfter(lapse + kClocksApart, ready + kClocksApart, kNearerAtOnce);
    };
    ASSIGN_OR_RETURN(const std::vector<core::Shard> far, Reachable(find, passed_over_));
    for (const core::Shard& shard : far) {
      ASSIGN_OR_RETURN(JobRow * job, FindJob(shard.key.job_id));
      const absl::Time until = shard.state == core::ShardState::kLeased ? lapse : ready;
      Change(*job, *Adopt(shard), [&](core::Shard& row) { row.due = until; });
    }
    if (far.size() < kNearerAtOnce) return absl::OkStatus();
    RETURN_IF_ERROR(Flush());
  }
}

absl::Status Batch::BringNearer(const std::vector<core::JobRecord>& reading, absl::Time due) {
  if (sharing_.alone) return absl::OkStatus();
  for (const core::JobRecord& record : reading) {
    if (record.job.reader_due <= due + kClocksApart) continue;
    ASSIGN_OR_RETURN(JobRow * job, Reach(record.job.id));
    if (job == nullptr || job->row.job.reader_due <= due) continue;
    core::TakeUp(job->row.job, job->row.job.reader, due);
    job->dirty = true;
  }
  return absl::OkStatus();
}

bool Batch::JudgeTurn(Turn& turn, const JobRow* job) {
  turn.judged = true;
  if (job == nullptr || !core::Leasable(job->row)) return false;
  turn.share.turn = core::TurnOf(job->row);
  return true;
}

absl::Time Batch::GivenTo(const std::string& holder) const {
  if (sharing_.alone) return absl::InfiniteFuture();
  if (const auto at = given_.find(holder); at != given_.end()) return at->second;
  const auto at = sharing_.given->find(holder);
  return at == sharing_.given->end() ? absl::InfinitePast() : at->second;
}

Declared Batch::TakeAgain() { return std::exchange(again_, {}); }

absl::Status Batch::Finish() {
  RETURN_IF_ERROR(Flush());
  std::vector<core::ShardKey> keys;
  for (const auto* const answer : acquired_) {
    for (const core::LeasedShard& leased : *answer) keys.push_back(leased.lease.shard);
  }
  ASSIGN_OR_RETURN(std::vector<std::string> payloads, transaction_.GetPayloads(keys));
  auto next = payloads.begin();
  for (auto* const answer : acquired_) {
    for (core::LeasedShard& leased : *answer) leased.payload = std::move(*next++);
  }
  acquired_.clear();
  return absl::OkStatus();
}

}  // namespace imgfleet::store
