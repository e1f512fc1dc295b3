// Several coordinators at one origin, by hand: exchanges that are slow, lost, or committed without an answer; workers that come
// and go; coordinators that die, stand still and come back. After every step: nobody has what is another's.
#include "coordinator/core/origin_homes.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::core {
namespace {

constexpr char kOrigin[] = "https://images.example:443";
const absl::Time kBegin = absl::FromUnixSeconds(1'000'000);
// The store's clock and those of coordinators have nothing in common but their speed.
constexpr absl::Duration kOffset = absl::Hours(7);

struct Worker {
  std::string name;
  uint32_t items = 0;
  OriginUse use;
  OriginPermit permit;
  absl::Time until = absl::InfinitePast();
  std::vector<absl::Time> reported;
  uint64_t done = 0;
};

struct Coordinator {
  Coordinator(const std::string& name, OriginShares::Options options, absl::Time now)
      : shares(std::move(options)), homes({.coordinator = name}, shares, now) {}

  OriginShares shares;
  OriginHomes homes;
  std::deque<Worker> workers;
  bool alive = true, still = false, exchanging = false;
};

class Cluster {
 public:
  explicit Cluster(uint32_t seed, OriginShares::Options options = {})
      : options_(std::move(options)), random_(seed) {}

  Coordinator& Join() {
    coordinators_.push_back(
        std::make_unique<Coordinator>(absl::StrCat("c", coordinators_.size() + 1), options_, now_));
    return *coordinators_.back();
  }
  Worker& AddWorker(Coordinator& c, uint32_t items) {
    c.workers.push_back({});
    c.workers.back().name = absl::StrCat("w", ++workers_);
    c.workers.back().items = items;
    Report(c, c.workers.back());
    return c.workers.back();
  }
  void Give(Coordinator& c, Worker& worker, uint32_t items) {
    worker.items = items;
    Report(c, worker);
  }

  void Report(Coordinator& c, Worker& worker) {
    if (!c.alive || c.still) return;
    worker.use.origin = kOrigin;
    worker.use.waiting = worker.items;
    worker.use.wanted = std::max<uint64_t>(worker.use.wanted, worker.items);
    worker.reported.push_back(now_);
    c.shares.Report(worker.name, worker.reported.size(), {worker.use}, now_);
    Deliver(c);
  }

  // One millisecond.
  void Step() {
    now_ += absl::Milliseconds(1);
    ++steps_;
    while (!events_.empty() && events_.begin()->first <= now_) {
      const auto happen = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      happen();
    }
    for (const auto& c : coordinators_) {
      if (!c->alive || c->still) continue;
      if (c->shares.NextWake() <= now_) c->shares.Tick(now_);
      Deliver(*c);
      if (!c->exchanging && c->homes.next_exchange() <= now_) Exchange(*c);
      for (Worker& worker : c->workers) Work(*c, worker);
    }
    Check();
  }
  void Run(int milliseconds) {
    for (int i = 0; i < milliseconds && !testing::Test::HasFatalFailure(); ++i) Step();
  }

  absl::Time now() const { return now_; }
  std::vector<std::unique_ptr<Coordinator>>& coordinators() { return coordinators_; }
  std::mt19937& random() { return random_; }
  int idle() const { return idle_; }
  void ForgetIdle() { idle_ = 0; }
  uint64_t rows_written() const { return rows_written_; }
  size_t rows() const { return rows_.size(); }
  uint64_t most() const { return most_; }
  int exchanges() const { return exchanges_; }

  bool down = false, open = false;
  int lost_percent = 0;  // Of exchanges, half of them after they were committed.
  std::string learned = "something";

 private:
  // What may be asked of the origin at this moment by all whose permits hold.
  void Check() {
    int whole = 0, homes = 0;
    uint64_t sum = 0;
    for (const auto& c : coordinators_) {
      int here = 0;
      for (Worker& worker : c->workers) {
        if (worker.until <= now_ || worker.permit.concurrency == 0) continue;
        ++here;
        whole += worker.permit.concurrency == OriginPermit::kWhole;
        sum += worker.permit.concurrency == OriginPermit::kWhole ? 0 : worker.permit.concurrency;
      }
      homes += here > 0;
    }
    ASSERT_LE(whole, 1);
    ASSERT_TRUE(whole == 0 || sum == 0) << sum;
    if (!ever_open_) {
      ASSERT_LE(homes, 1);
    }
    ever_open_ |= open;
    most_ = std::max(most_, sum);
    idle_ += whole == 0 && sum == 0;
  }

