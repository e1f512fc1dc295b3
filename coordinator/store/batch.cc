#include "coordinator/store/batch.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/core/fair_share.h"
#include "coordinator/store/internal_outcome.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using core::ShardState;

// Jobs among which one Acquire divides its room.
constexpr size_t kTurns = 64;
// READY shards looked up at a time.
constexpr size_t kReadyAhead = 8;
// READY shards that need a trial that one Acquire looks beyond, in one job.
constexpr size_t kMaxSkipped = 256;
constexpr size_t kDueAtOnce = 256;
// Items that all leases of one batch may carry in sum, a first shard for each Acquire aside: bounds memory.
constexpr uint64_t kMaxLeasedBytes = 16 << 20;

}  // namespace

// --- Rows -----------------------------------------------------------------------------------------------------

absl::StatusOr<Batch::JobRow*> Batch::FindJob(const std::string& id) {
  if (const auto at = jobs_.find(id); at != jobs_.end()) return at->second.get();
  if (!sharing_.alone && sharing_.jobs->count(id) > 0) return nullptr;
  ASSIGN_OR_RETURN(std::optional<core::JobRecord> found, transaction_.GetJob(id));
  if (!found) return nullptr;
  return jobs_.emplace(id, std::make_unique<JobRow>(JobRow{*std::move(found)})).first->second.get();
}

absl::StatusOr<Batch::ShardRow*> Batch::FindShard(const core::ShardKey& key) {
  if (const auto at = shards_.find(key); at != shards_.end()) return at->second.get();
  ASSIGN_OR_RETURN(std::optional<core::Shard> found, transaction_.GetShard(key));
  if (!found) return nullptr;
  return Adopt(*std::move(found));
}

// What was flushed is what the store gives back, so a row known already stays as it is.
Batch::ShardRow* Batch::Adopt(core::Shard shard) {
  auto& row = shards_[shard.key];
  if (row == nullptr) row = std::make_unique<ShardRow>(ShardRow{std::move(shard)});
  return row.get();
}

core::Job& Batch::Touch(JobRow& job) {
  job.dirty = true;
  touched_.insert(job.row.job.id);
  return job.row.job;
}

absl::StatusOr<Batch::JobRow*> Batch::FindJobAsked(const std::string& id) {
  ASSIGN_OR_RETURN(JobRow * job, FindJob(id));
  return job == nullptr || job->row.job.expired ? nullptr : job;
}

void Batch::NoteStopped(const JobRow& job) {
  const core::JobState state = job.row.job.state;
  if (job.row.job.paused || state == core::JobState::kFailed || state == core::JobState::kCancelled) {
    stopped_.insert(job.row.job.id);
  }
}

void Batch::Change(JobRow& job, ShardRow& shard, absl::FunctionRef<void(core::Shard&)> how) {
  const core::Shard before = shard.row;
  how(shard.row);
  core::Account(job.row, &before, shard.row);
  job.dirty = true;
  shard.dirty = true;
  if (before.state != ShardState::kReady && shard.row.state == ShardState::kReady) work_available_ = true;
}

absl::StatusOr<Batch::Leased> Batch::FindLeased(const core::ShardKey& key) {
  Leased found;
  ASSIGN_OR_RETURN(found.job, FindJob(key.job_id));
  if (found.job == nullptr) return found;
  ASSIGN_OR_RETURN(found.shard, FindShard(key));
  const core::Job& job = found.job->row.job;
  found.ended = found.shard == nullptr || job.paused || core::Ended(job.state);
  return found;
}

absl::Status Batch::Flush() {
  for (auto& [key, shard] : shards_) {
    if (!std::exchange(shard->dirty, false)) continue;
    if (shard->row.state == ShardState::kLeased || shard->row.state == ShardState::kDelayed) {
      earliest_due_ = std::min(earliest_due_, shard->row.due);
    }
    RETURN_IF_ERROR(transaction_.UpdateShard(shard->row));
  }
  for (auto& [id, job] : jobs_) {
    if (job->dirty) RETURN_IF_ERROR(transaction_.UpdateJob(job->row));
    job->dirty = false;
  }
  return absl::OkStatus();
}

