// A list whose store fails meanwhile: it waits, and goes on or ends with the coordinator.
#include "coordinator/service/list_job.h"

#include <future>
#include <thread>

#include "common/clock.h"
#include "coordinator/store/forwarding_store_testing.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/memory_store.h"
#include "gtest/gtest.h"

namespace imgfleet::service {
namespace {

// Fails as a full disk does, as long as it is told to.
class FullStore final : public store::ForwardingStore {
 public:
  FullStore(std::unique_ptr<Store> store, std::atomic<bool>& full, std::promise<void>& refused,
            int fail_every = 0)
      : ForwardingStore(*store),
        store_(std::move(store)),
        fail_every_(fail_every),
        full_(full),
        refused_(refused) {}

  absl::Status Transact(const store::Declared& declared,
                        absl::FunctionRef<absl::Status(store::Transaction&)> body) override {
    if (fail_every_ > 0 && ++transactions_ % fail_every_ == 0) {
      // Every other time it fails after it was durable: its answer was lost.
      if (transactions_ / fail_every_ % 2 == 0) (void)store_->Transact(declared, body);
      return absl::UnavailableError("server away");
    }
    if (!full_) return store_->Transact(declared, body);
    if (!std::exchange(told_, true)) refused_.set_value();
    return absl::ResourceExhaustedError("disk full");
  }

 private:
  const std::unique_ptr<Store> store_;
  const int fail_every_;
  int transactions_ = 0;
  std::atomic<bool>& full_;
  std::promise<void>& refused_;
  bool told_ = false;
};

// As those do who read lists, but on one thread: until there is room; after Finish, until all is durable.
absl::Status WaitForRoom(ListJob& list, Threads& threads) {
  for (;;) {
    const absl::StatusOr<bool> room = list.Advance();
    if (!room.ok() || *room) return room.status();
    std::promise<void> moved;
    list.WhenMoved(threads, [&] { moved.set_value(); });
    moved.get_future().wait();
  }
}

class ListJobTest : public ::testing::Test {
 protected:
  // Reads a list of two rows into a store that is full, in the background.
  std::future<absl::Status> ReadIntoFullStore() {
    EXPECT_TRUE(store::Create(ledger_, "job").ok());
    full_ = true;
    return std::async(std::launch::async, [this] {
      ListJob list(ledger_, stopping_, {"list.tsv", {}, "", ""}, "");
      absl::Status status = list.Attach("job", 0);
      if (status.ok()) status = list.Feed("url\nhttp://h/1\nhttp://h/2\n");
      if (status.ok()) status = list.Finish();
      return status.ok() ? WaitForRoom(list, threads_) : status;
    });
  }

  std::atomic<bool> full_{false};
  std::promise<void> refused_;
  store::Ledger ledger_{std::make_unique<FullStore>(store::NewMemoryStore(Clock::System()), full_, refused_),
                        Clock::System(), store::Ledger::Options()};
  Stopping stopping_;
  Threads threads_{1};
};

TEST_F(ListJobTest, WaitsForAStoreThatFailsAndGoesOn) {
  std::future<absl::Status> read = ReadIntoFullStore();
  refused_.get_future().wait();
  full_ = false;
  EXPECT_TRUE(read.get().ok());
  EXPECT_EQ(ledger_.GetJob("job")->items, 2u);
}

TEST_F(ListJobTest, EndsWithTheCoordinatorThoughTheStoreFails) {
  std::future<absl::Status> read = ReadIntoFullStore();
  refused_.get_future().wait();
  stopping_.Stop();
  EXPECT_TRUE(absl::IsCancelled(read.get()));
  EXPECT_EQ(ledger_.GetJob("job")->items, 0u);
}

// Many shards are under way when the store fails, before or after a transaction was durable: each gets in once.
TEST(ListJob, EveryShardGetsInOnceThoughTheStoreFailsNowAndThen) {
  std::atomic<bool> full = false;
  std::promise<void> refused;
  store::Ledger ledger(
      std::make_unique<FullStore>(store::NewMemoryStore(Clock::System()), full, refused, /*fail_every=*/5),
      Clock::System(), store::Ledger::Options());
  while (!store::Create(ledger, "job").ok() && !ledger.GetJob("job").ok()) {
  }
  Stopping stopping;
  Threads threads(1);
  ListJob list(ledger, stopping, {"list.txt", {}, "", ""}, ::testing::TempDir());
  ASSERT_TRUE(list.Attach("job", 0).ok());
  constexpr uint64_t kRows = 60'000;
  for (uint64_t row = 0; row < kRows; ++row) {
    ASSERT_EQ(list.Feed(absl::StrCat("http://h/", row, "\n")), absl::OkStatus());
    ASSERT_EQ(WaitForRoom(list, threads), absl::OkStatus());
  }
  ASSERT_EQ(list.Finish(), absl::OkStatus());
  ASSERT_EQ(WaitForRoom(list, threads), absl::OkStatus());
  EXPECT_EQ(ledger.GetJob("job")->items, kRows);
  for (uint64_t index = 0; index < kRows;) {
    const auto shard = ledger.ReadShardAt("job", index);
    ASSERT_TRUE(shard.ok() && shard->has_value());
    ASSERT_EQ((*shard)->first_index, index);
    index += (*shard)->items;
  }
}

TEST(Stopping, EndsARest) {
  Stopping stopping;
  EXPECT_FALSE(stopping.Rest(absl::ZeroDuration()));
  std::future<bool> resting =
      std::async(std::launch::async, [&] { return stopping.Rest(absl::InfiniteDuration()); });
  stopping.Stop();
  EXPECT_TRUE(resting.get());
  EXPECT_TRUE(stopping.Rest(absl::InfiniteDuration()));
}

}  // namespace
}  // namespace imgfleet::service
