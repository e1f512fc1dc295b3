#include "coordinator/store/memory_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "coordinator/store/memory_tables.h"
#include "coordinator/store/memory_transaction.h"

namespace imgfleet::store {
namespace {

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  absl::Status Transact(const Declared& declared,
                        absl::FunctionRef<absl::Status(Transaction&)> body) override {
    const absl::Time now = clock_.Boot();
    absl::MutexLock lock(&mutex_);
    const std::unique_ptr<UndoableTransaction> transaction = BeginInMemory(tables_, declared, now);
    const absl::Status status = body(*transaction);
    if (!status.ok()) transaction->Undo();
    return status;
  }

  bool Exclusive() const override { return true; }

  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) override {
    absl::ReaderMutexLock lock(&mutex_);
    const MemoryJob* row = FindJob(id);
    return row == nullptr ? std::nullopt : std::make_optional(row->record.job);
  }

  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  size_t limit) override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::Job> found;
    auto at = before.empty() ? tables_.jobs.end() : tables_.jobs.lower_bound(before);
    while (at != tables_.jobs.begin() && found.size() < limit) {
      const core::Job& job = (--at)->second.record.job;
      if (!job.expired && (owner.empty() || job.owner == owner)) found.push_back(job);
    }
    return found;
  }

  absl::StatusOr<std::vector<core::Job>> JobsBeingRead() override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::Job> found;
    for (const auto& [due, id] : tables_.readings) found.push_back(tables_.FindJob(id)->record.job);
    std::sort(found.begin(), found.end(), [](const core::Job& a, const core::Job& b) { return a.id < b.id; });
    return found;
  }

  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes) override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::StoredChunk> found;
    const MemoryJob* row = FindJob(job_id);
    if (row == nullptr) return found;
    uint64_t bytes = 0;
    for (auto at = row->chunks.upper_bound(after); at != row->chunks.end(); ++at) {
      bytes += at->second.payload.size();
      if (!found.empty() && bytes > max_bytes) break;
      found.push_back(at->second);
    }
    return found;
  }

  absl::StatusOr<core::Census> TakeCensus() override {
    absl::ReaderMutexLock lock(&mutex_);
    core::Census census;
    for (const auto& [id, row] : tables_.jobs) {
      if (!row.record.job.expired) ++census.jobs[row.record.job.state];
      census.items_pending += core::PendingItems(row.record.job);
    }
    census.leases = tables_.leases.size();
    return census;
  }

  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                uint64_t index) override {
    absl::ReaderMutexLock lock(&mutex_);
    const MemoryJob* job = FindJob(job_id);
    if (job == nullptr || job->shards.empty()) return std::nullopt;
    auto at = job->by_index.upper_bound(index);
    if (at != job->by_index.begin()) {
      const core::Shard& before = job->shards.at(std::prev(at)->second).shard;
      if (index < before.first_index + before.items) --at;
    }
    if (at == job->by_index.end()) return std::nullopt;
    const MemoryShard& row = job->shards.at(at->second);
    core::ShardResults results;
    results.shard = row.shard.key.shard;
    results.first_index = row.shard.first_index;
    results.items = row.shard.items;
    results.payload = row.payload;
    results.complete = row.shard.state == core::ShardState::kDone;
    results.absent = row.shard.absent;
    for (const uint64_t seq : row.chunks) results.chunks.push_back(job->chunks.at(seq));
    return results;
  }

  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override {
    absl::ReaderMutexLock lock(&mutex_);
    const auto at = tables_.schedules.find(id);
    return at == tables_.schedules.end() ? std::nullopt : std::make_optional(at->second);
  }

  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            size_t limit) override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::Schedule> found;
    auto at = before.empty() ? tables_.schedules.end() : tables_.schedules.lower_bound(before);
    while (at != tables_.schedules.begin() && found.size() < limit) {
      const core::Schedule& schedule = (--at)->second;
      if (owner.empty() || schedule.owner == owner) found.push_back(schedule);
    }
    return found;
  }

 private:
  // What readers see: null where it is expired.
  const MemoryJob* FindJob(absl::string_view id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    const MemoryJob* job = tables_.FindJob(id);
    return job == nullptr || job->record.job.expired ? nullptr : job;
  }

  const Clock& clock_;
  absl::Mutex mutex_;
  MemoryTables tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(const Clock& clock) { return std::make_unique<MemoryStore>(clock); }

}  // namespace imgfleet::store
