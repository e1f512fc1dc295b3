// What is particular to the PostgreSQL store: several coordinators at once, a server that goes away, answers that
// get lost, databases that are not ours.
#include "coordinator/store/postgres_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/open_store.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class PostgresStoreTest : public testing::Test {
 protected:
  std::unique_ptr<Ledger> OpenLedger(const std::string& conninfo, const Clock* lease_clock = nullptr) {
    auto store = OpenPostgresStore(conninfo, Clock::System(), lease_clock);
    EXPECT_TRUE(store.ok()) << store.status();
    Ledger::Options options;
    options.coordinator = absl::StrCat("coordinator ", ++ledgers_);
    return std::make_unique<Ledger>(*std::move(store),
                                    lease_clock == nullptr ? Clock::System() : *lease_clock, options);
  }
  std::unique_ptr<pg::Connection> Raw(const std::string& conninfo) {
    auto connection = pg::Connection::Open(conninfo);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }
  static void MakeJob(Ledger& ledger, const std::string& id, uint32_t items) {
    ASSERT_TRUE(Create(ledger, id).ok());
    ASSERT_TRUE(Append(ledger, id, MakeNewShard(0, items)).ok());
    ASSERT_TRUE(Finish(ledger, id).ok());
  }

  PostgresServer& server_ = PostgresServer::Shared();
  const std::string conninfo_ = server_.NewSchema();
  int ledgers_ = 0;
};

// --- Its clock ------------------------------------------------------------------------------------------------

// Of a server whose clock was set back by an hour: leases that nobody renews, delays, and readings whose coordinator is gone.
TEST_F(PostgresStoreTest, NothingIsLateThoughTheClockWasSetBack) {
  FakeClock server, own;
  const auto open = [&](const std::string& name) {
    Ledger::Options options;
    options.coordinator = name;
    return std::make_unique<Ledger>(*OpenPostgresStore(conninfo_, Clock::System(), &server), own, options);
  };
  const auto pass = [&](Ledger& ledger, absl::Duration time) {
    server.Advance(time);
    own.Advance(time);
    ASSERT_TRUE(Tick(ledger).ok());
  };
  const Ledger::Options defaults;
  std::unique_ptr<Ledger> gone = open("gone"), ledger = open("here");
  ASSERT_TRUE(Create(*gone, "list", "file:list.tsv").ok());
  gone = nullptr;
  MakeJob(*ledger, "lost", 10);
  ASSERT_THAT(*Acquire(*ledger, "lost", 10), SizeIs(1));
  MakeJob(*ledger, "kept", 10);
  const std::vector<core::LeasedShard> kept = *Acquire(*ledger, "kept", 10);
  MakeJob(*ledger, "delayed", 10);
  const core::LeaseRef back = Acquire(*ledger, "delayed", 10)->at(0).lease;
  ASSERT_EQ(HandBack(*ledger, back, absl::Minutes(10)).code, CommitCode::kCommitted);

  server.Advance(-absl::Hours(1));
  pass(*ledger, absl::Seconds(2));
  ASSERT_THAT(*KeepReadings(*ledger), IsEmpty());
  EXPECT_THAT(*Acquire(*ledger, "other", 100), IsEmpty()) << "nobody loses a lease because of a clock";
  pass(*ledger, defaults.lease_period / 2);
  EXPECT_THAT(*Renew(*ledger, "kept", {kept[0].lease}), IsEmpty());
  pass(*ledger, defaults.lease_period / 2);
  const std::vector<core::LeasedShard> freed = *Acquire(*ledger, "other", 100);
  ASSERT_THAT(freed, SizeIs(1));
  EXPECT_EQ(freed[0].lease.shard.job_id, "lost");
  EXPECT_THAT(*KeepReadings(*ledger), SizeIs(1));
  pass(*ledger, absl::Hours(1));
  EXPECT_EQ(Acquire(*ledger, "another", 10)->size(), 1u);
}

// --- Databases ------------------------------------------------------------------------------------------------

TEST_F(PostgresStoreTest, OneMigratesWhereManyStartAtOnce) {
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      const auto store = OpenPostgresStore(conninfo_, Clock::System());
      EXPECT_TRUE(store.ok()) << store.status();
      good += store.ok() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 6);
  EXPECT_EQ(*Raw(conninfo_)->QueryText("SELECT string_agg(version::text, ',') FROM imgfleet_schema"), "2");
}

