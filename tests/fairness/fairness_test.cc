// A one-item job beside large ones is answered within a second, whatever those fill: simulated time, one worker, and the
// ledger, the session and the agent that ship. Only the engine is a model: so many slots, an eighth more for what is urgent
// (//worker/fetch:sharing_test holds the shipped one to that), and a time that each item takes.
#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/blob.h"
#include "common/clock.h"
#include "coordinator/service/work_session.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/memory_store.h"
#include "gtest/gtest.h"
#include "proto/imgfleet/v1/jobs.pb.h"
#include "worker/agent/agent.h"

namespace imgfleet {
namespace {

using service::Lane;
using service::WorkSession;

constexpr uint32_t kSlots = 512;
constexpr absl::Duration kStep = absl::Milliseconds(5);

// A worker with its session, the engine's model and a ledger turned by hand. Messages take one step each way.
class Fleet {
 public:
  Fleet() {
    agent::Agent::Options options;
    options.worker_id = "w";
    options.capacity_items = 4096;
    agent_ = std::make_unique<agent::Agent>(options);
    listening_ = ledger_.Listen([this](const store::Ledger::Changes& changes) {
      if (changes.work_available) session_.WorkAvailable();
    });
    agent_->Connected(clock_.Boot());
  }

  // Items of the job take so long, each.
  void Create(const std::string& job, absl::Duration each) {
    takes_[job] = each;
    core::NewJob made;
    made.id = job;
    made.create_time = clock_.Wall();
    ledger_.CreateJob(std::move(made), [](const auto& created) { ASSERT_TRUE(created.ok()); });
  }
  void Append(const std::string& job, uint32_t items) {
    v1::ItemBatch batch;
    for (uint32_t i = 0; i < items; ++i) batch.add_items()->set_url(job);
    core::NewShard shard;
    shard.first_index = items_[job];
    shard.items = items;
    shard.payload = PackBlob(batch.SerializeAsString());
    items_[job] += items;
    ledger_.AppendShard(job, std::move(shard),
                        [](const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; });
  }
  void Finish(const std::string& job) {
    ledger_.FinishReading(job, absl::OkStatus(), [](const auto& finished) { ASSERT_TRUE(finished.ok()); });
  }
  void Huge(const std::string& job, absl::Duration each, int shards = 3000) {
    Create(job, each);
    for (const uint32_t items : {16, 32, 64, 128, 256, 512}) Append(job, items);
    for (int i = 0; i < shards; ++i) Append(job, 1000);
    Finish(job);
  }
  void Tiny(const std::string& job) {
    Create(job, absl::Milliseconds(20));
    Append(job, 1);
    Finish(job);
  }

  void Run(absl::Duration time) {
    for (const absl::Time end = clock_.Boot() + time; clock_.Boot() < end;) Step();
  }
  // How long until the job has ended, at most `patience`.
  absl::Duration UntilEnded(const std::string& job, absl::Duration patience = absl::Seconds(60)) {
    const absl::Time begun = clock_.Boot();
    while (!Ended(job) && clock_.Boot() < begun + patience) Step();
    return clock_.Boot() - begun;
  }
  bool Ended(const std::string& job) {
    const auto found = ledger_.GetJob(job);
    return found.ok() && core::Ended(found->state);
  }
  size_t RunningOf(const std::string& job) const {
    return std::count_if(running_.begin(), running_.end(),
                         [&](const auto& item) { return item.second.item.url() == job; });
  }
  size_t running() const { return running_.size(); }

 private:
  using StartItem = agent::Agent::StartItem;

  void Step() {
    clock_.Advance(kStep);
    const absl::Time now = clock_.Boot();
    // One batch each step, as a disk that takes 200 a second.
    ledger_.Turn();
    for (auto& message : std::exchange(to_coordinator_, {})) session_.Received(message);
    Serve(session_.Take());
    for (auto& message : std::exchange(to_worker_, {})) agent_->Received(message, now);
    while (!running_.empty() && running_.begin()->first <= now) {
      const StartItem item = std::move(running_.begin()->second);
      running_.erase(running_.begin());
      v1::Outcome outcome;
      outcome.set_index(item.index);
      outcome.mutable_image()->set_width(7);
      std::string buffer;
      agent_->Finished(item.lease, item.offset, agent::PackTo(outcome, &buffer), now);
    }
    if (agent_->NextWake() <= now) agent_->Tick(now);
    agent::Agent::Output output = agent_->Take();
    for (auto& message : output.send) to_coordinator_.push_back(std::move(message));
    for (StartItem& item : output.start) (item.urgent ? urgent_ : waiting_).push_back(std::move(item));
    Begin(urgent_, kSlots + kSlots / 8);
    Begin(waiting_, kSlots);
  }

  void Begin(std::deque<StartItem>& queue, size_t slots) {
    for (; !queue.empty() && running_.size() < slots; queue.pop_front()) {
      const absl::Time ends = clock_.Boot() + takes_.at(queue.front().item.url());
      running_.emplace(ends, std::move(queue.front()));
    }
  }

