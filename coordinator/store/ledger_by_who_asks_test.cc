// The ledger turned by whoever asks: verbs are committed and answered on the thread that calls, one batch at a time; what
// falls due happens although nobody asks.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/memory_store.h"

namespace imgfleet::store {
namespace {

std::unique_ptr<Ledger> MakeLedger(const Clock& clock, Ledger::Options options = Ledger::Options()) {
  return std::make_unique<Ledger>(NewMemoryStore(clock), clock, options, Ledger::Turned::kByWhoAsks);
}

core::NewJob JobOf(const std::string& id, const Clock& clock) { return {id, "", "spec", "", clock.Wall()}; }

TEST(LedgerByWhoAsksTest, AVerbIsAnsweredBeforeItReturnsOnTheThreadThatCalls) {
  FakeClock clock;
  const auto ledger = MakeLedger(clock);
  std::thread::id answered, heard;
  const auto listening = ledger->Listen([&](const auto&) { heard = std::this_thread::get_id(); });
  ledger->CreateWhole(JobOf("a", clock), {MakeNewShard(0, 2)}, [&](const absl::StatusOr<core::Job>& job) {
    EXPECT_TRUE(job.ok());
    answered = std::this_thread::get_id();
  });
  EXPECT_EQ(answered, std::this_thread::get_id());
  EXPECT_EQ(heard, std::this_thread::get_id());
  EXPECT_EQ(ledger->GetJob("a")->items, 2u);
}

TEST(LedgerByWhoAsksTest, VerbsCalledFromCallbacksFollowThem) {
  FakeClock clock;
  const auto ledger = MakeLedger(clock);
  std::vector<std::string> order;
  const auto listening = ledger->Listen([&](const Ledger::Changes& changes) {
    if (!changes.work_available) return;
    ledger->Acquire("w", 10, 1000, [&](const auto& leased) {
      ASSERT_EQ(leased->size(), 1u);
      order.push_back("leased");
      ledger->CommitChunk(MakeChunk((*leased)[0].lease, {0, 1}), [&](const core::CommitAnswer& answer) {
        EXPECT_EQ(answer.code, core::CommitCode::kCommitted);
        order.push_back("committed");
      });
    });
    order.push_back("asked");
  });
  ledger->CreateWhole(JobOf("a", clock), {MakeNewShard(0, 2)},
                      [&](const auto&) { order.push_back("created"); });
  EXPECT_EQ(order, (std::vector<std::string>{"asked", "created", "leased", "committed"}));
  EXPECT_EQ(ledger->GetJob("a")->state, core::JobState::kCompleted);
}

TEST(LedgerByWhoAsksTest, ManyThreadsAskAndNoVerbIsLostNorTwoBatchesMadeAtOnce) {
  constexpr int kThreads = 8, kJobs = 200;
  std::atomic<int> inside{0}, answered{0};
  {
    const auto ledger = MakeLedger(Clock::System());
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kJobs; ++i) {
          const std::string id = std::to_string(thread) + "-" + std::to_string(i);
          ledger->CreateWhole(JobOf(id, Clock::System()), {MakeNewShard(0, 1)},
                              [&, id](const absl::StatusOr<core::Job>& job) {
                                EXPECT_EQ(inside.fetch_add(1), 0);
                                EXPECT_TRUE(job.ok() && job->id == id);
                                inside.fetch_sub(1);
                                ++answered;
                              });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(answered, kThreads * kJobs);
}

TEST(LedgerByWhoAsksTest, WhatFallsDueHappensAlthoughNobodyAsks) {
  Ledger::Options options;
  options.lease_period = absl::Milliseconds(20);
  const auto ledger = MakeLedger(Clock::System(), options);
  std::promise<void> lapsed;
  const auto listening = ledger->Listen([&, told = false](const Ledger::Changes& changes) mutable {
    if (changes.leases_lapsed > 0 && !std::exchange(told, true)) lapsed.set_value();
  });
  ledger->CreateWhole(JobOf("a", Clock::System()), {MakeNewShard(0, 2)}, [](const auto&) {});
  ledger->Acquire("w", 10, 1000, [](const auto& leased) { EXPECT_EQ(leased->size(), 1u); });
  EXPECT_EQ(lapsed.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

}  // namespace
}  // namespace imgfleet::store