Ledger::Changes Batch::TakeChanges() {
  Ledger::Changes changes;
  changes.jobs.assign(touched_.begin(), touched_.end());
  changes.stopped.assign(stopped_.begin(), stopped_.end());
  changes.work_available = work_available_;
  changes.outcomes = std::move(outcomes_);
  changes.leases_lapsed = leases_lapsed_;
  changes.suspected.assign(suspected_.begin(), suspected_.end());
  changes.lists_waiting = lists_waiting_;
  return changes;
}

// --- Time -----------------------------------------------------------------------------------------------------

absl::Status Batch::Recover() {
  const absl::Time until = transaction_.Now() + options_.disconnect_grace;
  ASSIGN_OR_RETURN(const std::vector<core::Shard> timed,
                   transaction_.DueShards(absl::InfiniteFuture(), std::numeric_limits<int32_t>::max()));
  for (const core::Shard& shard : timed) {
    ASSIGN_OR_RETURN(JobRow * job, FindJob(shard.key.job_id));
    Change(*job, *Adopt(shard), [&](core::Shard& row) { core::Orphan(row, until); });
  }
  ASSIGN_OR_RETURN(const std::vector<core::JobRecord> reading, transaction_.JobsBeingRead());
  for (const core::JobRecord& record : reading) {
    ASSIGN_OR_RETURN(JobRow * job, FindJob(record.job.id));
    if (!record.job.source.empty()) {
      core::TakeUp(Touch(*job), "", transaction_.Now());
      continue;
    }
    core::FinishReading(
        Touch(*job),
        absl::AbortedError(absl::StrCat("the coordinator restarted while the list was being uploaded, after ",
                                        record.job.items, " items; submit the list again")),
        wall_);
  }
  return Flush();
}

absl::Status Batch::ComeDue() {
  for (;;) {
    ASSIGN_OR_RETURN(
        const std::vector<core::Shard> due,
        Reachable([&] { return transaction_.DueShards(transaction_.Now(), kDueAtOnce); }, passed_over_));
    size_t left = 0;
    for (const core::Shard& shard : due) {
      ASSIGN_OR_RETURN(JobRow * job, FindJob(shard.key.job_id));
      ShardRow& row = *Adopt(shard);
      if (core::MustBeCertain(row.row) || core::InQuestion(row.row)) {
        left += Judge(*job, row) ? 0 : 1;
        continue;
      }
      if (shard.state == ShardState::kLeased) ++leases_lapsed_;
      Change(*job, row, core::ComeDue);
    }
    left_to_others_ |= left > 0;
    if (due.size() < kDueAtOnce || left == due.size()) return absl::OkStatus();
    RETURN_IF_ERROR(Flush());
  }
}

absl::Status Batch::InsertOutcomes(JobRow& job, uint32_t shard, const std::vector<uint32_t>& offsets,
                                   const std::string& payload, const core::Counts& counts) {
  core::StoredChunk chunk;
  chunk.commit_seq = core::CountOutcomes(Touch(job), counts);
  core::Add(outcomes_, counts);
  chunk.shard = shard;
  chunk.offsets = offsets;
  chunk.payload = payload;
  core::CompleteIfDone(job.row.job, wall_);
  return transaction_.InsertChunk(job.row.job.id, chunk);
}

// --- Leases ---------------------------------------------------------------------------------------------------

absl::StatusOr<Batch::ShardRow*> Batch::NextReady(Turn& turn) {
  if (turn.ready.empty()) {
    RETURN_IF_ERROR(Flush());
    ASSIGN_OR_RETURN(std::vector<core::Shard> found,
                     transaction_.ReadyShards(turn.share.job_id, kReadyAhead + turn.skipped.size()));
    for (core::Shard& shard : found) {
      if (turn.skipped.count(shard.key) == 0) turn.ready.push_back(Adopt(std::move(shard))->row.key);
    }
    std::reverse(turn.ready.begin(), turn.ready.end());
  }
  if (turn.ready.empty()) return nullptr;
  return FindShard(turn.ready.back());
}

