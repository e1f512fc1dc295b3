// The board on a real server: exchanges follow one another, nothing of one that fails is seen, others are told; and a database of
// an earlier release is brought up to it.
#include "coordinator/store/postgres_origin_board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

using core::OriginNews;
using core::OriginRow;
using core::OriginWrites;

class PostgresOriginBoardTest : public testing::Test {
 protected:
  PostgresOriginBoardTest() { EXPECT_TRUE(OpenPostgresStore(conninfo_, Clock::System()).ok()); }

  std::unique_ptr<OriginBoard> Open() { return OpenPostgresOriginBoard(conninfo_, Clock::System()); }
  std::unique_ptr<pg::Connection> Raw() { return *pg::Connection::Open(conninfo_); }

  const std::string conninfo_ = PostgresServer::Shared().NewSchema();
};

OriginRow Row(const OriginNews& news, std::string origin, std::string coordinator, std::string value) {
  return {std::move(origin), std::move(coordinator), std::move(value), std::string("\0\xff", 2),
          news.now + absl::Seconds(10)};
}

OriginNews Read(OriginBoard& board, const core::OriginQuery& query) {
  OriginNews read;
  EXPECT_TRUE(board
                  .Exchange(query,
                            [&](const OriginNews& news) {
                              read = news;
                              return OriginWrites();
                            })
                  .ok());
  return read;
}

TEST_F(PostgresOriginBoardTest, ReadsWhatOthersHaveWritten) {
  const auto one = Open(), other = Open();
  uint64_t number = 0;
  ASSERT_TRUE(
      one->Exchange(
             {},
             [&](const OriginNews& news) {
               EXPECT_TRUE(news.rows.empty());
               number = news.number;
               return OriginWrites{{Row(news, "", "one", ""), Row(news, "https://a:1", "one", "1000 1")}};
             })
          .ok());
  OriginNews news = Read(*other, {});
  EXPECT_EQ(news.number, number + 1);
  ASSERT_EQ(news.rows.size(), 2u);
  EXPECT_EQ(news.rows[1].value, "1000 1");
  EXPECT_EQ(news.rows[1].learned, std::string("\0\xff", 2));
  EXPECT_EQ(news.rows[1].number, number);
  EXPECT_GT(news.rows[1].until, news.now);
  // What is known is read where it is asked for only.
  EXPECT_TRUE(Read(*other, {number, {}}).rows.empty());
  news = Read(*other, {number, {"https://a:1", "https://b:1"}});
  ASSERT_EQ(news.rows.size(), 1u);
  EXPECT_EQ(news.rows[0].origin, "https://a:1");
}

// Or the dead would live, and what was void be valid again, for as long as the clock was set back.
TEST_F(PostgresOriginBoardTest, TimeGoesOnThoughTheClockWasSetBack) {
  const auto board = Open();
  const absl::Time before = Read(*board, {}).now;
  EXPECT_LT(absl::AbsDuration(before - Clock::System().Wall()), absl::Minutes(1));
  // As if all before had been by a clock an hour ahead.
  const int64_t hour = absl::ToInt64Microseconds(absl::Hours(1));
  ASSERT_TRUE(Raw()
                  ->Exec(absl::StrCat("UPDATE origin_board SET until = until + ", hour,
                                      " WHERE origin = '' AND coordinator = ''"))
                  .ok());
  const absl::Time first = Read(*board, {}).now, second = Read(*board, {}).now;
  EXPECT_GE(first, before + absl::Hours(1));
  EXPECT_GT(second, first);
  EXPECT_LT(second, before + absl::Hours(1) + absl::Minutes(1));
}

TEST_F(PostgresOriginBoardTest, MakesExchangesOneAfterAnother) {
  // Each adds one to what it has read.
  constexpr int kThreads = 4, kEach = 25;
  std::vector<std::thread> threads;
  std::atomic<int> failed = 0;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const auto board = Open();
      for (int j = 0; j < kEach; ++j) {
        failed +=
            board->Exchange({0, {"https://a:1"}},
                            [](const OriginNews& news) {
                              const int sum = news.rows.empty() ? 0 : std::stoi(news.rows[0].value);
                              return OriginWrites{{Row(news, "https://a:1", "", absl::StrCat(sum + 1))}};
                            })
                    .ok()
                ? 0
                : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Read(*Open(), {}).rows[0].value, absl::StrCat(kThreads * kEach));
}

TEST_F(PostgresOriginBoardTest, TellsOthersAndNotItself) {
  const auto one = Open(), other = Open();
  Read(*one, {});
  Read(*other, {});
  ASSERT_TRUE(one->Exchange({}, [](const OriginNews&) { return OriginWrites{{}, /*tell=*/true}; }).ok());
  EXPECT_TRUE(other->Wait(absl::Seconds(20)));
  EXPECT_FALSE(one->Wait(absl::Milliseconds(20)));
  other->Interrupt();
  EXPECT_FALSE(other->Wait(absl::Seconds(20)));
}

TEST_F(PostgresOriginBoardTest, SweepsWhatIsVoidAndCountsOn) {
  const auto board = Open();
  ASSERT_TRUE(board
                  ->Exchange({},
                             [](const OriginNews& news) {
                               OriginWrites writes{{Row(news, "https://a:1", "one", "1"),
                                                    Row(news, "https://b:1", "one", "1")}};
                               writes.rows[0].until = news.now - absl::Minutes(2);
                               return writes;
                             })
                  .ok());
  ASSERT_TRUE(board->Exchange({},
                              [](const OriginNews&) {
                                return OriginWrites{{}, false, /*sweep=*/true};
                              })
                  .ok());
  const OriginNews news = Read(*board, {});
  ASSERT_EQ(news.rows.size(), 1u);
  EXPECT_EQ(news.rows[0].origin, "https://b:1");
  EXPECT_EQ(news.number, 3u);
}

TEST_F(PostgresOriginBoardTest, LosesNothingButTheExchangeThatWasCutOff) {
  const auto board = Open();
  ASSERT_FALSE(board
                   ->Exchange({},
                              [&](const OriginNews& news) {
                                Raw()
                                    ->Exec(
                                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
                                        "pg_backend_pid() AND state = 'idle in transaction'")
                                    .IgnoreError();
                                return OriginWrites{{Row(news, "https://a:1", "one", "1")}};
                              })
                   .ok());
  EXPECT_TRUE(Read(*board, {}).rows.empty());
}

TEST_F(PostgresOriginBoardTest, IsMadeInADatabaseOfAnEarlierRelease) {
  ASSERT_TRUE(Raw()->Exec("DROP TABLE origin_board; UPDATE imgfleet_schema SET version = 1").ok());
  ASSERT_TRUE(OpenPostgresStore(conninfo_, Clock::System()).ok());
  EXPECT_EQ(*Raw()->QueryText("SELECT version FROM imgfleet_schema"), "2");
  EXPECT_EQ(Read(*Open(), {}).number, 1u);
}

}  // namespace
}  // namespace imgfleet::store