  void Serve(WorkSession::Output output) {
    for (auto& message : output.send) to_worker_.push_back(std::move(message));
    for (service::LedgerCall& call : output.calls) {
      if (auto* acquire = std::get_if<service::AcquireCall>(&call)) {
        ledger_.Acquire("w", std::move(acquire->credit),
                        [this](auto shards) { session_.Acquired(std::move(shards), Lane::kDurable); });
      } else if (auto* renew = std::get_if<service::RenewCall>(&call)) {
        if (!renew->held.empty())
          ledger_.Renew("w", renew->held, [this](const auto& lost) { session_.Renewed(lost); });
      } else if (auto* commit = std::get_if<service::CommitCall>(&call)) {
        const core::LeaseRef lease = commit->chunk.lease;
        const auto items = static_cast<uint32_t>(commit->chunk.offsets.size());
        ledger_.CommitChunk(std::move(commit->chunk),
                            [this, lease, number = commit->number, items](const core::CommitAnswer& answer) {
                              session_.Committed(lease, number, items, answer);
                            });
      } else if (auto* back = std::get_if<service::HandBackCall>(&call)) {
        ledger_.HandBack(back->lease, back->not_before, [](const core::CommitAnswer&) {});
      }
    }
  }

  FakeClock clock_;
  store::Ledger ledger_{store::NewMemoryStore(clock_), clock_, store::Ledger::Options(),
                        store::Ledger::Turned::kByHand};
  WorkSession session_{WorkSession::Options{}};
  std::unique_ptr<agent::Agent> agent_;
  std::shared_ptr<void> listening_;
  std::vector<v1::WorkerMessage> to_coordinator_;
  std::vector<v1::CoordinatorMessage> to_worker_;
  std::deque<StartItem> urgent_, waiting_;
  std::multimap<absl::Time, StartItem> running_;
  std::map<std::string, absl::Duration> takes_;
  std::map<std::string, uint64_t> items_;
};

TEST(Fairness, EverySlotWaitsForSlowOrigins) {
  Fleet fleet;
  fleet.Huge("huge", absl::Seconds(10));
  fleet.Run(absl::Seconds(4));
  ASSERT_EQ(fleet.running(), kSlots);
  // One after the other, faster than the large job gives room back.
  for (int i = 0; i < 20; ++i) {
    const std::string tiny = absl::StrCat("tiny ", i);
    fleet.Tiny(tiny);
    EXPECT_LT(fleet.UntilEnded(tiny), absl::Seconds(1)) << i;
  }
  EXPECT_FALSE(fleet.Ended("huge"));
}

TEST(Fairness, ManyAtOnce) {
  Fleet fleet;
  fleet.Huge("huge", absl::Seconds(10));
  fleet.Run(absl::Seconds(4));
  for (int i = 0; i < 60; ++i) fleet.Tiny(absl::StrCat("tiny ", i));
  for (int i = 0; i < 60; ++i) EXPECT_LT(fleet.UntilEnded(absl::StrCat("tiny ", i)), absl::Seconds(1)) << i;
}

TEST(Fairness, AListIsReadAtFullSpeed) {
  Fleet fleet;
  fleet.Create("huge", absl::Milliseconds(100));
  const auto read_on = [&] {
    for (int i = 0; i < 2000; ++i) fleet.Append("huge", 1000);
  };
  read_on();
  fleet.Run(absl::Milliseconds(50));
  read_on();
  fleet.Tiny("tiny");
  EXPECT_LT(fleet.UntilEnded("tiny"), absl::Seconds(1));
}

TEST(Fairness, ThousandsOfShardsAreReady) {
  Fleet fleet;
  fleet.Huge("huge", absl::Milliseconds(1), 5000);
  fleet.Run(absl::Seconds(2));
  fleet.Tiny("tiny");
  EXPECT_LT(fleet.UntilEnded("tiny"), absl::Seconds(1));
}

TEST(Fairness, SeveralHugeJobs) {
  Fleet fleet;
  for (int i = 0; i < 5; ++i) {
    fleet.Huge(absl::StrCat("huge ", i), absl::Seconds(10), 500);
    fleet.Run(absl::Seconds(i % 2));
  }
  fleet.Run(absl::Seconds(3));
  for (int i = 0; i < 10; ++i) {
    const std::string tiny = absl::StrCat("tiny ", i);
    fleet.Tiny(tiny);
    EXPECT_LT(fleet.UntilEnded(tiny), absl::Seconds(1)) << i;
  }
}

// What is spare is none of a job that is alone, and costs it no more than that.
TEST(Fairness, AJobAloneHasEverySlot) {
  Fleet fleet;
  fleet.Huge("huge", absl::Milliseconds(200), 100);
  fleet.Run(absl::Seconds(1));
  for (int i = 0; i < 50; ++i) {
    fleet.Run(absl::Milliseconds(100));
    EXPECT_EQ(fleet.RunningOf("huge"), kSlots);
  }
}

}  // namespace
}  // namespace imgfleet
