// What of a batch is about suspects and their trials (core/shard.h, core/trials.h).
#include <algorithm>

#include "common/status.h"
#include "coordinator/core/job.h"
#include "coordinator/store/batch.h"

namespace imgfleet::store {
namespace {

using core::Muster;
using core::ShardState;

// A coordinator that did not know the worker leaves the verdict so long to the one that did.
constexpr absl::Duration kLeftToOthers = absl::Seconds(5);

}  // namespace

bool Batch::Judge(JobRow& job, ShardRow& shard) {
  const absl::Time now = transaction_.Now();
  if (!core::InQuestion(shard.row)) {
    ++leases_lapsed_;
    Change(job, shard, [&](core::Shard& row) { core::Question(row, now + options_.lease_period); });
    return true;
  }
  const Muster::Death death = muster_.HowDied(shard.row.holder, shard.row.due - options_.lease_period);
  if (death == Muster::Death::kUnknown && !sharing_.alone && now < shard.row.due + kLeftToOthers)
    return false;
  Change(job, shard, death == Muster::Death::kAlone ? core::ComeDue : core::Acquit);
  return true;
}

absl::Status Batch::LeaseAlone(const std::string& holder, JobRow& job, ShardRow& shard,
                               core::Leases& answer) {
  RETURN_IF_ERROR(Settle(job, shard));
  answer.push_back(LeaseTo(holder, job, shard));
  answer.back().alone = true;
  leased_bytes_ += shard.row.payload_bytes;
  trials_.Begins(holder, transaction_.Now());
  acquired_.push_back(&answer);
  return absl::OkStatus();
}

absl::Status Batch::TryAwaited(const std::string& holder, const core::ShardKey& awaited,
                               core::Leases& answer) {
  ASSIGN_OR_RETURN(JobRow * job, Reach(awaited.job_id));
  ShardRow* shard = nullptr;
  if (job != nullptr && core::Leasable(job->row)) {
    ASSIGN_OR_RETURN(shard, FindShard(awaited));
  }
  const bool needed =
      shard != nullptr && shard->row.state == ShardState::kReady && core::NeedsTrial(shard->row);
  if (needed) return LeaseAlone(holder, *job, *shard, answer);
  trials_.GivesUp(holder);
  return absl::OkStatus();
}

absl::Status Batch::Try(const std::string& holder, const core::ShardKey& suspect, bool idle,
                        core::Leases& answer) {
  const absl::Time now = transaction_.Now();
  const bool set_aside = trials_.MaySetAside(now);
  if (idle && answer.empty()) {
    if (!set_aside && !trials_.MayTry(muster_.workers())) return absl::OkStatus();
    if (set_aside) trials_.SetAside(holder, suspect, now);
    return TryAwaited(holder, suspect, answer);
  }
  if (!set_aside) return absl::OkStatus();
  trials_.SetAside(holder, suspect, now);
  answer.run_dry = true;
  return absl::OkStatus();
}

// Reports of an older stream may come late, so a lease that the worker got since must stay its own until it lapses.
absl::Status Batch::Returned(const std::string& holder, const std::vector<core::LeaseRef>& held) {
  RETURN_IF_ERROR(Flush());
  std::set<std::string> beyond;
  const auto on_trial = [&]() -> absl::StatusOr<std::vector<core::Shard>> {
    ASSIGN_OR_RETURN(std::vector<core::Shard> leases, transaction_.LeasesOf(holder));
    std::erase_if(leases, [](const core::Shard& shard) { return !core::OnTrial(shard); });
    return leases;
  };
  ASSIGN_OR_RETURN(const std::vector<core::Shard> leases, Reachable(on_trial, beyond));
  for (const core::Shard& shard : leases) {
    const core::LeaseRef lease{shard.key, shard.epoch};
    if (std::find(held.begin(), held.end(), lease) != held.end()) continue;
    ASSIGN_OR_RETURN(JobRow * job, FindJob(shard.key.job_id));
    Change(*job, *Adopt(shard), core::Forgo);
  }
  again_.jobs.assign(beyond.begin(), beyond.end());
  return absl::OkStatus();
}

}  // namespace imgfleet::store
