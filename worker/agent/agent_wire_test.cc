#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/agent/agent.h"
#include "worker/agent/agent_testing.h"

namespace imgfleet::agent {
namespace {

// A coordinator reduced to what the protocol promises, and a stream that breaks at random. Whatever is lost
// on the way or comes twice, each item is committed once, and the agent ends empty.
class Wire {
 public:
  explicit Wire(uint32_t seed) : random_(seed), agent_(Options()) {
    for (uint32_t shard = 0; shard < 6; ++shard) shards_[shard].left = Offsets(1 + Roll(30));
  }

  void Run() {
    for (int step = 0; step < 3000; ++step) Step();
    chaos_ = false;
    for (int step = 0; step < 20'000 && !Done(); ++step) Step();
    ASSERT_TRUE(Done());
    for (int step = 0; step < 1000 && !agent_.idle(); ++step) Step();
    EXPECT_TRUE(agent_.idle());
    EXPECT_EQ(agent_.running(), 0u);
    EXPECT_EQ(agent_.outstanding(), 0u);
  }

 private:
  struct Shard {
    std::set<uint32_t> left;
    uint64_t epoch = 0;
    bool leased = false;
    absl::Time until;
    std::set<std::pair<uint64_t, uint64_t>> committed;  // Epoch and chunk number.
  };

  static Agent::Options Options() {
    Agent::Options options;
    options.worker_id = "w";
    options.capacity_items = 16;
    options.chunk_items = 5;
    return options;
  }
  static std::set<uint32_t> Offsets(uint32_t count) {
    std::set<uint32_t> offsets;
    for (uint32_t i = 0; i < count; ++i) offsets.insert(i);
    return offsets;
  }
  uint32_t Roll(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
  bool Chance(uint32_t percent) { return chaos_ && Roll(100) < percent; }
  bool Done() const {
    for (const auto& [number, shard] : shards_) {
      if (!shard.left.empty()) return false;
    }
    return true;
  }

  void Step() {
    now_ += absl::Milliseconds(Roll(200));
    if (!up_ && Roll(3) == 0) {
      up_ = true;
      leases_sent_ = 0;
      agent_.Connected(now_);
    }
    if (up_ && Chance(2)) {
      up_ = false;
      to_agent_.clear();
      to_coordinator_.clear();
      agent_.Disconnected();
    }
    if (Chance(1)) now_ += absl::Seconds(Roll(20));
    if (!running_.empty() && Roll(2) == 0) {
      const size_t which = Roll(running_.size());
      const Agent::StartItem item = running_[which];
      running_.erase(running_.begin() + static_cast<ptrdiff_t>(which));
      agent_.Finished(item.lease, item.offset, PackTo(OutcomeOf(item.index), &buffer_), now_);
    }
    agent_.Tick(now_);
    if (!to_agent_.empty() && Roll(2) == 0) {
      const v1::CoordinatorMessage message = to_agent_.front();
      to_agent_.pop_front();
      agent_.Received(message, now_);
      if (Chance(5)) agent_.Received(message, now_);
    }
    if (!to_coordinator_.empty() && Roll(2) == 0) {
      const v1::WorkerMessage message = to_coordinator_.front();
      to_coordinator_.pop_front();
      Receive(message);
      if (message.has_chunk() && Chance(5)) Receive(message);
    }
    Agent::Output output = agent_.Take();
    for (auto& message : output.send) {
      if (up_) to_coordinator_.push_back(std::move(message));
    }
    for (auto& item : output.start) running_.push_back(std::move(item));
    EXPECT_LE(agent_.running(), 16u);
  }

  void Receive(const v1::WorkerMessage& message) {
    if (message.has_hello()) to_agent_.push_back(Welcome());
    if (message.has_report()) OnReport(message.report());
    if (message.has_chunk()) OnChunk(message.chunk());
    if (message.has_hand_back()) {
      Shard& shard = shards_.at(message.hand_back().shard().shard());
      if (shard.epoch == message.hand_back().lease_epoch()) shard.leased = false;
    }
  }

  void OnReport(const v1::Report& report) {
    int64_t room = report.capacity_items();
    for (const auto& held : report.held()) {
      room -= held.items();
      Shard& shard = shards_.at(held.shard().shard());
      if (shard.leased && shard.epoch == held.lease_epoch() && !shard.left.empty()) {
        shard.until = now_ + absl::Seconds(15);
      } else {
        to_agent_.push_back(RevokeOf(held.shard().shard(), held.lease_epoch()));
      }
    }
    for (auto& [number, shard] : shards_) {
      if (room <= 0) return;
      if (shard.left.empty() || (shard.leased && shard.until > now_)) continue;
      shard.leased = true;
      shard.until = now_ + absl::Seconds(15);
      room -= static_cast<int64_t>(shard.left.size());
      to_agent_.push_back(
          LeaseOf(number, ++shard.epoch, ++leases_sent_, 31, {shard.left.begin(), shard.left.end()}));
    }
  }

  void OnChunk(const v1::Chunk& chunk) {
    Shard& shard = shards_.at(chunk.shard().shard());
    if (Chance(10)) return to_agent_.push_back(AckOf(chunk, v1::Ack::RETRY));
    const std::pair<uint64_t, uint64_t> id(chunk.lease_epoch(), chunk.chunk_number());
    if (shard.committed.contains(id)) return to_agent_.push_back(AckOf(chunk, v1::Ack::COMMITTED));
    if (!shard.leased || shard.epoch != chunk.lease_epoch()) {
      return to_agent_.push_back(AckOf(chunk, v1::Ack::STALE));
    }
    shard.committed.insert(id);
    for (const uint32_t offset : chunk.offsets()) EXPECT_EQ(shard.left.erase(offset), 1u);
    to_agent_.push_back(AckOf(chunk, v1::Ack::COMMITTED));
  }

  std::mt19937 random_;
  Agent agent_;
  std::string buffer_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  bool chaos_ = true;
  bool up_ = false;
  uint64_t leases_sent_ = 0;
  std::map<uint32_t, Shard> shards_;
  std::deque<v1::CoordinatorMessage> to_agent_;
  std::deque<v1::WorkerMessage> to_coordinator_;
  std::vector<Agent::StartItem> running_;
};

// IMGFLEET_TEST_SEEDS and IMGFLEET_TEST_FIRST_SEED widen the search or replay one seed.
uint32_t FromEnvironment(const char* name, uint32_t otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : static_cast<uint32_t>(atoll(value));
}

TEST(AgentOnABadWire, EveryItemIsCommittedOnce) {
  const uint32_t first = FromEnvironment("IMGFLEET_TEST_FIRST_SEED", 0);
  const uint32_t seeds = FromEnvironment("IMGFLEET_TEST_SEEDS", 300);
  for (uint32_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("replay with IMGFLEET_TEST_SEEDS=1 IMGFLEET_TEST_FIRST_SEED=", seed));
    Wire(seed).Run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace imgfleet::agent
