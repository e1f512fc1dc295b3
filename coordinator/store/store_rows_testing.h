// For tests of the contract of stores: rows in short, and a store to put them into.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "coordinator/store/store.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {

inline core::JobRecord JobRow(const std::string& id) {
  core::JobRecord record;
  record.job.id = id;
  record.job.spec = std::string("spec\0with\0zeros", 15);
  record.job.create_time = absl::FromUnixMicros(1'234'567);
  return record;
}

inline core::Shard ShardRow(const std::string& job, uint32_t number,
                            core::ShardState state = core::ShardState::kReady,
                            absl::Time due = absl::UnixEpoch()) {
  core::Shard shard;
  shard.key = {job, number};
  shard.first_index = 10 * number;
  shard.items = 10;
  shard.state = state;
  shard.due = due;
  shard.committed = core::Bitmap(10);
  return shard;
}

inline std::vector<std::string> Names(const std::vector<core::Shard>& shards) {
  std::vector<std::string> names;
  for (const core::Shard& shard : shards)
    names.push_back(shard.key.job_id + "/" + std::to_string(shard.key.shard));
  return names;
}

// Make a class of it for each suite.
class StoreContractTest : public testing::TestWithParam<StoreKind> {
 protected:
  void Transact(absl::FunctionRef<void(Transaction&)> body) {
    const absl::Status status = store_->Transact([&](Transaction& transaction) {
      body(transaction);
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
  }

  FakeClock clock_;
  const std::unique_ptr<StoreUnderTest> under_test_ = GetParam().make();
  std::unique_ptr<Store> store_ = under_test_->Open(clock_);
};

}  // namespace imgfleet::store
