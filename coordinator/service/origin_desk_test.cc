// The desk: what a worker reports is answered, on one coordinator and on several that share a board.
#include "coordinator/service/origin_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/memory_origin_board.h"

namespace imgfleet::service {
namespace {

using testing::HasSubstr;

constexpr char kOrigin[] = "https://images.example:443";

// Keeps the last permit of each worker.
class Desk {
 public:
  explicit Desk(store::MemoryOriginTable* table = nullptr, std::string name = "",
                core::OriginShares::Options options = {}) {
    OriginDesk::Cluster cluster;
    if (table != nullptr) cluster.board = table->Open();
    cluster.homes.coordinator = std::move(name);
    desk_ = std::make_unique<OriginDesk>(
        Clock::System(), std::move(options),
        [this](const std::string& worker, v1::CoordinatorMessage message) { Take(worker, message); },
        std::move(cluster));
  }

  void Report(const std::string& worker, uint32_t waiting, const std::string& origin = kOrigin) {
    v1::OriginReport report;
    absl::MutexLock lock(&mutex_);
    report.set_number(++reports_[worker]);
    v1::OriginUse& use = *report.add_origins();
    use.set_origin(origin);
    use.set_waiting(waiting);
    use.set_sent(++sent_);
    use.set_permit(permits_[worker].number());
    use.set_learned("what is known");
    mutex_.Unlock();
    desk_->Report(worker, report);
    mutex_.Lock();
  }
  void Left(const std::string& worker) { desk_->Left(worker); }

  // Reports and waits until the last permit is as wanted.
  template <typename Predicate>
  v1::OriginPermit Until(const std::string& worker, uint32_t waiting, Predicate wanted) {
    v1::OriginPermit permit;
    const absl::Time end = Clock::System().Boot() + absl::Seconds(20);
    while (Clock::System().Boot() < end) {
      Report(worker, waiting);
      absl::MutexLock lock(&mutex_);
      const auto came = [&] { return wanted(permits_[worker]); };
      const bool good = mutex_.AwaitWithTimeout(absl::Condition(&came), absl::Milliseconds(100));
      permit = permits_[worker];
      if (good) return permit;
    }
    ADD_FAILURE() << "in vain: " << permit.ShortDebugString();
    return permit;
  }
  bool AnyPermit() {
    absl::MutexLock lock(&mutex_);
    return std::any_of(permits_.begin(), permits_.end(),
                       [](const auto& entry) { return entry.second.number() > 0; });
  }
  // The last that came with a turn.
  std::string learned(const std::string& worker) {
    absl::MutexLock lock(&mutex_);
    return learned_[worker];
  }

 private:
  void Take(const std::string& worker, const v1::CoordinatorMessage& message) {
    absl::MutexLock lock(&mutex_);
    for (const v1::OriginPermit& permit : message.permits().origins()) {
      if (!permit.learned().empty()) learned_[worker] = permit.learned();
      if (permit.number() > permits_[worker].number()) permits_[worker] = permit;
    }
  }

