// Jobs that come and go at one go.
#include <limits>

#include "common/status.h"
#include "coordinator/store/batch.h"

namespace imgfleet::store {

absl::Status Batch::CreateWhole(const core::NewJob& job, const std::vector<core::NewShard>& shards,
                                absl::StatusOr<core::Job>& answer) {
  RETURN_IF_ERROR(CreateJob(job, answer));
  if (!answer.ok() || !again_.empty()) return absl::OkStatus();
  for (const core::NewShard& shard : shards) {
    absl::Status appended;
    RETURN_IF_ERROR(AppendShard(job.id, shard, appended));
    if (appended.ok()) continue;
    answer = appended;
    return Forget(job.id);
  }
  return FinishReading(job.id, absl::OkStatus(), answer);
}

absl::Status Batch::Forget(const std::string& job_id) {
  // Leases that this batch gave get their items first: they are about to go.
  RETURN_IF_ERROR(Finish());
  jobs_.erase(job_id);
  shards_.erase(shards_.lower_bound({job_id, 0}),
                shards_.upper_bound({job_id, std::numeric_limits<uint32_t>::max()}));
  touched_.erase(job_id);
  return transaction_.DeletePart(job_id, std::numeric_limits<size_t>::max()).status();
}

}  // namespace imgfleet::store