TEST_F(PostgresStoreTest, RefusesWhatIsNotItsOwn) {
  ASSERT_TRUE(OpenPostgresStore(conninfo_, Clock::System()).ok());
  ASSERT_TRUE(Raw(conninfo_)->Exec("UPDATE imgfleet_schema SET version = 999").ok());
  const absl::Status newer = OpenPostgresStore(conninfo_, Clock::System()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer)) << newer;
  EXPECT_THAT(std::string(newer.message()), HasSubstr("written by a newer release of imgfleet (schema 999"));

  const std::string foreign = server_.NewSchema();
  ASSERT_TRUE(Raw(foreign)->Exec("CREATE TABLE jobs (a int)").ok());
  const absl::Status refused = OpenPostgresStore(foreign, Clock::System()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("tables of some other program"));
  EXPECT_EQ(*Raw(foreign)->QueryText("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"),
            "1");
}

TEST_F(PostgresStoreTest, SaysWhatIsToBeGranted) {
  server_.Exec("CREATE ROLE guest LOGIN");
  std::string as_guest = conninfo_;
  as_guest.replace(as_guest.find("user=tester"), 11, "user=guest");
  const std::string schema = *Raw(conninfo_)->QueryText("SELECT current_schema()");
  // Without USAGE the schema is not even there.
  absl::Status refused = OpenPostgresStore(as_guest, Clock::System()).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("CREATE SCHEMA AUTHORIZATION \"guest\""));
  server_.Exec(absl::StrCat("GRANT USAGE ON SCHEMA ", schema, " TO guest"));
  refused = OpenPostgresStore(as_guest, Clock::System()).status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr(absl::StrCat("GRANT USAGE, CREATE ON SCHEMA \"", schema)));
  // Tables that another role made.
  ASSERT_TRUE(OpenPostgresStore(conninfo_, Clock::System()).ok());
  refused = OpenPostgresStore(as_guest, Clock::System()).status();
  EXPECT_TRUE(absl::IsPermissionDenied(refused)) << refused;
  server_.Exec(
      absl::StrCat("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ", schema, " TO guest"));
  EXPECT_TRUE(OpenPostgresStore(as_guest, Clock::System()).ok()) << "no right to create is needed any more";
}

TEST_F(PostgresStoreTest, IsNamedByItsConnectionStringAndShowsNoPassword) {
  EXPECT_TRUE(OpenStore(conninfo_, Clock::System()).ok());
  for (const char* name :
       {"postgresql://u:s3cret@127.0.0.1:1/x", "host=127.0.0.1 port=1 password=s3cret dbname=x"}) {
    const absl::Status status = OpenStore(name, Clock::System()).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret")));
    EXPECT_THAT(std::string(status.message()), HasSubstr("127.0.0.1:1/x"));
    EXPECT_THAT(ShownStore(name), Not(HasSubstr("s3cret")));
  }
}

// --- Several coordinators -------------------------------------------------------------------------------------

TEST_F(PostgresStoreTest, WhatOneDoesTheOthersHear) {
  const auto here = OpenLedger(conninfo_), there = OpenLedger(conninfo_);
  absl::Mutex mutex;
  std::set<std::string> jobs, stopped;
  bool work = false;
  const auto handle = there->Listen([&](const Ledger::Changes& changes) {
    const absl::MutexLock lock(&mutex);
    jobs.insert(changes.jobs.begin(), changes.jobs.end());
    stopped.insert(changes.stopped.begin(), changes.stopped.end());
    work |= changes.work_available;
  });
  const auto wait_for = [&](auto condition) {
    const absl::MutexLock lock(&mutex);
    return mutex.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(20));
  };
  MakeJob(*here, "job", 2);
  EXPECT_TRUE(wait_for([&] { return jobs.count("job") == 1 && work && stopped.empty(); }));
  ASSERT_TRUE(CancelIt(*here, "job").ok());
  EXPECT_TRUE(wait_for([&] { return stopped.count("job") == 1; }));
  // One that died between commit and notice: found by looking.
  ASSERT_TRUE(
      Raw(conninfo_)
          ->Exec(
              "INSERT INTO jobs SELECT 'silent', owner, spec, source, 1, failure, items, shards, succeeded, "
              "failed, fetched_bytes, reasons, last_commit_seq, create_time, NULL, leased_items, "
              "ready_shards, priority, paused, parent, absent, idempotency_key, request_hash, schedule, "
              "reader, reader_due, expired, turn FROM jobs WHERE id = 'job'")
          .ok());
  EXPECT_TRUE(wait_for([&] { return jobs.count("silent") == 1; }));
}

