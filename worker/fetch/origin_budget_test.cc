#include "worker/fetch/origin_budget.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::fetch {
namespace {

using Turn = OriginBudget::Turn;

// A loop that always has more to send, and is told when it may.
struct FakeLoop {
  explicit FakeLoop(const std::shared_ptr<OriginBudget>& budget) : seat(budget, &wake) {}
  ~FakeLoop() {
    while (in_flight > 0) End(/*more=*/false);
    seat.budget().Decline(seat);
  }

  bool Start(absl::Time now) {
    const Turn turn = seat.budget().Start(seat, now, more);
    in_flight += turn.kind == Turn::kGo ? 1 : 0;
    return turn.kind == Turn::kGo;
  }
  int StartAll(absl::Time* now) {
    int started = 0;
    // Slow enough for the pace of a beginning.
    for (; Start(*now); ++started) *now += absl::Milliseconds(10);
    return started;
  }
  void Answer(absl::Time now) {
    --in_flight;
    seat.budget().Answered(seat, now - absl::Milliseconds(1), absl::Milliseconds(1), now, /*useful=*/true,
                           true);
  }
  void End(bool more) {
    --in_flight;
    seat.budget().Ended(seat, more);
  }
  absl::Duration Refuse(absl::Time now, std::optional<absl::Duration> retry_after = {}) {
    --in_flight;
    OriginBudget::Refusal refusal;
    refusal.sent = now - absl::Milliseconds(1);
    refusal.now = now;
    refusal.status = 429;
    refusal.retry_after = retry_after;
    return seat.budget().Refused(seat, refusal, true);
  }

  uint32_t more = 1000;
  int woken = 0, in_flight = 0;
  std::function<void()> wake = [this] { ++woken; };
  OriginBudget::Seat seat;
};

class OriginBudgetTest : public testing::Test {
 protected:
  const std::shared_ptr<OriginBudget> budget_ = std::make_shared<OriginBudget>(512, /*exempt=*/false);
  FakeLoop first_{budget_}, second_{budget_};
  absl::Time now_ = absl::FromUnixSeconds(1'000);
};

TEST_F(OriginBudgetTest, HoldsForAllLoopsTogether) {
  EXPECT_EQ(first_.StartAll(&now_) + second_.StartAll(&now_), OriginWindow::kStart);
}

// What is in flight is what may be refused.
TEST_F(OriginBudgetTest, WhoWantsLittleHasLittleInFlight) {
  first_.more = 40;
  EXPECT_EQ(first_.StartAll(&now_), OriginBudget::kAtOnce);
  first_.more = 1000;
  EXPECT_EQ(first_.StartAll(&now_), OriginWindow::kStart - OriginBudget::kAtOnce);
}

TEST_F(OriginBudgetTest, ALoopWithoutRoomGetsItsShareAndIsWoken) {
  EXPECT_EQ(first_.StartAll(&now_), OriginWindow::kStart);
  EXPECT_FALSE(second_.Start(now_));
  for (int i = 0; i < 6; ++i) {
    const int woken = second_.woken;
    first_.End(/*more=*/true);
    now_ += absl::Milliseconds(10);
    if (second_.woken > woken) {
      EXPECT_FALSE(first_.Start(now_)) << "the room is promised";
      EXPECT_TRUE(second_.Start(now_));
      second_.Start(now_ += absl::Milliseconds(10));
    } else {
      EXPECT_TRUE(first_.Start(now_));
    }
  }
  // Even: nobody wakes anybody any more.
  EXPECT_NEAR(first_.in_flight, second_.in_flight, 2);
  const int woken = first_.woken + second_.woken;
  for (int i = 0; i < 100; ++i) {
    FakeLoop& loop = i % 2 == 0 ? first_ : second_;
    loop.End(/*more=*/true);
    EXPECT_TRUE(loop.Start(now_ += absl::Milliseconds(10)));
    EXPECT_FALSE(loop.Start(now_ += absl::Milliseconds(10)));
  }
  EXPECT_EQ(first_.woken + second_.woken, woken);
}

TEST_F(OriginBudgetTest, APromiseThatIsDeclinedGoesBack) {
  first_.StartAll(&now_);
  second_.Start(now_);
  first_.End(/*more=*/true);
  ASSERT_EQ(second_.woken, 1);
  EXPECT_FALSE(first_.Start(now_ += absl::Milliseconds(10)));
  second_.seat.budget().Decline(second_.seat);
  EXPECT_EQ(first_.woken, 1);
  EXPECT_TRUE(first_.Start(now_ += absl::Milliseconds(10)));
}

TEST_F(OriginBudgetTest, ALoopThatLeavesTakesNothingWithIt) {
  {
    FakeLoop third(budget_);
    third.StartAll(&now_);
    EXPECT_FALSE(second_.Start(now_));
  }
  EXPECT_GT(second_.woken, 0);
  EXPECT_EQ(budget_->in_flight(), 0u);
  EXPECT_EQ(second_.StartAll(&now_), OriginWindow::kStart);
}

TEST_F(OriginBudgetTest, RetryAfterHoldsForEveryLoop) {
  ASSERT_TRUE(first_.Start(now_));
  first_.Refuse(now_ += absl::Milliseconds(5), absl::Seconds(20));
  for (FakeLoop* loop : {&first_, &second_}) {
    const Turn turn = budget_->Start(loop->seat, now_ + absl::Seconds(19), 1);
    EXPECT_EQ(turn.kind, Turn::kWait);
    EXPECT_EQ(turn.until, now_ + absl::Seconds(20));
  }
  EXPECT_TRUE(second_.Start(now_ + absl::Seconds(20)));
}

TEST_F(OriginBudgetTest, APaceHoldsForAllLoopsTogether) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(first_.Start(now_ += absl::Milliseconds(2)));
    first_.Refuse(now_ += absl::Milliseconds(1));
  }
  int started = 0;
  for (int i = 0; i < 1000; ++i) {
    now_ += absl::Milliseconds(1);
    for (FakeLoop* loop : {&first_, &second_}) {
      if (!loop->Start(now_)) continue;
      ++started;
      loop->Answer(now_);
    }
  }
  EXPECT_GE(started, 2);
  EXPECT_LE(started, 8);  // Four a second, searching upwards.
}

