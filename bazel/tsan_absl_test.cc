// Correct code around each way in which absl::Mutex waits: under --config=tsan it must draw no report.
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace imgfleet {
namespace {

constexpr int kTurns = 2000;

// Two threads take turns; `wait` returns with the mutex held and the turn being its own.
template <typename Wait>
void TakeTurns(Wait wait) {
  struct Table {
    absl::Mutex mutex;
    bool ball = false;
    int hits = 0;
  } table;
  const auto play = [&](bool side) {
    struct Mine {
      const Table& table;
      bool side;
    } mine{table, side};
    const absl::Condition turn(
        +[](Mine* m) { return m->table.ball == m->side; }, &mine);
    for (int i = 0; i < kTurns; ++i) {
      wait(table.mutex, turn);
      ++table.hits;
      table.ball = !side;
      table.mutex.Unlock();
    }
  };
  std::thread other(play, true);
  play(false);
  other.join();
  EXPECT_EQ(table.hits, 2 * kTurns);
}

TEST(TsanAbsl, KnowsAwait) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) {
    mutex.Lock();
    mutex.Await(turn);
  });
}

TEST(TsanAbsl, KnowsAwaitWithTimeout) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) {
    mutex.Lock();
    while (!mutex.AwaitWithTimeout(turn, absl::Milliseconds(1))) {
    }
  });
}

TEST(TsanAbsl, KnowsAwaitWithDeadline) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) {
    mutex.Lock();
    ASSERT_TRUE(mutex.AwaitWithDeadline(turn, absl::InfiniteFuture()));
  });
}

TEST(TsanAbsl, KnowsLockWhen) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) { mutex.LockWhen(turn); });
}

TEST(TsanAbsl, KnowsLockWhenWithTimeout) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) {
    while (!mutex.LockWhenWithTimeout(turn, absl::Milliseconds(1))) mutex.Unlock();
  });
}

TEST(TsanAbsl, KnowsLockWhenWithDeadline) {
  TakeTurns([](absl::Mutex& mutex, const absl::Condition& turn) {
    ASSERT_TRUE(mutex.LockWhenWithDeadline(turn, absl::InfiniteFuture()));
  });
}

TEST(TsanAbsl, KnowsCondVar) {
  absl::Mutex mutex;
  absl::CondVar passed;
  bool ball = false;
  int hits = 0;
  const auto play = [&](bool side) {
    for (int i = 0; i < kTurns; ++i) {
      absl::MutexLock lock(&mutex);
      while (ball != side) passed.WaitWithTimeout(&mutex, absl::Seconds(1));
      ++hits;
      ball = !side;
      passed.SignalAll();
    }
  };
  std::thread other(play, true);
  play(false);
  other.join();
  EXPECT_EQ(hits, 2 * kTurns);
}

}  // namespace
}  // namespace imgfleet
