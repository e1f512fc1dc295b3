#include "coordinator/core/job.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/core/sharder.h"

namespace imgfleet::core {
namespace {

bool AscendBelow(const std::vector<uint32_t>& offsets, uint32_t end) {
  for (size_t i = 0; i < offsets.size(); ++i) {
    if (offsets[i] >= end || (i > 0 && offsets[i] <= offsets[i - 1])) return false;
  }
  return true;
}

absl::Status CheckKnown(const NewShard& shard) {
  const KnownOutcomes& known = shard.known;
  if (!AscendBelow(known.offsets, shard.items)) {
    return absl::InvalidArgumentError("offsets of known outcomes do not ascend within the shard");
  }
  uint64_t failures = 0;
  for (const auto& [reason, count] : known.counts.reasons) failures += count;
  if (known.counts.succeeded + known.counts.failed != known.offsets.size() ||
      failures != known.counts.failed) {
    return absl::InvalidArgumentError("counts of known outcomes do not match their number");
  }
  return absl::OkStatus();
}

absl::Status CheckAbsent(const Job& job, const NewShard& shard) {
  if (shard.absent.empty()) return absl::OkStatus();
  if (job.parent.empty()) {
    return absl::InvalidArgumentError("only a job that tries another's items again leaves some out");
  }
  if (!AscendBelow(shard.absent, shard.items)) {
    return absl::InvalidArgumentError("absent offsets do not ascend within the shard");
  }
  for (const uint32_t offset : shard.known.offsets) {
    if (std::binary_search(shard.absent.begin(), shard.absent.end(), offset)) {
      return absl::InvalidArgumentError(absl::StrCat("absent offset ", offset, " has an outcome"));
    }
  }
  return absl::OkStatus();
}

void End(Job& job, JobState state, absl::Time wall) {
  job.state = state;
  job.end_time = wall;
}

}  // namespace

Job MakeJob(NewJob from) {
  Job job;
  job.id = std::move(from.id);
  job.owner = std::move(from.owner);
  job.spec = std::move(from.spec);
  job.source = std::move(from.source);
  job.create_time = from.create_time;
  job.priority = from.priority;
  job.parent = std::move(from.parent);
  job.idempotency_key = std::move(from.idempotency_key);
  job.request_hash = std::move(from.request_hash);
  job.schedule = std::move(from.schedule);
  return job;
}

absl::Status CheckAppend(const Job& job, const NewShard& shard) {
  if (job.state != JobState::kReading) {
    return absl::FailedPreconditionError(absl::StrCat(
        "job ", job.id,
        " takes no more items: ", Ended(job.state) ? "it has ended" : "its list was read to the end"));
  }
  if (shard.first_index < job.items || (shard.first_index > job.items && job.parent.empty())) {
    return absl::InvalidArgumentError(absl::StrCat("job ", job.id, " has ", job.items,
                                                   " items, the next shard begins at ", shard.first_index));
  }
  if (shard.items == 0 || shard.items > kMaxShardItems) {
    return absl::InvalidArgumentError(
        absl::StrCat("a shard holds 1 to ", kMaxShardItems, " items, not ", shard.items));
  }
  RETURN_IF_ERROR(CheckKnown(shard));
  return CheckAbsent(job, shard);
}

void Account(JobRecord& record, const Shard* before, const Shard& after) {
  if (before != nullptr) {
    record.leased_items -= LeasedItems(*before);
    record.ready_shards -= before->state == ShardState::kReady ? 1 : 0;
  } else {
    Job& job = record.job;
    job.absent += after.first_index - job.items + after.absent.Count();
    job.items = after.first_index + after.items;
    ++job.shards;
  }
  record.leased_items += LeasedItems(after);
  record.ready_shards += after.state == ShardState::kReady ? 1 : 0;
}

void Add(Counts& to, const Counts& more) {
  to.succeeded += more.succeeded;
  to.failed += more.failed;
  to.fetched_bytes += more.fetched_bytes;
  for (const auto& [reason, count] : more.reasons) to.reasons[reason] += count;
}

uint64_t CountOutcomes(Job& job, const Counts& counts) {
  Add(job.counts, counts);
  return ++job.last_commit_seq;
}

void FinishReading(Job& job, const absl::Status& how, absl::Time wall) {
  if (job.state != JobState::kReading) return;
  if (!how.ok()) {
    job.failure = std::string(how.message());
    End(job, JobState::kFailed, wall);
    return;
  }
  job.state = JobState::kRunning;
  CompleteIfDone(job, wall);
}

absl::Status CheckReader(const Job& job, absl::string_view reader) {
  if (job.reader.empty() || job.reader == reader) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("another coordinator reads the list of job ", job.id, " now"));
}

void TakeUp(Job& job, std::string reader, absl::Time due) {
  job.reader = std::move(reader);
  job.reader_due = due;
}

absl::Status SetPaused(Job& job, bool paused) {
  if (Ended(job.state)) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", job.id, " has ended; there is nothing to ", paused ? "pause" : "resume"));
  }
  job.paused = paused;
  return absl::OkStatus();
}

absl::Status CheckPriority(int32_t priority) {
  if (priority >= kMinPriority && priority <= kMaxPriority) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("priority: ", priority, " is not between ", kMinPriority, " and ", kMaxPriority));
}

absl::Status CheckRepeated(const Job& known, const NewJob& again) {
  if (known.request_hash == again.request_hash) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("idempotency key \"", again.idempotency_key, "\" was used for job ", known.id,
                   ", which was submitted differently; submit this under another key"));
}

void Cancel(Job& job, absl::Time wall) {
  if (!Ended(job.state)) End(job, JobState::kCancelled, wall);
}

void CompleteIfDone(Job& job, absl::Time wall) {
  if (job.state == JobState::kRunning && OpenItems(job) == 0) End(job, JobState::kCompleted, wall);
}

}  // namespace imgfleet::core