TEST_F(OriginBudgetTest, TellsForHowLongThereWereOnlyFailures) {
  const auto silent = [&](bool connected) {
    EXPECT_TRUE(first_.Start(now_));
    --first_.in_flight;
    return budget_->Silent(first_.seat, now_, now_, connected, false);
  };
  EXPECT_EQ(silent(true), absl::ZeroDuration());
  now_ += absl::Seconds(30);
  EXPECT_EQ(silent(false), absl::Seconds(30));
  EXPECT_TRUE(second_.Start(now_ += absl::Seconds(1)));
  second_.Answer(now_);
  EXPECT_EQ(silent(true), absl::ZeroDuration());
  // Not asked for long: nothing is known of the time between.
  now_ += absl::Hours(1);
  EXPECT_EQ(silent(true), absl::ZeroDuration());
}

TEST_F(OriginBudgetTest, ConnectionsThatFailHalveOnlyWhereTheOriginHasAnswered) {
  const auto fail = [&] {
    EXPECT_TRUE(first_.Start(now_ += absl::Seconds(1)));
    --first_.in_flight;
    budget_->Silent(first_.seat, now_, now_, /*connected=*/false, true);
  };
  fail();
  EXPECT_EQ(budget_->window(), OriginWindow::kStart);
  EXPECT_TRUE(first_.Start(now_ += absl::Seconds(1)));
  first_.Answer(now_);
  fail();
  EXPECT_EQ(budget_->window(), OriginWindow::kStart / 2);
}