TEST_F(PostgresStoreTest, ABrokenStreamTakesNothingThatWasRenewedElsewhere) {
  FakeClock clock;
  const auto here = OpenLedger(conninfo_, &clock), there = OpenLedger(conninfo_, &clock);
  MakeJob(*here, "moves", 2);
  MakeJob(*here, "stays", 2);
  const auto moves = Acquire(*here, "mover", 2), stays = Acquire(*here, "stayer", 2);
  ASSERT_THAT(*moves, SizeIs(1));
  ASSERT_THAT(*stays, SizeIs(1));
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(*Renew(*there, "mover", {moves->at(0).lease}), IsEmpty());
  here->Disconnected("mover");
  here->Disconnected("stayer");
  ASSERT_TRUE(Tick(*here).ok());
  clock.Advance(absl::Seconds(3));
  // The other may be about to free it: then the next batch waits for that.
  ASSERT_TRUE(Tick(*there).ok());
  const auto freed = Acquire(*there, "next", 100);
  ASSERT_THAT(*freed, SizeIs(1));
  EXPECT_EQ(freed->at(0).lease.shard, stays->at(0).lease.shard);
  EXPECT_EQ(Commit(*there, MakeChunk(moves->at(0).lease, {0, 1})).code, CommitCode::kCommitted);
  EXPECT_EQ(Commit(*here, MakeChunk(stays->at(0).lease, {0})).code, CommitCode::kStale);
}

TEST_F(PostgresStoreTest, ALockedJobIsPassedOverAndWaitedForOnlyWhereThereIsNoOther) {
  const auto ledger = OpenLedger(conninfo_);
  MakeJob(*ledger, "a", 2);
  MakeJob(*ledger, "b", 2);
  const auto other = Raw(conninfo_);
  ASSERT_TRUE(other->Exec("BEGIN; SELECT 1 FROM jobs WHERE id = 'a' FOR UPDATE").ok());
  const auto first = Acquire(*ledger, "w", 100);
  ASSERT_THAT(*first, SizeIs(1));
  EXPECT_EQ(first->at(0).lease.shard.job_id, "b");
  auto second = std::async(std::launch::async, [&] { return Acquire(*ledger, "w", 100); });
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  ASSERT_TRUE(other->Exec("COMMIT").ok());
  const auto got = second.get();
  ASSERT_TRUE(got.ok() && got->size() == 1) << got.status();
  EXPECT_EQ(got->at(0).lease.shard.job_id, "a");
}

// --- A server that goes away ----------------------------------------------------------------------------------

