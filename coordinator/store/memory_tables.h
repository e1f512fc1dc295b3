// The memory store's tables: rows, and the indices over them that its queries need. The lock is the store's.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/job.h"
#include "coordinator/core/shard.h"
#include "coordinator/core/types.h"

namespace imgfleet::store {

struct MemoryShard {
  core::Shard shard;
  std::string payload;
  std::vector<uint64_t> chunks;  // Their commit_seq, ascending.
};

struct MemoryJob {
  core::JobRecord record;
  std::map<uint32_t, MemoryShard> shards;
  std::map<uint64_t, core::StoredChunk> chunks;
  std::map<uint64_t, uint32_t> by_index;  // first_index of each shard.
};

struct MemoryTables {
  std::map<std::string, MemoryJob, std::less<>> jobs;
  std::map<std::string, core::Schedule, std::less<>> schedules;

  // Indices over the rows above.
  std::set<std::pair<uint64_t, std::string>> ready_jobs;    // By core::TurnOf.
  std::set<std::pair<absl::Time, std::string>> readings;    // By reader_due.
  std::set<std::pair<std::string, std::string>> open_jobs;  // By owner.
  std::set<std::pair<absl::Time, std::string>> ended_jobs;  // By end_time; not expired.
  std::set<std::string> expired_jobs;
  std::map<std::pair<std::string, std::string>, std::string> jobs_by_key;  // (owner, key); not expired.
  std::map<std::string, std::set<uint32_t>, std::less<>> ready_shards;
  std::set<std::pair<std::string, core::ShardKey>> leases;
  std::set<std::pair<absl::Time, core::ShardKey>> due;
  std::set<std::pair<absl::Time, std::string>> schedules_due;

  // Puts a row into its indices, or takes it out of them.
  void Index(const core::JobRecord& record, bool on);
  void Index(const core::Shard& shard, bool on);
  void Index(const core::Schedule& schedule, bool on);

  // Null where there is none.
  MemoryJob* FindJob(absl::string_view id);
  const MemoryJob* FindJob(absl::string_view id) const;
  MemoryShard* FindShard(const core::ShardKey& key);
};

}  // namespace imgfleet::store