TEST(OriginBudget, ExemptOriginsHaveAllThereIs) {
  const auto budget = std::make_shared<OriginBudget>(100, /*exempt=*/true);
  FakeLoop loop(budget);
  const absl::Time now = absl::FromUnixSeconds(1'000);
  int started = 0;
  while (loop.Start(now)) ++started;
  EXPECT_EQ(started, 100);
  for (int i = 0; i < 50; ++i) loop.Refuse(now);
  EXPECT_TRUE(loop.Start(now));
  loop.Refuse(now, absl::Seconds(5));
  EXPECT_FALSE(loop.Start(now + absl::Seconds(4)));
  EXPECT_TRUE(loop.Start(now + absl::Seconds(5)));
}

// Whoever dealt the origin out may be gone, and others have been given what this process had.
TEST(OriginBudget, AsksNothingUnderAnOperatorsRateWithoutAPermit) {
  OriginBell bell;
  bell.Answer([] {});
  const auto budget = std::make_shared<OriginBudget>(512, /*exempt=*/false, "http://a:80", &bell);
  FakeLoop loop{budget};
  absl::Time now = absl::FromUnixSeconds(1'000);
  const auto permit = [&](uint64_t number, double rate) {
    OriginPermit word;
    word.number = number;
    word.concurrency = 2;
    word.rate = rate;
    word.sharers = 2;
    word.until = now + absl::Seconds(2);
    budget->Keep(word, now);
  };
  const auto starts = [&] {
    now += absl::Seconds(1);
    const bool started = loop.Start(now);
    if (started) loop.Answer(now);
    return started;
  };
  permit(1, 50);
  EXPECT_TRUE(starts());
  now += absl::Seconds(2);
  EXPECT_FALSE(starts()) << "it has run out";
  permit(2, 50);
  EXPECT_TRUE(starts());
  budget->Disconnected(now);
  EXPECT_FALSE(starts());
  permit(3, 0);
  budget->Disconnected(now);
  EXPECT_TRUE(starts()) << "no operator's: one part of it";
}

TEST(OriginBudgets, OneForAllLoopsAndForgottenInTime) {
  OriginBudgets budgets(64);
  const absl::Time now = absl::FromUnixSeconds(1'000);
  const auto kept = budgets.Get("kept", false, now);
  EXPECT_EQ(budgets.Get("kept", false, now), kept);
  {
    // What was learned of an origin outlives the loops that ask it.
    FakeLoop loop(budgets.Get("slow", false, now));
    ASSERT_TRUE(loop.Start(now));
    loop.Refuse(now, absl::Minutes(1));
  }
  for (int i = 0; i < 20'000; ++i) budgets.Get(absl::StrCat("host", i), false, now);
  EXPECT_LT(budgets.size(), 10'000u);
  EXPECT_EQ(budgets.Get("kept", false, now), kept);
  FakeLoop loop(budgets.Get("slow", false, now));
  EXPECT_FALSE(loop.Start(now + absl::Seconds(30)));
}

// Many threads at one budget: never more in flight than its window, and every one of them gets on.
TEST(OriginBudget, ThreadsShareIt) {
  const auto budget = std::make_shared<OriginBudget>(16, /*exempt=*/true);
  std::atomic<int> in_flight{0}, most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::atomic<bool> room{false};
      const std::function<void()> wake = [&] { room = true; };
      OriginBudget::Seat seat(budget, &wake);
      const absl::Time now = absl::FromUnixSeconds(1'000);
      int own = 0;
      for (int sent = 0; sent < 20'000;) {
        if (budget->Start(seat, now, 1).kind == Turn::kGo) {
          most = std::max(most.load(), ++in_flight);
          ++own;
          ++sent;
          continue;
        }
        if (own == 0) {
          while (!room.exchange(false)) std::this_thread::yield();
          continue;
        }
        --own;
        --in_flight;
        budget->Answered(seat, now, absl::Milliseconds(1), now, true, true);
      }
      for (; own > 0; --own) {
        --in_flight;
        budget->Ended(seat, false);
      }
      budget->Decline(seat);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 16);
  EXPECT_EQ(budget->in_flight(), 0u);
}

}  // namespace
}  // namespace imgfleet::fetch