TEST(PostgresServerTest, ComesAndGoesAndLosesNothing) {
  PostgresServer server({});
  auto store = OpenPostgresStore(server.NewSchema(), Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  Ledger ledger(*std::move(store), Clock::System(), {});
  ASSERT_TRUE(Create(ledger, "job").ok());
  ASSERT_TRUE(Append(ledger, "job", MakeNewShard(0, 4)).ok());
  const core::LeaseRef lease = Acquire(ledger, "w", 4)->at(0).lease;
  ASSERT_EQ(Commit(ledger, MakeChunk(lease, {0})).code, CommitCode::kCommitted);
  server.Crash();
  EXPECT_EQ(Commit(ledger, MakeChunk(lease, {1})).code, CommitCode::kRetry);
  EXPECT_TRUE(absl::IsUnavailable(Append(ledger, "job", MakeNewShard(4, 1))));
  EXPECT_TRUE(absl::IsUnavailable(ledger.GetJob("job").status()));
  server.Start();
  core::CommitAnswer answer;
  do {
    answer = Commit(ledger, MakeChunk(lease, {1}));
  } while (answer.code == CommitCode::kRetry);
  EXPECT_EQ(answer.code, CommitCode::kCommitted);
  EXPECT_EQ(ledger.GetJob("job")->last_commit_seq, 2u);
  EXPECT_TRUE(Append(ledger, "job", MakeNewShard(4, 1)).ok());
}

TEST_F(PostgresStoreTest, ConnectionsThatAreCutAreReplacedUnseen) {
  const auto ledger = OpenLedger(conninfo_);
  MakeJob(*ledger, "job", 4);
  EXPECT_TRUE(ledger->GetJob("job").ok());
  server_.Exec(
      "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
      "backend_type = 'client backend'");
  EXPECT_TRUE(ledger->GetJob("job").ok());
  EXPECT_THAT(*Acquire(*ledger, "w", 4), SizeIs(1));
}

// Between the store and its server; cuts the connection that first commits, before or after the server hears of it.
class Cutter {
 public:
  enum class When { kBeforeCommit, kAfterCommit };

  Cutter(const std::string& target, When when) : target_(target), when_(when) {
    listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = Address(absl::StrCat(folder_.path(), "/.s.PGSQL.5432"));
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    accepting_ = std::thread([this] {
      for (int client; (client = accept(listener_, nullptr, nullptr)) >= 0;) {
        if (away_) {
          close(client);
          continue;
        }
        relays_.emplace_back([this, client] { Relay(client); });
      }
    });
  }
  ~Cutter() {
    shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    for (std::thread& relay : relays_) relay.join();
    close(listener_);
  }
  const std::string& folder() const { return folder_.path(); }
  void Arm() { armed_ = true; }
  bool cut() const { return cut_; }
  // New connections are turned away then.
  void StayAwayAfterCut() { stay_away_ = true; }
  void ComeBack() { away_ = false; }

 private:
  static sockaddr_un Address(const std::string& path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }

  void Relay(int client) {
    const int server = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address = Address(target_);
    EXPECT_EQ(connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::thread back([&] { Copy(server, client, /*from_client=*/false); });
    Copy(client, server, /*from_client=*/true);
    back.join();
    close(client);
    close(server);
  }

  void Copy(int from, int to, bool from_client) {
    char buffer[65536];
    for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;) {
      const bool commits =
          from_client && armed_ && absl::StrContains(absl::string_view(buffer, got), "COMMIT");
      if (commits && armed_.exchange(false)) {
        away_ = stay_away_.load();
        cut_ = true;
        if (when_ == When::kAfterCommit) {
          // No answer comes through from here on: the client's side goes first, then the server works it off.
          shutdown(from, SHUT_RDWR);
          EXPECT_EQ(write(to, buffer, got), got);
        }
        break;
      }
      for (ssize_t sent = 0, more; sent < got; sent += more) {
        more = send(to, buffer + sent, got - sent, MSG_NOSIGNAL);
        if (more <= 0) break;
      }
    }
    shutdown(from, SHUT_RDWR);
    shutdown(to, SHUT_WR);
  }

  const TemporaryFolder folder_{"/tmp/cut.XXXXXX"};
  const std::string target_;
  const When when_;
  int listener_;
  std::atomic<bool> armed_{false}, cut_{false}, stay_away_{false}, away_{false};
  std::thread accepting_;
  std::vector<std::thread> relays_;
};

class LostAnswerTest : public PostgresStoreTest, public testing::WithParamInterface<Cutter::When> {
 protected:
  LostAnswerTest() {
    EXPECT_TRUE(OpenPostgresStore(conninfo_, Clock::System()).ok());
    through_.replace(at_, folder_.size(), cutter_.folder());
  }

  const size_t at_ = conninfo_.find("host=") + 5;
  const std::string folder_ = conninfo_.substr(at_, conninfo_.find('&', at_) - at_);
  Cutter cutter_{absl::StrCat(folder_, "/.s.PGSQL.5432"), GetParam()};
  std::string through_ = conninfo_;
};

INSTANTIATE_TEST_SUITE_P(When, LostAnswerTest,
                         testing::Values(Cutter::When::kBeforeCommit, Cutter::When::kAfterCommit));

// Every verb of the batch whose commit got no answer is answered as what it is: done, once.
TEST_P(LostAnswerTest, IsSettledByAskingTheServer) {
  auto store = OpenPostgresStore(through_, Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  cutter_.Arm();
  const absl::Status fate = (*store)->Transact([](Transaction& transaction) {
    core::JobRecord record;
    record.job.id = "job";
    return transaction.InsertJob(record);
  });
  EXPECT_TRUE(cutter_.cut());
  if (GetParam() == Cutter::When::kAfterCommit) {
    EXPECT_TRUE(fate.ok()) << fate;
    EXPECT_TRUE((*store)->GetJob("job")->has_value());
  } else {
    EXPECT_TRUE(absl::IsAborted(fate)) << fate;
    EXPECT_FALSE((*store)->GetJob("job")->has_value());
  }
}

// The server stays away for longer than anybody waits: it is said that the fate is not known. Whoever asks again gets what
// there is, once.
TEST_P(LostAnswerTest, IsUnknownWhereTheServerStaysAwayAndMayBeAskedForAgain) {
  FakeClock clock;
  auto store = OpenPostgresStore(through_, clock);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto insert = [&] {
    return (*store)->Transact([](Transaction& transaction) {
      core::JobRecord record;
      record.job.id = "job";
      return transaction.InsertJob(record);
    });
  };
  cutter_.StayAwayAfterCut();
  cutter_.Arm();
  auto asked = std::async(std::launch::async, insert);
  while (asked.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout) {
    if (cutter_.cut()) clock.Advance(absl::Seconds(1));
  }
  const absl::Status unknown = asked.get();
  EXPECT_TRUE(absl::IsUnavailable(unknown)) << unknown;
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("whether the change was stored is not known"));
  cutter_.ComeBack();
  clock.Advance(absl::Seconds(1));
  const absl::Status again = insert();
  EXPECT_EQ(again.code(), GetParam() == Cutter::When::kAfterCommit ? absl::StatusCode::kAlreadyExists
                                                                   : absl::StatusCode::kOk)
      << again;
  EXPECT_TRUE((*store)->GetJob("job")->has_value());
}

}  // namespace
}  // namespace imgfleet::store