  void Later(int milliseconds, std::function<void()> happen) {
    events_.emplace(now_ + absl::Milliseconds(milliseconds), std::move(happen));
  }

  void Exchange(Coordinator& c) {
    c.exchanging = true;
    ++exchanges_;
    const OriginQuery query = c.homes.Prepare(now_);
    const int slow = random_() % 50 == 0 ? 300 : 10;
    Later(1 + random_() % slow, [this, &c, query, slow] {
      if (!c.alive) return;
      const bool lost = static_cast<int>(random_() % 100) < lost_percent;
      bool good = !down && !lost;
      if (!down && (good || random_() % 2 == 0)) Commit(c, query);
      Later(1 + random_() % slow, [this, &c, good] {
        if (!c.alive) return;
        c.exchanging = false;
        c.homes.Committed(good, now_);
        Deliver(c);
      });
    });
  }

  void Commit(Coordinator& c, const OriginQuery& query) {
    OriginNews news;
    news.number = ++number_;
    news.now = now_ + kOffset;
    for (const auto& [key, row] : rows_) {
      const bool asked =
          std::find(query.origins.begin(), query.origins.end(), key.first) != query.origins.end();
      if (row.number > query.after || asked) news.rows.push_back(row);
    }
    OriginWrites writes = c.homes.Decide(news, now_);
    Deliver(c);
    uint64_t claimed = 0;
    for (OriginRow& row : writes.rows) {
      row.number = number_;
      rows_[{row.origin, row.coordinator}] = row;
      ++rows_written_;
    }
    // The shares of the living.
    for (const auto& [key, row] : rows_) {
      if (key.first.empty() || key.second.empty() || row.value.empty()) continue;
      const auto member = rows_.find({"", key.second});
      if (member != rows_.end() && member->second.until > news.now) claimed += std::stoul(row.value);
    }
    EXPECT_LE(claimed, OriginHome::kAll);
    if (writes.sweep) {
      std::erase_if(rows_, [&](const auto& e) { return e.second.until + OriginHomes::kKept < news.now; });
    }
    for (const auto& other : coordinators_) {
      if (!writes.tell || other.get() == &c || random_() % 8 == 0) continue;
      Later(1 + random_() % 10, [this, &other = *other] { other.homes.Hear(now_); });
    }
  }

  void Deliver(Coordinator& c) {
    c.homes.Look(now_);
    for (OriginShares::Dealt& dealt : c.shares.Take()) {
      Later(1, [this, &c, dealt = std::move(dealt)] {
        for (Worker& worker : c.workers) {
          if (worker.name == dealt.worker && dealt.permit.number > worker.permit.number)
            Keep(c, worker, dealt.permit);
        }
      });
    }
  }

  void Keep(Coordinator& c, Worker& worker, const OriginPermit& permit) {
    const bool less = permit.concurrency < worker.permit.concurrency || permit.begins;
    worker.permit = permit;
    worker.until = worker.reported[permit.report - 1] + permit.valid_for;
    worker.use.permit = permit.number;
    if (permit.begins && !permit.learned.empty()) learned_here_[worker.name] = permit.learned;
    if (permit.concurrency > 0) worker.use.state = open ? OriginUse::kOpen : OriginUse::kLimited;
    worker.use.learned = learned;
    if (less) Later(1, [this, &c, &worker] { Report(c, worker); });
  }

  void Work(Coordinator& c, Worker& worker) {
    const uint32_t permitted = worker.until > now_ ? worker.permit.concurrency : 0;
    worker.use.in_flight = std::min({permitted, worker.items, 64u});
    worker.use.window = 64;
    if (permitted > 0 && worker.items > 0) {
      --worker.items;
      ++worker.done;
      ++worker.use.sent;
      ++worker.use.accepted;
      if (worker.items == 0) {
        worker.use.in_flight = 0;
        Report(c, worker);
      }
    }
    if ((steps_ + worker.name.back()) % 500 == 0) Report(c, worker);
  }

