// For tests: the ledger's verbs as plain calls that wait for their answers, and shards and chunks in short.
#pragma once

#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::store {

// Calls a verb, waits, and gives its answer.
template <typename T, typename Verb>
T Await(Verb verb) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> answer = promise->get_future();
  verb([promise](T value) { promise->set_value(std::move(value)); });
  return answer.get();
}

inline absl::StatusOr<core::Job> Create(Ledger& ledger, const std::string& id, std::string source = "") {
  core::NewJob job;
  job.id = id;
  job.owner = "owner";
  job.spec = absl::StrCat("spec of ", id);
  job.source = std::move(source);
  job.create_time = absl::FromUnixSeconds(1000);
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.CreateJob(job, done); });
}

inline core::NewShard MakeNewShard(uint64_t first_index, uint32_t items) {
  return {first_index, items, absl::StrCat("items from ", first_index), {}};
}

inline absl::Status Append(Ledger& ledger, const std::string& id, core::NewShard shard) {
  return Await<absl::Status>([&](auto done) { ledger.AppendShard(id, std::move(shard), done); });
}

inline absl::StatusOr<core::Job> Finish(Ledger& ledger, const std::string& id,
                                        absl::Status how = absl::OkStatus()) {
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.FinishReading(id, how, done); });
}

inline absl::StatusOr<core::Job> CancelIt(Ledger& ledger, const std::string& id) {
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.CancelJob(id, done); });
}

inline absl::StatusOr<core::Job> Submit(Ledger& ledger, core::NewJob job,
                                        std::vector<core::NewShard> shards) {
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.SubmitJob(job, shards, done); });
}

inline absl::StatusOr<core::Job> Pause(Ledger& ledger, const std::string& id, bool paused = true) {
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.PauseJob(id, paused, done); });
}

inline absl::StatusOr<core::Job> Prioritize(Ledger& ledger, const std::string& id, int32_t priority) {
  return Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.PrioritizeJob(id, priority, done); });
}

inline absl::StatusOr<std::vector<core::Job>> KeepReadings(Ledger& ledger) {
  return Await<absl::StatusOr<std::vector<core::Job>>>([&](auto done) { ledger.KeepReadings(done); });
}

inline absl::StatusOr<std::vector<core::LeasedShard>> Acquire(Ledger& ledger, const std::string& holder,
                                                              uint64_t items, uint64_t bytes = 1 << 20) {
  return Await<absl::StatusOr<std::vector<core::LeasedShard>>>(
      [&](auto done) { ledger.Acquire(holder, items, bytes, done); });
}

inline absl::StatusOr<std::vector<core::LeaseRef>> Renew(Ledger& ledger, const std::string& holder,
                                                         std::vector<core::LeaseRef> held) {
  return Await<absl::StatusOr<std::vector<core::LeaseRef>>>(
      [&](auto done) { ledger.Renew(holder, std::move(held), done); });
}

// A chunk in which every outcome succeeded, 10 bytes fetched each.
inline core::Chunk MakeChunk(const core::LeaseRef& lease, std::vector<uint32_t> offsets) {
  core::Chunk chunk;
  chunk.lease = lease;
  chunk.counts.succeeded = offsets.size();
  chunk.counts.fetched_bytes = 10 * offsets.size();
  chunk.payload = absl::StrCat("outcomes under epoch ", lease.epoch);
  chunk.offsets = std::move(offsets);
  return chunk;
}

inline core::CommitAnswer Commit(Ledger& ledger, core::Chunk chunk) {
  return Await<core::CommitAnswer>([&](auto done) { ledger.CommitChunk(std::move(chunk), done); });
}

inline core::CommitAnswer HandBack(Ledger& ledger, const core::LeaseRef& lease,
                                   absl::Duration not_before = absl::ZeroDuration()) {
  return Await<core::CommitAnswer>([&](auto done) { ledger.HandBack(lease, not_before, done); });
}

inline absl::Status Tick(Ledger& ledger) {
  return Await<absl::Status>([&](auto done) { ledger.Tick(done); });
}

inline std::vector<uint32_t> Offsets(uint32_t from, uint32_t end) {
  std::vector<uint32_t> offsets(end - from);
  std::iota(offsets.begin(), offsets.end(), from);
  return offsets;
}

}  // namespace imgfleet::store
