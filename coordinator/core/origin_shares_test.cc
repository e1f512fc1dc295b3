#include "coordinator/core/origin_shares.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::core {
namespace {

constexpr char kOrigin[] = "https://images.example:443";
const absl::Time kBegin = absl::FromUnixSeconds(1'000'000);

// Keeps to its permits, as worker/fetch does, and asks one request a millisecond where it may.
struct Worker {
  std::string name;
  bool alive = true;
  uint32_t items = 0;
  OriginUse use;
  OriginPermit permit;
  absl::Time until = absl::InfinitePast();
  std::vector<absl::Time> reported;
  uint64_t done = 0;

  bool Holds(absl::Time now) const { return alive && until > now && permit.concurrency > 0; }
  uint32_t Permitted(absl::Time now) const { return Holds(now) ? permit.concurrency : 0; }
};

class Cluster {
 public:
  Cluster(OriginShares::Options options, uint32_t seed) : shares_(std::move(options)), random_(seed) {}

  Worker& Join(uint32_t items) {
    workers_.push_back({});
    Worker& worker = workers_.back();
    worker.name = absl::StrCat("w", workers_.size());
    worker.items = items;
    Report(worker);
    return worker;
  }

  // A worker that dies says no more; its stream breaks a while later.
  void Die(Worker& worker) {
    worker.alive = false;
    Later([this, &worker] {
      shares_.Left(worker.name, now_);
      Deliver();
    });
  }

  void Report(Worker& worker) {
    if (!worker.alive) return;
    worker.use.origin = kOrigin;
    worker.use.waiting = worker.items;
    worker.use.wanted = std::max<uint64_t>(worker.use.wanted, worker.items + worker.use.in_flight);
    worker.reported.push_back(now_);
    Later([this, name = worker.name, number = worker.reported.size(), use = worker.use] {
      shares_.Report(name, number, {use}, now_);
      Deliver();
    });
  }

  // One millisecond.
  void Step() {
    now_ += absl::Milliseconds(1);
    ++steps_;
    while (!messages_.empty() && messages_.front().at <= now_) {
      const auto happen = std::move(messages_.front().happen);
      messages_.pop_front();
      happen();
    }
    if (shares_.NextWake() <= now_) {
      shares_.Tick(now_);
      Deliver();
    }
    uint64_t sum = 0;
    int whole = 0;
    for (Worker& worker : workers_) {
      const uint32_t permitted = worker.Permitted(now_);
      whole += permitted == OriginPermit::kWhole;
      sum += permitted == OriginPermit::kWhole ? 0 : permitted;
      if (worker.alive) Work(worker, permitted);
      if (worker.alive && (steps_ + worker.name.back()) % 500 == 0) Report(worker);
    }
    // All of it, or parts of it.
    ASSERT_LE(whole, 1);
    ASSERT_TRUE(whole == 0 || sum == 0) << sum;
    most_ = std::max(most_, sum);
    idle_ = whole == 0 && sum == 0 ? idle_ + 1 : 0;
    longest_idle_ = std::max(longest_idle_, idle_);
  }
  void Run(int milliseconds) {
    for (int i = 0; i < milliseconds && !testing::Test::HasFatalFailure(); ++i) Step();
  }

  std::deque<Worker>& workers() { return workers_; }
  absl::Time now() const { return now_; }
  uint64_t most() const { return most_; }
  int longest_idle() const { return longest_idle_; }
  void ForgetIdle() { longest_idle_ = idle_ = 0; }
  OriginShares& shares() { return shares_; }
  std::mt19937& random() { return random_; }

  // Which state the origin's law is in, where a worker has it.
  std::function<OriginUse::State()> state = [] { return OriginUse::kLimited; };

 private:
  struct Message {
    absl::Time at;
    std::function<void()> happen;
  };

  // Messages take up to 20 ms, and do not overtake each other.
  void Later(std::function<void()> happen) {
    const absl::Time at = now_ + absl::Milliseconds(1 + random_() % 20);
    messages_.push_back({messages_.empty() ? at : std::max(at, messages_.back().at), std::move(happen)});
  }

