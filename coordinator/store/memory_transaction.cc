#include "coordinator/store/memory_transaction.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace imgfleet::store {
namespace {

using core::JobRecord;
using core::Shard;
using core::ShardKey;

absl::Status NoJob(absl::string_view id) { return absl::NotFoundError(absl::StrCat("no job ", id)); }
absl::Status NoShard(const ShardKey& key) {
  return absl::NotFoundError(absl::StrCat("no shard ", key.shard, " of job ", key.job_id));
}
absl::Status NoSchedule(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("no schedule ", id));
}

class MemoryTransaction final : public UndoableTransaction {
 public:
  MemoryTransaction(MemoryTables& tables, const Declared& declared, absl::Time now)
      : tables_(tables), declared_(declared), now_(now) {}

  void Undo() override {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) (*step)();
  }

  absl::Time Now() const override { return now_; }

  Prefetched TakePrefetched() override {
    Prefetched found;
    for (const std::string& id : declared_.jobs) {
      if (const auto job = tables_.jobs.find(id); job != tables_.jobs.end())
        found.jobs.push_back(job->second.record);
    }
    for (const ShardKey& key : declared_.shards) {
      if (const MemoryShard* shard = tables_.FindShard(key)) found.shards.push_back(shard->shard);
    }
    return found;
  }

  absl::StatusOr<std::optional<JobRecord>> GetJob(absl::string_view id) override {
    const MemoryJob* row = tables_.FindJob(id);
    return row == nullptr ? std::nullopt : std::make_optional(row->record);
  }

  absl::Status InsertJob(const JobRecord& record) override {
    const core::Job& job = record.job;
    if (!job.idempotency_key.empty() && tables_.jobs_by_key.count({job.owner, job.idempotency_key}) > 0) {
      return absl::AlreadyExistsError(
          absl::StrCat("a job of the key ", job.idempotency_key, " exists already"));
    }
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
    MemoryJob* row = tables_.FindJob(record.job.id);
    if (row == nullptr) return NoJob(record.job.id);
    undo_.push_back([this, row, old = row->record] { Replace(row->record, old); });
    Replace(row->record, record);
    return absl::OkStatus();
  }

  absl::Status UpdateSource(absl::string_view job_id, absl::string_view source) override {
    MemoryJob* row = tables_.FindJob(job_id);
    if (row == nullptr) return NoJob(job_id);
    undo_.push_back([row, old = row->record.job.source] { row->record.job.source = old; });
    row->record.job.source = std::string(source);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<JobRecord>> FindByKey(absl::string_view owner,
                                                     absl::string_view key) override {
    const auto at = tables_.jobs_by_key.find({std::string(owner), std::string(key)});
    if (at == tables_.jobs_by_key.end()) return std::nullopt;
    return GetJob(at->second);
  }

  absl::StatusOr<std::vector<JobRecord>> JobsBeingRead() override {
    std::vector<JobRecord> found;
    for (const auto& [due, id] : tables_.readings) found.push_back(tables_.FindJob(id)->record);
    std::sort(found.begin(), found.end(),
              [](const JobRecord& a, const JobRecord& b) { return a.job.id < b.job.id; });
    return found;
  }

  absl::StatusOr<std::vector<JobRecord>> LapsedReadings(absl::Time by, size_t limit) override {
    return Records(tables_.readings, by, limit);
  }

  absl::StatusOr<core::OwnerUse> UseOf(absl::string_view owner) override {
    core::OwnerUse use;
    for (auto at = tables_.open_jobs.lower_bound({std::string(owner), ""});
         at != tables_.open_jobs.end() && at->first == owner; ++at) {
      ++use.jobs;
      use.items += core::OpenItems(tables_.FindJob(at->second)->record.job);
    }
    return use;
  }

  absl::StatusOr<std::vector<JobRecord>> EndedBy(absl::Time by, size_t limit) override {
    return Records(tables_.ended_jobs, by, limit);
  }

  absl::StatusOr<std::vector<std::string>> ExpiredJobs(size_t limit) override {
    std::vector<std::string> found;
    for (const std::string& id : tables_.expired_jobs) {
      if (found.size() == limit) break;
      found.push_back(id);
    }
    return found;
  }

  absl::StatusOr<bool> DeletePart(absl::string_view job_id, size_t rows) override {
    const auto at = tables_.jobs.find(job_id);
    if (at == tables_.jobs.end()) return true;
    MemoryJob& job = at->second;
    for (size_t n = 0; n < rows && !job.chunks.empty(); ++n) TakeOut(job.chunks, job.chunks.begin());
    for (size_t n = 0; n < rows && !job.shards.empty(); ++n) {
      tables_.Index(job.shards.begin()->second.shard, false);
      undo_.push_back([this, &job] { tables_.Index(job.shards.begin()->second.shard, true); });
      TakeOut(job.shards, job.shards.begin());
    }
    if (!job.chunks.empty() || !job.shards.empty()) return false;
    tables_.Index(job.record, false);
    undo_.push_back([this, &job] { tables_.Index(job.record, true); });
    TakeOut(tables_.jobs, at);
    return true;
  }

  absl::StatusOr<std::optional<Shard>> GetShard(const ShardKey& key) override {
    const MemoryShard* row = tables_.FindShard(key);
    return row == nullptr ? std::nullopt : std::make_optional(row->shard);
  }

  absl::StatusOr<std::string> GetPayload(const ShardKey& key) override {
    const MemoryShard* row = tables_.FindShard(key);
    if (row == nullptr) return NoShard(key);
    return row->payload;
  }

  absl::Status InsertShard(const Shard& shard, absl::string_view payload) override {
    MemoryJob* job = tables_.FindJob(shard.key.job_id);
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
    MemoryShard* row = tables_.FindShard(shard.key);
    if (row == nullptr) return NoShard(shard.key);
    undo_.push_back([this, row, old = row->shard] { Replace(row->shard, old); });
    Replace(row->shard, shard);
    return absl::OkStatus();
  }

  absl::Status InsertChunk(absl::string_view job_id, const core::StoredChunk& chunk) override {
    MemoryJob* job = tables_.FindJob(job_id);
    MemoryShard* shard = tables_.FindShard({std::string(job_id), chunk.shard});
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
    for (const auto& [turn, id] : tables_.ready_jobs) {
      if (found.size() == limit) break;
      found.push_back({id, turn});
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> ReadyShards(absl::string_view job_id, size_t limit) override {
    std::vector<Shard> found;
    const auto ready = tables_.ready_shards.find(job_id);
    if (ready == tables_.ready_shards.end()) return found;
    for (const uint32_t shard : ready->second) {
      if (found.size() == limit) break;
      found.push_back(tables_.FindShard({std::string(job_id), shard})->shard);
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> LeasesOf(absl::string_view holder) override {
    std::vector<Shard> found;
    for (auto at = tables_.leases.lower_bound({std::string(holder), ShardKey{}});
         at != tables_.leases.end() && at->first == holder; ++at) {
      found.push_back(tables_.FindShard(at->second)->shard);
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> TimedShardsOf(absl::string_view job_id) override {
    std::vector<Shard> found;
    for (const auto& [due, key] : tables_.due) {
      if (key.job_id == job_id) found.push_back(tables_.FindShard(key)->shard);
    }
    return found;
  }

  absl::StatusOr<std::vector<Shard>> DueShards(absl::Time by, size_t limit) override {
    std::vector<Shard> found;
    for (const auto& [due, key] : tables_.due) {
      if (due > by || found.size() == limit) break;
      found.push_back(tables_.FindShard(key)->shard);
    }
    return found;
  }

  absl::StatusOr<absl::Time> NextDue() override {
    return tables_.due.empty() ? absl::InfiniteFuture() : tables_.due.begin()->first;
  }

  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override {
    const auto at = tables_.schedules.find(id);
    return at == tables_.schedules.end() ? std::nullopt : std::make_optional(at->second);
  }

  absl::Status InsertSchedule(const core::Schedule& schedule) override {
    const auto [at, fresh] = tables_.schedules.try_emplace(schedule.id, schedule);
    if (!fresh) return absl::AlreadyExistsError(absl::StrCat("schedule ", schedule.id, " exists already"));
    tables_.Index(schedule, true);
    undo_.push_back([this, at = at] {
      tables_.Index(at->second, false);
      tables_.schedules.erase(at);
    });
    return absl::OkStatus();
  }

  absl::Status UpdateSchedule(const core::Schedule& schedule) override {
    const auto at = tables_.schedules.find(schedule.id);
    if (at == tables_.schedules.end()) return NoSchedule(schedule.id);
    core::Schedule* row = &at->second;
    undo_.push_back([this, row, old = *row] { Replace(*row, old); });
    Replace(*row, schedule);
    return absl::OkStatus();
  }

  absl::Status DeleteSchedule(absl::string_view id) override {
    const auto at = tables_.schedules.find(id);
    if (at == tables_.schedules.end()) return NoSchedule(id);
    tables_.Index(at->second, false);
    undo_.push_back([this, row = &at->second] { tables_.Index(*row, true); });
    TakeOut(tables_.schedules, at);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<core::Schedule>> DueSchedules(absl::Time by, size_t limit) override {
    std::vector<core::Schedule> found;
    for (const auto& [due, id] : tables_.schedules_due) {
      if (due > by || found.size() == limit) break;
      found.push_back(tables_.schedules.find(id)->second);
    }
    return found;
  }

  absl::StatusOr<absl::Time> NextSchedule() override {
    return tables_.schedules_due.empty() ? absl::InfiniteFuture() : tables_.schedules_due.begin()->first;
  }

 private:
  // The jobs of an index by time, up to `by`.
  std::vector<JobRecord> Records(const std::set<std::pair<absl::Time, std::string>>& index, absl::Time by,
                                 size_t limit) {
    std::vector<JobRecord> found;
    for (const auto& [time, id] : index) {
      if (time > by || found.size() == limit) break;
      found.push_back(tables_.FindJob(id)->record);
    }
    return found;
  }

  // Rows keep their address when they come back.
  template <typename Map>
  void TakeOut(Map& map, typename Map::iterator at) {
    auto node = std::make_shared<typename Map::node_type>(map.extract(at));
    undo_.push_back([&map, node] { map.insert(std::move(*node)); });
  }

  template <typename Row>
  void Replace(Row& row, const Row& with) {
    tables_.Index(row, false);
    row = with;
    tables_.Index(row, true);
  }

  MemoryTables& tables_;
  const Declared& declared_;
  const absl::Time now_;
  std::vector<std::function<void()>> undo_;
};

}  // namespace

std::unique_ptr<UndoableTransaction> BeginInMemory(MemoryTables& tables, const Declared& declared,
                                                   absl::Time now) {
  return std::make_unique<MemoryTransaction>(tables, declared, now);
}

}  // namespace imgfleet::store