absl::Status Batch::Settle(JobRow& job, ShardRow& shard) {
  std::optional<uint32_t> poison;
  Change(job, shard, [&](core::Shard& row) { poison = core::SettleLoss(row); });
  if (!poison) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string items, transaction_.GetPayload(shard.row.key));
  const InternalOutcome outcome = OutcomeOfPoison(items, shard.row.first_index, *poison, core::kMaxLosses);
  Change(job, shard, [&](core::Shard& row) { core::CommitOffsets(row, {*poison}); });
  return InsertOutcomes(job, shard.row.key.shard, {*poison}, outcome.payload, outcome.counts);
}

core::LeasedShard Batch::LeaseTo(const std::string& holder, JobRow& job, ShardRow& shard) {
  core::LeasedShard leased;
  const absl::Time until = transaction_.Now() + options_.lease_period;
  Change(job, shard, [&](core::Shard& row) { leased.offsets = core::Lease(row, holder, until); });
  if (!sharing_.alone) given_[holder] = until;
  leased.lease = {shard.row.key, shard.row.epoch};
  leased.spec = job.row.job.spec;
  leased.first_index = shard.row.first_index;
  leased.put_offs = shard.row.put_offs;
  return leased;
}

absl::Status Batch::Acquire(const std::string& holder, const core::Credit& credit, core::Leases& answer) {
  answer = {};
  RETURN_IF_ERROR(Flush());
  const absl::Time now = transaction_.Now();
  trials_.Asks(holder, muster_.workers(), now);
  if (const std::optional<core::ShardKey> awaited = trials_.Awaits(holder)) {
    if (!credit.idle) {
      answer.run_dry = true;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(TryAwaited(holder, *awaited, answer));
    if (!answer.empty()) return absl::OkStatus();
  }
  std::optional<core::ShardKey> suspect;  // The first that may be leased alone only.
  ASSIGN_OR_RETURN(std::vector<core::Share> shares, transaction_.ReadyJobs(kTurns));
  std::vector<Turn> turns;
  for (core::Share& share : shares) turns.push_back({std::move(share), sharing_.alone, {}, {}});
  std::vector<std::string> beyond;
  const uint64_t bytes_left = kMaxLeasedBytes - std::min(kMaxLeasedBytes, leased_bytes_);
  core::Credit bounded = credit;
  bounded.bytes = std::min(bounded.bytes, bytes_left);
  bounded.spare_bytes = std::min(bounded.spare_bytes, bytes_left);
  core::Room room(std::move(bounded));
  while (!room.empty() && !turns.empty()) {
    const auto turn = std::min_element(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) {
      return core::ComesBefore(a.share, b.share);
    });
    if (!turn->judged) {
      ASSIGN_OR_RETURN(const JobRow* const job, Reach(turn->share.job_id));
      if (job == nullptr && sharing_.jobs->count(turn->share.job_id) == 0)
        beyond.push_back(turn->share.job_id);
      if (!JudgeTurn(*turn, job)) turns.erase(turn);
      continue;
    }
    ASSIGN_OR_RETURN(ShardRow * shard, NextReady(*turn));
    if (shard != nullptr && core::NeedsTrial(shard->row)) {
      if (!suspect) suspect = shard->row.key;
      if (!options_.holds_trials) suspected_.insert(shard->row.key.job_id);
      if (options_.holds_trials && credit.idle && answer.empty() && trials_.MaySetAside(now)) break;
      turn->ready.pop_back();
      turn->skipped.insert(shard->row.key);
      if (turn->skipped.size() > kMaxSkipped) turns.erase(turn);
      continue;
    }
    const auto fits = [&] {
      return room.Fits(turn->share.job_id, core::LeasableItems(shard->row), shard->row.payload_bytes);
    };
    if (shard == nullptr || !fits()) {
      turns.erase(turn);
      continue;
    }
    turn->ready.pop_back();
    ASSIGN_OR_RETURN(JobRow * job, FindJob(turn->share.job_id));
    RETURN_IF_ERROR(Settle(*job, *shard));
    if (shard->row.state != ShardState::kReady) continue;
    // Where an item was given up, all the others may be leased again, not only half of what was suspected.
    if (!fits()) {
      turns.erase(turn);
      continue;
    }
    answer.push_back(LeaseTo(holder, *job, *shard));
    turn->share.turn = core::TurnOf(job->row);
    room.Take(turn->share.job_id, answer.back().offsets.size(), shard->row.payload_bytes);
    leased_bytes_ += shard->row.payload_bytes;
  }
  if (suspect && options_.holds_trials) RETURN_IF_ERROR(Try(holder, *suspect, credit.idle, answer));
  answer.suspects = suspect.has_value() && options_.holds_trials;
  if (!answer.empty() && !answer[0].alone) acquired_.push_back(&answer);
  // One is enough: it has work, unless somebody takes that away meanwhile.
  if (answer.empty() && !beyond.empty()) again_.jobs = {beyond.front()};
  return absl::OkStatus();
}