  void Deliver() {
    for (OriginShares::Dealt& dealt : shares_.Take()) {
      Later([this, dealt = std::move(dealt)] {
        for (Worker& worker : workers_) {
          if (worker.name == dealt.worker && worker.alive) Keep(worker, dealt.permit);
        }
      });
    }
  }

  void Keep(Worker& worker, const OriginPermit& permit) {
    const bool less = permit.concurrency < worker.permit.concurrency || permit.begins;
    worker.permit = permit;
    worker.until = worker.reported[permit.report - 1] + permit.valid_for;
    worker.use.permit = permit.number;
    if (permit.concurrency > 0) worker.use.state = state();
    worker.use.learned = "something";
    if (less) Report(worker);
  }

  void Work(Worker& worker, uint32_t permitted) {
    worker.use.in_flight = std::min({permitted, worker.items, 64u});
    worker.use.window = 64;
    if (permitted == 0 || worker.items == 0) return;
    --worker.items;
    ++worker.done;
    ++worker.use.sent;
    ++worker.use.accepted;
    if (worker.items == 0) {
      worker.use.in_flight = 0;
      Report(worker);
    }
  }

  OriginShares shares_;
  std::mt19937 random_;
  std::deque<Worker> workers_;
  std::deque<Message> messages_;
  absl::Time now_ = kBegin;
  int steps_ = 0, idle_ = 0, longest_idle_ = 0;
  uint64_t most_ = 0;
};

// Workers come, go, die and change their minds; the origin opens and closes. Step() holds the sum.
void LiveThrough(uint32_t seed) {
  Cluster cluster({}, seed);
  bool open = false;
  cluster.state = [&] { return open ? OriginUse::kOpen : OriginUse::kLimited; };
  for (int round = 0; round < 60 && !testing::Test::HasFatalFailure(); ++round) {
    const uint32_t what = cluster.random()() % 10;
    auto& workers = cluster.workers();
    Worker* const some = workers.empty() ? nullptr : &workers[cluster.random()() % workers.size()];
    if (what < 4 && workers.size() < 12) {
      cluster.Join(cluster.random()() % 3000);
    } else if (what < 5 && some != nullptr && some->alive) {
      cluster.Die(*some);
    } else if (what < 7 && some != nullptr && some->alive) {
      some->items = cluster.random()() % 3000;
      cluster.Report(*some);
    } else if (what < 8) {
      open = !open;
    }
    cluster.Run(cluster.random()() % 600);
  }
  // Whoever is left gets all of what it wants, in the end.
  open = false;
  uint64_t items = 0;
  for (Worker& worker : cluster.workers()) items += worker.alive ? worker.items : 0;
  cluster.Run(static_cast<int>(items) + 30'000);
  for (Worker& worker : cluster.workers()) EXPECT_TRUE(!worker.alive || worker.items == 0) << worker.name;
}

TEST(OriginShares, NeverDealsMoreThanThereIs) {
  for (uint32_t seed = 1; seed <= 100 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    LiveThrough(seed);
  }
}

TEST(OriginShares, WhoIsAloneHasAll) {
  Cluster cluster({}, 1);
  cluster.Join(1'000'000);
  cluster.Run(100);
  EXPECT_EQ(cluster.workers()[0].permit.concurrency, OriginPermit::kWhole);
  EXPECT_EQ(cluster.workers()[0].permit.sharers, 1u);
  cluster.ForgetIdle();
  cluster.Run(10'000);
  EXPECT_EQ(cluster.longest_idle(), 0);
}

TEST(OriginShares, EachHasItsTurnInBoundedTime) {
  Cluster cluster({}, 2);
  for (int i = 0; i < 10; ++i) cluster.Join(1'000'000);
  cluster.Run(10 * 1'200);
  for (const Worker& worker : cluster.workers()) EXPECT_GT(worker.done, 500u) << worker.name;
  cluster.ForgetIdle();
  cluster.Run(10 * 1'200);
  // From one to the next: a few messages.
  EXPECT_LT(cluster.longest_idle(), 100);
}

TEST(OriginShares, WhoHasNothingToAskHandsOn) {
  Cluster cluster({}, 3);
  cluster.Join(1'000'000);
  for (int i = 0; i < 8; ++i) cluster.Join(1);
  // Each of the eight takes one request, not a second.
  cluster.Run(3'000);
  for (size_t i = 1; i < cluster.workers().size(); ++i) EXPECT_EQ(cluster.workers()[i].items, 0u) << i;
}

TEST(OriginShares, WhatADeadWorkerHeldIsFreeWhenItsPermitHasRunOut) {
  Cluster cluster({}, 4);
  Worker& first = cluster.Join(1'000'000);
  cluster.Run(200);
  ASSERT_TRUE(first.Holds(cluster.now()));
  Worker& second = cluster.Join(1'000'000);
  cluster.Die(first);
  cluster.Run(2'300);
  EXPECT_TRUE(second.Holds(cluster.now()));
  EXPECT_EQ(second.permit.sharers, 1u);
}

TEST(OriginShares, AnOpenOriginIsSharedByDemand) {
  Cluster cluster({}, 5);
  cluster.state = [] { return OriginUse::kOpen; };
  Worker& large = cluster.Join(3'000'000);
  cluster.Run(500);
  Worker& other = cluster.Join(1'000'000);
  Worker& small = cluster.Join(2'000);
  cluster.Run(1'500);
  const uint32_t parts[] = {large.permit.concurrency, other.permit.concurrency, small.permit.concurrency};
  EXPECT_NEAR(1.0 * parts[0] / parts[1], 3, 0.5);
  EXPECT_GE(parts[2], 1u);
  // What the small one leaves is the others'.
  const uint64_t sum = uint64_t{parts[0]} + parts[1] + parts[2];
  cluster.Run(2'000);
  EXPECT_EQ(small.items, 0u);
  EXPECT_GE(uint64_t{large.permit.concurrency} + other.permit.concurrency, sum);
}

TEST(OriginShares, WhatOneIsToldAllAreToldAtOnce) {
  Cluster cluster({}, 6);
  for (int i = 0; i < 5; ++i) cluster.Join(1'000'000);
  cluster.Run(3'000);
  Worker& told = cluster.workers()[3];
  told.use.blocked_for = absl::Seconds(30);
  cluster.Report(told);
  told.use.blocked_for = absl::ZeroDuration();
  cluster.Run(120);
  for (const Worker& worker : cluster.workers()) {
    EXPECT_GT(worker.permit.blocked_for, absl::Seconds(29)) << worker.name;
  }
  // Who comes later hears of it too.
  const Worker& late = cluster.Join(10);
  cluster.Run(100);
  EXPECT_GT(late.permit.blocked_for, absl::Seconds(29));
}

TEST(OriginShares, AnOperatorsWordIsNeverExceeded) {
  OriginShares::Options options;
  options.limits["images.example"] = {3, 12.5};
  Cluster cluster(std::move(options), 7);
  cluster.state = [] { return OriginUse::kOpen; };
  for (int i = 0; i < 6; ++i) cluster.Join(1'000'000);
  cluster.Run(20'000);
  EXPECT_LE(cluster.most(), 3u);
  for (const Worker& worker : cluster.workers()) {
    EXPECT_GT(worker.done, 0u);
    EXPECT_EQ(worker.permit.rate, 12.5);
  }
}

TEST(OriginShares, IsBoundedAndForgets) {
  OriginShares shares({});
  std::vector<OriginUse> uses(OriginShares::kMaxOrigins + 10);
  for (size_t i = 0; i < uses.size(); ++i) {
    uses[i].origin = absl::StrCat("https://host", i, ":443");
    uses[i].waiting = 5;
  }
  shares.Report("w", 1, uses, kBegin);
  EXPECT_EQ(shares.Take().size(), uses.size());
  EXPECT_EQ(shares.origins(), OriginShares::kMaxOrigins);
  for (int i = 1; i < 10; ++i) shares.Tick(kBegin + absl::Seconds(i));
  EXPECT_EQ(shares.origins(), 0u);
}

}  // namespace
}  // namespace imgfleet::core
