#include "coordinator/store/memory_store.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::store {
namespace {

using core::JobRecord;
using core::Shard;
using core::ShardKey;
using core::ShardState;

struct ShardRow {
  Shard shard;
  std::string payload;
  std::vector<uint64_t> chunks;  // Their commit_seq, ascending.
};

struct JobRow {
  JobRecord record;
  std::map<uint32_t, ShardRow> shards;
  std::map<uint64_t, core::StoredChunk> chunks;
  std::map<uint64_t, uint32_t> by_index;  // first_index of each shard.
};

bool Timed(const Shard& shard) {
  return shard.state == ShardState::kLeased || shard.state == ShardState::kDelayed;
}

struct Tables {
  std::map<std::string, JobRow, std::less<>> jobs;
  // Indices over the rows above.
  std::set<std::pair<uint64_t, std::string>> ready_jobs;
  std::map<std::string, std::set<uint32_t>, std::less<>> ready_shards;
  std::set<std::pair<std::string, ShardKey>> leases;
  std::set<std::pair<absl::Time, ShardKey>> due;

  void Index(const JobRecord& record, bool on) {
    if (core::Ended(record.job.state) || record.ready_shards == 0) return;
    const std::pair key(record.leased_items, record.job.id);
    on ? void(ready_jobs.insert(key)) : void(ready_jobs.erase(key));
  }
  void Index(const Shard& shard, bool on) {
    if (shard.state == ShardState::kReady) {
      std::set<uint32_t>& ready = ready_shards[shard.key.job_id];
      on ? void(ready.insert(shard.key.shard)) : void(ready.erase(shard.key.shard));
      if (ready.empty()) ready_shards.erase(shard.key.job_id);
    }
    if (shard.state == ShardState::kLeased) {
      const std::pair key(shard.holder, shard.key);
      on ? void(leases.insert(key)) : void(leases.erase(key));
    }
    if (Timed(shard)) {
      const std::pair key(shard.due, shard.key);
      on ? void(due.insert(key)) : void(due.erase(key));
    }
  }
};

absl::Status NoJob(absl::string_view id) { return absl::NotFoundError(absl::StrCat("no job ", id)); }
absl::Status NoShard(const ShardKey& key) {
  return absl::NotFoundError(absl::StrCat("no shard ", key.shard, " of job ", key.job_id));
}

// Writes in place and remembers how to undo.
class MemoryTransaction final : public Transaction {
 public:
  MemoryTransaction(Tables& tables, absl::Time now) : tables_(tables), now_(now) {}

  void Undo() {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) (*step)();
  }

  absl::Time Now() const override { return now_; }

  absl::StatusOr<std::optional<JobRecord>> GetJob(absl::string_view id) override {
    const JobRow* row = FindJob(id);
    return row == nullptr ? std::nullopt : std::make_optional(row->record);
  }

  absl::Status InsertJob(const JobRecord& record) override {
    const auto [at, fresh] = tables_.jobs.try_emplace(record.job.id);
    if (!fresh) return absl::AlreadyExistsError(absl::StrCat("job ", record.job.id, " exists already"));
    at->second.record = record;
    tables_.Index(record, true);
    undo_.push_back([this, at = at] {
      tables_.Index(at->second.record, false);
      tables_.jobs.erase(at);
    });
    return absl::OkStatus();
  }