absl::Status Batch::Renew(const std::string& holder, const std::vector<core::LeaseRef>& held,
                          core::VoidLeases& void_leases) {
  void_leases = {};
  const absl::Time until = transaction_.Now() + options_.lease_period;
  for (const core::LeaseRef& lease : held) {
    ASSIGN_OR_RETURN(const Leased found, FindLeased(lease.shard));
    bool renewed = false;
    if (!found.ended) {
      Change(*found.job, *found.shard,
             [&](core::Shard& row) { renewed = core::Renew(row, holder, lease.epoch, until); });
    }
    if (!renewed) void_leases.push_back(lease);
    if (renewed && core::OnTrial(found.shard->row)) void_leases.alone.push_back(lease);
  }
  if (!sharing_.alone && void_leases.size() < held.size()) given_[holder] = until;
  return absl::OkStatus();
}

absl::Status Batch::CommitChunk(const core::Chunk& chunk, core::CommitAnswer& answer) {
  answer = {CommitCode::kStale, ""};
  ASSIGN_OR_RETURN(const Leased found, FindLeased(chunk.lease.shard));
  if (found.shard == nullptr) return absl::OkStatus();
  core::ChunkCheck check = core::CheckChunk(found.shard->row, chunk);
  switch (check.verdict) {
    case core::ChunkVerdict::kStale:
      return absl::OkStatus();
    case core::ChunkVerdict::kRepeated:
      answer.code = CommitCode::kCommitted;
      return absl::OkStatus();
    case core::ChunkVerdict::kInvalid:
      answer = {CommitCode::kInvalid, std::move(check.message)};
      return absl::OkStatus();
    case core::ChunkVerdict::kFresh:
      break;
  }
  if (found.ended) return absl::OkStatus();
  Change(*found.job, *found.shard, [&](core::Shard& row) { core::CommitOffsets(row, chunk.offsets); });
  RETURN_IF_ERROR(
      InsertOutcomes(*found.job, chunk.lease.shard.shard, chunk.offsets, chunk.payload, chunk.counts));
  answer.code = CommitCode::kCommitted;
  return absl::OkStatus();
}

absl::Status Batch::HandBack(const core::LeaseRef& lease, absl::Duration not_before,
                             core::CommitAnswer& answer) {
  answer = {CommitCode::kStale, ""};
  ASSIGN_OR_RETURN(const Leased found, FindLeased(lease.shard));
  if (found.ended) return absl::OkStatus();
  const absl::Time now = transaction_.Now();
  Change(*found.job, *found.shard, [&](core::Shard& row) {
    if (core::HandBack(row, lease.epoch, now, now + not_before)) answer.code = CommitCode::kCommitted;
  });
  return absl::OkStatus();
}

// A lease that another coordinator has renewed since is due later than any that was given here.
absl::Status Batch::Disconnected(const std::string& holder, std::optional<absl::Time>& given_here) {
  RETURN_IF_ERROR(Flush());
  const absl::Time until = transaction_.Now() + options_.disconnect_grace;
  if (!given_here) given_here = GivenTo(holder);
  std::set<std::string> beyond;
  ASSIGN_OR_RETURN(const std::vector<core::Shard> leases,
                   Reachable([&] { return transaction_.LeasesOf(holder); }, beyond));
  for (const core::Shard& shard : leases) {
    if (shard.due > *given_here) continue;
    ASSIGN_OR_RETURN(JobRow * job, FindJob(shard.key.job_id));
    Change(*job, *Adopt(shard), [&](core::Shard& row) { core::Shorten(row, until); });
  }
  again_.jobs.assign(beyond.begin(), beyond.end());
  if (!sharing_.alone && GivenTo(holder) <= *given_here) given_[holder] = absl::InfinitePast();
  return absl::OkStatus();
}

}  // namespace imgfleet::store
