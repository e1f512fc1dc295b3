// For tests: a store that does what another does, to be overridden where it is to differ.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/store/store.h"

namespace imgfleet::store {

class ForwardingStore : public Store {
 public:
  // `to` must outlive this.
  explicit ForwardingStore(Store& to) : to_(to) {}

  using Store::Transact;
  absl::Status Transact(const Declared& declared,
                        absl::FunctionRef<absl::Status(Transaction&)> body) override {
    return to_.Transact(declared, body);
  }
  absl::Status Reached() const override { return to_.Reached(); }
  bool Exclusive() const override { return to_.Exclusive(); }
  void Hear(std::function<void(News)> hear) override { to_.Hear(std::move(hear)); }
  void Deafen() override { to_.Deafen(); }
  void Announce(const News& news) override { to_.Announce(news); }
  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) override { return to_.GetJob(id); }
  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  size_t limit) override {
    return to_.ListJobs(owner, before, limit);
  }
  absl::StatusOr<std::vector<core::Job>> JobsBeingRead() override { return to_.JobsBeingRead(); }
  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes) override {
    return to_.ReadByCommit(job_id, after, max_bytes);
  }
  absl::StatusOr<core::Census> TakeCensus() override { return to_.TakeCensus(); }
  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                uint64_t index) override {
    return to_.ReadShardAt(job_id, index);
  }
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override {
    return to_.GetSchedule(id);
  }
  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            size_t limit) override {
    return to_.ListSchedules(owner, before, limit);
  }

 private:
  Store& to_;
};

}  // namespace imgfleet::store
