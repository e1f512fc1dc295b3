#include "coordinator/store/memory_tables.h"

namespace imgfleet::store {
namespace {

using core::ShardState;

template <typename Set>
void Put(Set& set, const typename Set::key_type& key, bool on) {
  on ? void(set.insert(key)) : void(set.erase(key));
}

}  // namespace

void MemoryTables::Index(const core::JobRecord& record, bool on) {
  const core::Job& job = record.job;
  if (core::Leasable(record)) Put(ready_jobs, {core::TurnOf(record), job.id}, on);
  if (job.state == core::JobState::kReading) Put(readings, {job.reader_due, job.id}, on);
  if (!core::Ended(job.state)) Put(open_jobs, {job.owner, job.id}, on);
  if (job.expired) return Put(expired_jobs, job.id, on);
  if (core::Ended(job.state)) Put(ended_jobs, {job.end_time, job.id}, on);
  if (job.idempotency_key.empty()) return;
  const std::pair key(job.owner, job.idempotency_key);
  on ? void(jobs_by_key.emplace(key, job.id)) : void(jobs_by_key.erase(key));
}

void MemoryTables::Index(const core::Shard& shard, bool on) {
  if (shard.state == ShardState::kReady) {
    std::set<uint32_t>& ready = ready_shards[shard.key.job_id];
    Put(ready, shard.key.shard, on);
    if (ready.empty()) ready_shards.erase(shard.key.job_id);
  }
  if (shard.state == ShardState::kLeased) Put(leases, {shard.holder, shard.key}, on);
  if (shard.state == ShardState::kLeased || shard.state == ShardState::kDelayed) {
    Put(due, {shard.due, shard.key}, on);
  }
}

void MemoryTables::Index(const core::Schedule& schedule, bool on) {
  if (!schedule.paused) Put(schedules_due, {schedule.next_time, schedule.id}, on);
}

MemoryJob* MemoryTables::FindJob(absl::string_view id) {
  const auto at = jobs.find(id);
  return at == jobs.end() ? nullptr : &at->second;
}

const MemoryJob* MemoryTables::FindJob(absl::string_view id) const {
  const auto at = jobs.find(id);
  return at == jobs.end() ? nullptr : &at->second;
}

MemoryShard* MemoryTables::FindShard(const core::ShardKey& key) {
  MemoryJob* job = FindJob(key.job_id);
  if (job == nullptr) return nullptr;
  const auto at = job->shards.find(key.shard);
  return at == job->shards.end() ? nullptr : &at->second;
}

}  // namespace imgfleet::store