 public:
  std::map<std::string, std::string> learned_here_;

 private:
  const OriginShares::Options options_;
  std::mt19937 random_;
  absl::Time now_ = kBegin;
  int steps_ = 0, workers_ = 0, idle_ = 0, exchanges_ = 0;
  uint64_t number_ = 0, rows_written_ = 0, most_ = 0;
  bool ever_open_ = false;
  std::vector<std::unique_ptr<Coordinator>> coordinators_;
  std::map<std::pair<std::string, std::string>, OriginRow> rows_;
  std::multimap<absl::Time, std::function<void()>> events_;
};

void LiveThrough(uint32_t seed) {
  Cluster cluster(seed);
  cluster.lost_percent = seed % 3 == 0 ? 0 : seed % 20;
  const auto random = [&](uint32_t below) { return cluster.random()() % below; };
  for (int i = 0; i < 2; ++i) cluster.AddWorker(cluster.Join(), random(3000));
  for (int round = 0; round < 40 && !testing::Test::HasFatalFailure(); ++round) {
    auto& all = cluster.coordinators();
    Coordinator& some = *all[random(all.size())];
    switch (random(10)) {
      case 0:
        if (all.size() < 5) cluster.AddWorker(cluster.Join(), random(3000));
        break;
      case 1:
        if (some.alive && some.workers.size() < 4) cluster.AddWorker(some, random(3000));
        break;
      case 2:
        if (all.size() > 2) some.alive = false;
        break;
      case 3:
        some.still = !some.still;
        break;
      case 4:
        cluster.down = !cluster.down && random(3) == 0;
        break;
      case 5:
        cluster.open = random(4) == 0;
        break;
      default:
        if (some.alive && !some.still && !some.workers.empty()) {
          cluster.Give(some, some.workers[random(some.workers.size())], random(3000));
        }
    }
    cluster.Run(static_cast<int>(random(2000)));
  }
  // Whoever is left gets all of what it wants, in the end.
  cluster.down = cluster.open = false;
  cluster.lost_percent = 0;
  uint64_t items = 0;
  for (const auto& c : cluster.coordinators()) {
    c->still = false;
    for (const Worker& worker : c->workers) items += c->alive ? worker.items : 0;
  }
  cluster.Run(static_cast<int>(2 * items) + 60'000);
  for (const auto& c : cluster.coordinators()) {
    for (const Worker& worker : c->workers) EXPECT_TRUE(!c->alive || worker.items == 0) << worker.name;
  }
}

TEST(OriginHomes, NobodyHasWhatIsAnothers) {
  for (uint32_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    LiveThrough(seed);
  }
}

TEST(OriginHomes, WhoIsAloneWaitsForNobodyAndWritesOnlyItself) {
  Cluster cluster(1);
  Coordinator& c = cluster.Join();
  Worker& worker = cluster.AddWorker(c, 1'000'000);
  cluster.Run(60);
  EXPECT_EQ(worker.permit.concurrency, OriginPermit::kWhole);
  cluster.ForgetIdle();
  cluster.Run(20'000);
  EXPECT_EQ(cluster.idle(), 0);
  EXPECT_EQ(cluster.rows(), 1u);
  EXPECT_LE(cluster.exchanges(), 50);
}

TEST(OriginHomes, EachHasItsTurnAndLittleTimeIsLost) {
  Cluster cluster(2);
  for (int i = 0; i < 3; ++i) cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(10'000);
  cluster.ForgetIdle();
  cluster.Run(30'000);
  EXPECT_LT(cluster.idle(), 5'000);
  for (const auto& c : cluster.coordinators()) EXPECT_GT(c->workers[0].done, 8'000u);
}

TEST(OriginHomes, WhoComesLaterGetsAnAnswerSoon) {
  Cluster cluster(3);
  cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(10'000);
  Worker& late = cluster.AddWorker(cluster.Join(), 5);
  int took = 0;
  for (; late.items > 0 && took < 10'000; ++took) cluster.Step();
  EXPECT_LT(took, 1'500);
}

TEST(OriginHomes, WhatWasLearnedGoesWithTheTurn) {
  Cluster cluster(4);
  cluster.learned = "a pace";
  cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(3'000);
  Worker& late = cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(5'000);
  EXPECT_EQ(cluster.learned_here_[late.name], "a pace");
}

TEST(OriginHomes, WhatTheDeadHadIsFreeWhenTheirClaimHasRunOut) {
  Cluster cluster(5);
  Coordinator& first = cluster.Join();
  cluster.AddWorker(first, 1'000'000);
  cluster.Run(3'000);
  first.alive = false;
  Worker& second = cluster.AddWorker(cluster.Join(), 100);
  cluster.Run(1'500);
  EXPECT_EQ(second.items, 100u) << "the claim still holds";
  cluster.Run(3'000);
  EXPECT_EQ(second.items, 0u);
}

TEST(OriginHomes, WithoutTheStoreNobodyHasMoreThanAPart) {
  Cluster cluster(6);
  Worker& one = cluster.AddWorker(cluster.Join(), 1'000'000);
  Worker& other = cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(10'000);
  cluster.down = true;
  cluster.Run(8'000);
  for (const Worker* worker : {&one, &other}) {
    EXPECT_LE(worker->until, cluster.now());
    EXPECT_GE(worker->permit.sharers, 2u);
  }
  cluster.down = false;
  cluster.Run(3'000);
  const uint64_t before[] = {one.done, other.done};
  cluster.Run(8'000);
  EXPECT_GT(one.done, before[0] + 1'000);
  EXPECT_GT(other.done, before[1] + 1'000);
}

TEST(OriginHomes, WhatOneIsToldAllAreTold) {
  Cluster cluster(7);
  std::vector<Worker*> workers;
  for (int i = 0; i < 3; ++i) workers.push_back(&cluster.AddWorker(cluster.Join(), 1'000'000));
  cluster.Run(5'000);
  workers[1]->use.blocked_for = absl::Seconds(30);
  cluster.Report(*cluster.coordinators()[1], *workers[1]);
  workers[1]->use.blocked_for = absl::ZeroDuration();
  cluster.Run(1'200);
  for (const Worker* worker : workers)
    EXPECT_GT(worker->permit.blocked_for, absl::Seconds(28)) << worker->name;
}

TEST(OriginHomes, AnOpenOriginIsCutByDemand) {
  Cluster cluster(8);
  cluster.open = true;
  Worker& large = cluster.AddWorker(cluster.Join(), 3'000'000);
  cluster.Run(1'000);
  Worker& small = cluster.AddWorker(cluster.Join(), 1'000'000);
  cluster.Run(6'000);
  EXPECT_GT(small.permit.concurrency, 0u);
  EXPECT_NE(large.permit.concurrency, OriginPermit::kWhole);
  EXPECT_GT(large.permit.concurrency, small.permit.concurrency);
}

TEST(OriginHomes, AnOperatorsWordHoldsForAllTogether) {
  OriginShares::Options options;
  options.limits["images.example"] = {3, 12.5};
  Cluster cluster(9, options);
  cluster.open = true;
  for (int i = 0; i < 6; ++i)
    cluster.AddWorker(i < 3 ? cluster.Join() : *cluster.coordinators()[i - 3], 1'000'000);
  cluster.Run(20'000);
  EXPECT_LE(cluster.most(), 3u);
  cluster.down = true;
  cluster.Run(8'000);
  EXPECT_LE(cluster.most(), 3u);
  for (const auto& c : cluster.coordinators()) {
    for (const Worker& worker : c->workers) EXPECT_EQ(worker.permit.rate, 12.5);
  }
}

TEST(OriginHomes, RowsOfIdleOriginsLeave) {
  Cluster cluster(10);
  for (int i = 0; i < 2; ++i) cluster.AddWorker(cluster.Join(), 2'000);
  cluster.Run(100'000);
  for (const auto& c : cluster.coordinators()) {
    EXPECT_EQ(c->homes.next_exchange(), absl::InfiniteFuture()) << "nothing is used";
  }
  // The last to leave leaves two members and what was learned.
  EXPECT_LE(cluster.rows(), 6u);
}

}  // namespace
}  // namespace imgfleet::core
