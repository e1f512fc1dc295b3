// The ledger turned by hand: nothing happens but in Turn(), and what was not turned is dropped at the end.
#include <gtest/gtest.h>

#include <optional>

#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/memory_store.h"

namespace imgfleet::store {
namespace {

class LedgerByHandTest : public testing::Test {
 protected:
  void Submit(const std::string& id) {
    ledger_->CreateJob({id, "", "spec", "", clock_.Wall()}, [this](auto job) { created_ = job.status(); });
  }

  FakeClock clock_;
  std::optional<absl::Status> created_;
  std::unique_ptr<Ledger> ledger_ =
      std::make_unique<Ledger>(NewMemoryStore(clock_), clock_, Ledger::Options(), Ledger::Turned::kByHand);
};

TEST_F(LedgerByHandTest, NothingHappensButInATurn) {
  EXPECT_FALSE(ledger_->Turn());
  Submit("a");
  EXPECT_FALSE(created_);
  EXPECT_FALSE(ledger_->GetJob("a").ok());
  EXPECT_TRUE(ledger_->Turn());
  EXPECT_EQ(created_, absl::OkStatus());
  EXPECT_TRUE(ledger_->GetJob("a").ok());
  EXPECT_FALSE(ledger_->Turn());
}

TEST_F(LedgerByHandTest, WhatFallsDueIsToBeTurned) {
  Submit("a");
  ledger_->AppendShard("a", MakeNewShard(0, 4), [](const absl::Status&) {});
  ledger_->Acquire("w", 4, 1000, [](const auto& leased) { EXPECT_EQ(leased->size(), 1u); });
  EXPECT_TRUE(ledger_->Turn());
  EXPECT_EQ(ledger_->NextDue(), clock_.Boot() + Ledger::Options().lease_period);
  EXPECT_FALSE(ledger_->Turn());
  clock_.Advance(Ledger::Options().lease_period);
  EXPECT_TRUE(ledger_->Turn());
  EXPECT_EQ(ledger_->TakeCensus()->leases, 0u);
  EXPECT_EQ(ledger_->NextDue(), absl::InfiniteFuture());
}

// Halving the suspects makes leases small; giving one up makes the next lease large again.
TEST_F(LedgerByHandTest, AnItemGivenUpMakesNoLeaseBeyondTheCredit) {
  Submit("b");
  ledger_->AppendShard("b", MakeNewShard(0, 8), [](const absl::Status&) {});
  for (int lost = 0; lost < 3 + 3 + 3; ++lost) {
    ledger_->Returned("w", {});
    ledger_->Acquire("w", 100, 1000, [](const auto& leased) { EXPECT_EQ(leased->size(), 1u); });
    ledger_->Turn();
    ledger_->Disconnected("w");
    // The last three are in question for another period.
    for (int periods = 0; periods < (lost < 6 ? 1 : 2); ++periods) {
      clock_.Advance(Ledger::Options().lease_period);
      ledger_->Turn();
    }
  }
  Submit("a");
  ledger_->AppendShard("a", MakeNewShard(0, 1), [](const absl::Status&) {});
  ledger_->Turn();
  size_t items = 0;
  ledger_->Acquire("w", 2, 1000, [&](const auto& leased) {
    for (const core::LeasedShard& shard : *leased) items += shard.offsets.size();
  });
  ledger_->Turn();
  EXPECT_EQ(ledger_->GetJob("b")->counts.failed, 1u);
  EXPECT_EQ(items, 1u);
}

TEST_F(LedgerByHandTest, WhatWasNotTurnedIsDroppedAtTheEnd) {
  Submit("a");
  ledger_.reset();
  EXPECT_FALSE(created_);
}

}  // namespace
}  // namespace imgfleet::store