  absl::Status UpdateJob(const JobRecord& record) override {
    JobRow* row = FindJob(record.job.id);
    if (row == nullptr) return NoJob(record.job.id);
    undo_.push_back([this, row, old = row->record] { Replace(row->record, old); });
    Replace(row->record, record);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<JobRecord>> JobsBeingRead() override {
    std::vector<JobRecord> found;
    for (const auto& [id, row] : tables_.jobs) {
      if (row.record.job.state == core::JobState::kReading) found.push_back(row.record);
    }
    return found;
  }

  absl::StatusOr<std::optional<Shard>> GetShard(const ShardKey& key) override {
    const ShardRow* row = FindShard(key);
    return row == nullptr ? std::nullopt : std::make_optional(row->shard);
  }

  absl::StatusOr<std::string> GetPayload(const ShardKey& key) override {
    const ShardRow* row = FindShard(key);
    if (row == nullptr) return NoShard(key);
    return row->payload;
  }

  absl::Status InsertShard(const Shard& shard, absl::string_view payload) override {
    JobRow* job = FindJob(shard.key.job_id);
    if (job == nullptr) return NoJob(shard.key.job_id);
    const auto [at, fresh] = job->shards.try_emplace(shard.key.shard);
    if (!fresh) return absl::AlreadyExistsError(absl::StrCat("shard ", shard.key.shard, " exists already"));
    at->second = {shard, std::string(payload), {}};
    job->by_index[shard.first_index] = shard.key.shard;
    tables_.Index(shard, true);
    undo_.push_back([this, job, at = at] {
      tables_.Index(at->second.shard, false);
      job->by_index.erase(at->second.shard.first_index);
      job->shards.erase(at);
    });
    return absl::OkStatus();
  }

  absl::Status UpdateShard(const Shard& shard) override {
    ShardRow* row = FindShard(shard.key);
    if (row == nullptr) return NoShard(shard.key);
    undo_.push_back([this, row, old = row->shard] { Replace(row->shard, old); });
    Replace(row->shard, shard);
    return absl::OkStatus();
  }

  absl::Status InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) override {
    JobRow* job = FindJob(job_id);
    ShardRow* shard = FindShard({std::string(job_id), chunk.shard});
    if (shard == nullptr) return NoShard({std::string(job_id), chunk.shard});
    if (!job->chunks.try_emplace(chunk.commit_seq, chunk).second) {
      return absl::AlreadyExistsError(absl::StrCat("chunk ", chunk.commit_seq, " exists already"));
    }
    shard->chunks.push_back(chunk.commit_seq);
    undo_.push_back([job, shard, seq = chunk.commit_seq] {
      shard->chunks.pop_back();
      job->chunks.erase(seq);
    });
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<core::Share>> ReadyJobs(size_t limit) override {
    std::vector<core::Share> found;
    for (const auto& [leased, id] : tables_.ready_jobs) {
      if (found.size() == limit) break;
      found.push_back({id, leased});
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> ReadyShards(absl::string_view job_id, size_t limit) override {
    std::vector<Shard> found;
    const auto ready = tables_.ready_shards.find(job_id);
    if (ready == tables_.ready_shards.end()) return found;
    for (const uint32_t shard : ready->second) {
      if (found.size() == limit) break;
      found.push_back(FindShard({std::string(job_id), shard})->shard);
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> LeasesOf(absl::string_view holder) override {
    std::vector<Shard> found;
    for (auto at = tables_.leases.lower_bound({std::string(holder), ShardKey{}});
         at != tables_.leases.end() && at->first == holder; ++at) {
      found.push_back(FindShard(at->second)->shard);
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> DueShards(absl::Time by, size_t limit) override {
    std::vector<Shard> found;
    for (const auto& [due, key] : tables_.due) {
      if (due > by || found.size() == limit) break;
      found.push_back(FindShard(key)->shard);
    }
    return found;
  }

  absl::StatusOr<absl::Time> NextDue() override {
    return tables_.due.empty() ? absl::InfiniteFuture() : tables_.due.begin()->first;
  }

 private:
  JobRow* FindJob(absl::string_view id) {
    const auto at = tables_.jobs.find(std::string(id));
    return at == tables_.jobs.end() ? nullptr : &at->second;
  }
  ShardRow* FindShard(const ShardKey& key) {
    JobRow* job = FindJob(key.job_id);
    if (job == nullptr) return nullptr;
    const auto at = job->shards.find(key.shard);
    return at == job->shards.end() ? nullptr : &at->second;
  }
  template <typename Row>
  void Replace(Row& row, const Row& with) {
    tables_.Index(row, false);
    row = with;
    tables_.Index(row, true);
  }

  Tables& tables_;
  const absl::Time now_;
  std::vector<std::function<void()>> undo_;
};

class MemoryStore final : public Store {
 public:
  explicit MemoryStore(const Clock& clock) : clock_(clock) {}

  absl::Status Transact(absl::FunctionRef<absl::Status(Transaction&)> body) override {
    const absl::Time now = clock_.Boot();
    absl::MutexLock lock(&mutex_);
    MemoryTransaction transaction(tables_, now);
    const absl::Status status = body(transaction);
    if (!status.ok()) transaction.Undo();
    return status;
  }

  bool Exclusive() const override { return true; }

  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) override {
    absl::ReaderMutexLock lock(&mutex_);
    const JobRow* row = FindJob(id);
    return row == nullptr ? std::nullopt : std::make_optional(row->record.job);
  }

  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view before, size_t limit) override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::Job> found;
    auto at = before.empty() ? tables_.jobs.end() : tables_.jobs.lower_bound(std::string(before));
    while (at != tables_.jobs.begin() && found.size() < limit) found.push_back((--at)->second.record.job);
    return found;
  }

  absl::StatusOr<std::vector<core::Job>> JobsBeingRead() override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::Job> found;
    for (const auto& [id, row] : tables_.jobs) {
      if (row.record.job.state == core::JobState::kReading) found.push_back(row.record.job);
    }
    return found;
  }

  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes) override {
    absl::ReaderMutexLock lock(&mutex_);
    std::vector<core::StoredChunk> found;
    const JobRow* row = FindJob(job_id);
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
    for (const auto& [id, row] : tables_.jobs) ++census.jobs[row.record.job.state];
    census.leases = tables_.leases.size();
    return census;
  }

  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                uint64_t index) override {
    absl::ReaderMutexLock lock(&mutex_);
    const JobRow* job = FindJob(job_id);
    if (job == nullptr || index >= job->record.job.items) return std::nullopt;
    const uint32_t number = std::prev(job->by_index.upper_bound(index))->second;
    const ShardRow& row = job->shards.at(number);
    core::ShardResults results{
        number, row.shard.first_index, row.shard.items, row.payload, row.shard.state == ShardState::kDone,
        {}};
    for (const uint64_t seq : row.chunks) results.chunks.push_back(job->chunks.at(seq));
    return results;
  }

 private:
  const JobRow* FindJob(absl::string_view id) const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    const auto at = tables_.jobs.find(std::string(id));
    return at == tables_.jobs.end() ? nullptr : &at->second;
  }

  const Clock& clock_;
  absl::Mutex mutex_;
  Tables tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore(const Clock& clock) { return std::make_unique<MemoryStore>(clock); }

}  // namespace imgfleet::store