  absl::Mutex mutex_;
  std::map<std::string, v1::OriginPermit> permits_;
  std::map<std::string, std::string> learned_;
  std::map<std::string, uint64_t> reports_;
  uint64_t sent_ = 0;
  std::unique_ptr<OriginDesk> desk_;
};

bool Whole(const v1::OriginPermit& permit) { return permit.whole(); }
bool Nothing(const v1::OriginPermit& permit) {
  return permit.number() > 0 && !permit.whole() && permit.concurrency() == 0;
}

TEST(OriginDesk, AnswersAWorkerThatIsAloneWithAll) {
  Desk desk;
  const v1::OriginPermit permit = desk.Until("w", 10, Whole);
  EXPECT_EQ(permit.origin(), kOrigin);
  EXPECT_EQ(permit.sharers(), 1u);
  EXPECT_EQ(permit.valid_for().seconds(), 2);
}

TEST(OriginDesk, GivesTheTurnToOneOfTwo) {
  Desk desk;
  desk.Until("a", 10, Whole);
  desk.Report("a", 10);
  desk.Until("b", 10, Nothing);
  // Who leaves keeps its turn until its permit has run out.
  desk.Left("a");
  desk.Until("b", 10, Whole);
  EXPECT_EQ(desk.learned("b"), "what is known");
}

TEST(OriginDesk, PassesOverWhatIsNoOrigin) {
  Desk desk;
  for (const std::string& name : {std::string(), std::string(400, 'x'), std::string("https://a b:1"),
                                  std::string("https://a\0b", 11), std::string("https://\xff")}) {
    desk.Report("w", 10, name);
  }
  EXPECT_FALSE(desk.AnyPermit());
}

TEST(OriginDesk, TwoCoordinatorsHaveAnOriginInTurns) {
  store::MemoryOriginTable table(Clock::System());
  Desk one(&table, "one"), other(&table, "other");
  one.Until("a", 10, Whole);
  // It waits for its turn, and gets it with what the first has learned.
  const v1::OriginPermit permit = other.Until("b", 10, [&](const v1::OriginPermit& p) {
    if (!Whole(p)) one.Report("a", 10);
    return Whole(p);
  });
  EXPECT_EQ(permit.sharers(), 2u);
  EXPECT_EQ(other.learned("b"), "what is known");
  one.Until("a", 10, Nothing);
}

TEST(OriginDesk, WithoutItsBoardACoordinatorLetsPermitsRunOut) {
  store::MemoryOriginTable table(Clock::System());
  Desk desk(&table, "one");
  desk.Until("w", 10, Whole);
  table.Fail(true);
  desk.Until("w", 10, [](const v1::OriginPermit& permit) {
    return permit.valid_for().seconds() == 0 && permit.valid_for().nanos() == 0;
  });
  table.Fail(false);
  desk.Until("w", 10, [](const v1::OriginPermit& permit) {
    return Whole(permit) && permit.valid_for().seconds() >= 1;
  });
}

TEST(ParseOriginLimit, TakesConcurrencyAndRate) {
  auto limit = ParseOriginLimit("Images.Example=4");
  ASSERT_TRUE(limit.ok()) << limit.status();
  EXPECT_EQ(limit->first, "images.example");
  EXPECT_EQ(limit->second.concurrency, 4u);
  EXPECT_EQ(limit->second.rate, 0);
  limit = ParseOriginLimit("a=1,0.5/s");
  ASSERT_TRUE(limit.ok()) << limit.status();
  EXPECT_EQ(limit->second.rate, 0.5);
  limit = ParseOriginLimit("[::1]=2,1000000/s");
  ASSERT_TRUE(limit.ok()) << limit.status();
  EXPECT_EQ(limit->first, "[::1]");
}

TEST(ParseOriginLimit, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "a host, then \"=\""},
      {"a", "a host, then \"=\""},
      {"=4", "a host, then \"=\""},
      {"https://a=4", "no scheme and no path"},
      {"a b=4", "no scheme and no path"},
      {"a=", "a whole number from 1 on"},
      {"a=0", "a whole number from 1 on"},
      {"a=-1", "a whole number from 1 on"},
      {"a=1.5", "a whole number from 1 on"},
      {"a=4294967296", "a whole number from 1 on"},
      {"a=1,2", "ends in \"/s\""},
      {"a=1,/s", "from 0.001 to 1000000"},
      {"a=1,0/s", "from 0.001 to 1000000"},
      {"a=1,nan/s", "from 0.001 to 1000000"},
      {"a=1,2e6/s", "from 0.001 to 1000000"},
      {"a=1,2/s,3/s", "there is one rate"},
  };
  for (const auto& [text, what] : cases) {
    const absl::Status status = ParseOriginLimit(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("\"", text, "\""))) << text;
  }
}

}  // namespace
}  // namespace imgfleet::service
