// An owner's quota holds among all coordinators of one PostgreSQL: whoever adds to what an owner has going locks that owner
// first, and one that finds the lock taken passes over it once and waits for it with its next batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class PostgresQuotaTest : public testing::Test {
 protected:
  std::unique_ptr<Ledger> OpenLedger(core::Quota quota, const Clock& clock = Clock::System()) {
    auto store = OpenPostgresStore(conninfo_, clock);
    EXPECT_TRUE(store.ok()) << store.status();
    Ledger::Options options;
    options.coordinator = absl::StrCat("coordinator ", ++ledgers_);
    options.quotas.otherwise = quota;
    return std::make_unique<Ledger>(*std::move(store), clock, options);
  }
  core::NewJob JobOf(const std::string& owner) {
    core::NewJob job;
    job.id = absl::StrCat("job ", ++jobs_);
    job.owner = owner;
    job.create_time = absl::FromUnixSeconds(1000);
    return job;
  }
  // Holds the lock of an owner until it goes or commits.
  std::unique_ptr<pg::Connection> Hold(const std::string& owner) {
    auto connection = pg::Connection::Open(conninfo_);
    EXPECT_TRUE(connection.ok()) << connection.status();
    EXPECT_TRUE((*connection)
                    ->Exec(absl::StrCat("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('owner ", owner,
                                        "', 20221))"))
                    .ok());
    return *std::move(connection);
  }
  static bool Waits(const auto& answer) {
    return answer.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout;
  }

  const std::string conninfo_ = PostgresServer::Shared().NewSchema();
  int ledgers_ = 0;
  std::atomic<int> jobs_ = 0;
};

TEST_F(PostgresQuotaTest, TwoCoordinatorsTakeNoMoreJobsThanOneWould) {
  const std::unique_ptr<Ledger> ledgers[] = {OpenLedger({3, 0}), OpenLedger({3, 0})};
  for (int round = 0; round < 20; ++round) {
    const std::string owner = absl::StrCat("owner ", round);
    std::atomic<int> taken = 0, refused = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        Ledger& ledger = *ledgers[i % 2];
        const auto made =
            i < 4
                ? Submit(ledger, JobOf(owner), {MakeNewShard(0, 1)})
                : Await<absl::StatusOr<core::Job>>([&](auto done) { ledger.CreateJob(JobOf(owner), done); });
        if (made.ok()) {
          ++taken;
        } else {
          EXPECT_TRUE(absl::IsResourceExhausted(made.status())) << made.status();
          ++refused;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(taken, 3);
    EXPECT_EQ(refused, 5);
  }
}

TEST_F(PostgresQuotaTest, TwoCoordinatorsTakeNoMoreItemsThanOneWould) {
  const std::unique_ptr<Ledger> ledgers[] = {OpenLedger({0, 10}), OpenLedger({0, 10})};
  for (int round = 0; round < 20; ++round) {
    const std::string owner = absl::StrCat("owner ", round);
    std::atomic<int> taken = 0;
    std::vector<std::thread> threads;
    for (const auto& ledger : ledgers) {
      const core::NewJob job = JobOf(owner);
      ASSERT_TRUE(Await<absl::StatusOr<core::Job>>([&](auto done) { ledger->CreateJob(job, done); }).ok());
      threads.emplace_back([&taken, &ledger = *ledger, id = job.id] {
        for (uint64_t index = 0; index < 16; index += 4) {
          const absl::Status appended = Append(ledger, id, MakeNewShard(index, 4));
          if (appended.ok()) {
            ++taken;
          } else {
            EXPECT_TRUE(absl::IsResourceExhausted(appended)) << appended;
            break;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(taken, 2) << "8 of 10 items; 4 more have no room";
  }
}

TEST_F(PostgresQuotaTest, AListWaitsForItsOwnerAndKeepsItsOrder) {
  const auto ledger = OpenLedger({0, 1000});
  const core::NewJob job = JobOf("alice");
  ASSERT_TRUE(Await<absl::StatusOr<core::Job>>([&](auto done) { ledger->CreateJob(job, done); }).ok());
  const auto other = Hold("alice");
  std::vector<std::future<absl::Status>> appended;
  for (uint64_t index = 0; index < 10; ++index) {
    auto promise = std::make_shared<std::promise<absl::Status>>();
    appended.push_back(promise->get_future());
    ledger->AppendShard(job.id, MakeNewShard(index, 1),
                        [promise](const absl::Status& status) { promise->set_value(status); });
  }
  EXPECT_TRUE(Waits(appended[0]));
  ASSERT_TRUE(other->Exec("COMMIT").ok());
  for (auto& status : appended) EXPECT_EQ(status.get(), absl::OkStatus());
  EXPECT_EQ(ledger->GetJob(job.id)->items, 10u);
}

TEST_F(PostgresQuotaTest, OtherOwnersAndThoseWithoutAQuotaWaitForNobody) {
  const auto other = Hold("alice");
  EXPECT_TRUE(Submit(*OpenLedger({3, 0}), JobOf("bob"), {MakeNewShard(0, 1)}).ok());
  EXPECT_TRUE(Submit(*OpenLedger({}), JobOf("alice"), {MakeNewShard(0, 1)}).ok());
}

TEST_F(PostgresQuotaTest, AScheduleWhoseOwnerIsHeldFiresWhenThatIsFree) {
  FakeClock clock;
  const auto ledger = OpenLedger({3, 0}, clock);
  core::Schedule schedule;
  schedule.id = "schedule";
  schedule.owner = "alice";
  schedule.every = absl::Hours(1);
  schedule.create_time = clock.Wall();
  const auto made =
      Await<absl::StatusOr<core::Schedule>>([&](auto done) { ledger->CreateSchedule(schedule, done); });
  ASSERT_TRUE(made.ok()) << made.status();
  const auto other = Hold("alice");
  clock.Advance(absl::Minutes(61));
  ASSERT_TRUE(Tick(*ledger).ok());
  EXPECT_THAT(*ledger->ListJobs("alice", "", 10), IsEmpty());
  ASSERT_TRUE(other->Exec("COMMIT").ok());
  ASSERT_TRUE(Tick(*ledger).ok());
  EXPECT_THAT(*ledger->ListJobs("alice", "", 10), SizeIs(1));
}

}  // namespace
}  // namespace imgfleet::store
