// Three coordinators on one PostgreSQL, on real threads: workers lease from one and report to another, repeat
// themselves, break off and die; connections are killed in the middle of transactions and coordinators dropped and
// replaced. At the end every job is complete with one outcome per item, all that was acknowledged is stored, and what
// is counted is what is there.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "coordinator/core/types.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;

constexpr size_t kLedgers = 3;
constexpr int kJobs = 4;
constexpr uint32_t kShards = 6, kShardItems = 24;
constexpr int kWorkers = 4;
constexpr absl::Duration kPatience = absl::Seconds(60);

class Play {
 public:
  explicit Play(uint32_t seed) : seed_(seed) {
    for (size_t i = 0; i < kLedgers; ++i) Replace(i);
  }

  void Run() {
    const absl::Time end = absl::Now() + kPatience;
    std::vector<std::thread> threads;
    for (int i = 0; i < kJobs; ++i) threads.emplace_back([this, i] { Submit(i); });
    for (int i = 0; i < kWorkers; ++i) threads.emplace_back([this, i] { Work(i); });
    std::thread trouble([this] { MakeTrouble(); });
    while (!AllDone() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(20));
    EXPECT_TRUE(AllDone()) << "a job does not end";
    over_ = true;
    for (std::thread& thread : threads) thread.join();
    trouble.join();
    for (int i = 0; i < kJobs; ++i) Check(Id(i));
    CheckRows();
  }

 private:
  using Random = std::mt19937;
  static bool Chance(Random& random, int percent) {
    return Pick(random, 100) < static_cast<uint32_t>(percent);
  }
  static uint32_t Pick(Random& random, size_t below) {
    return std::uniform_int_distribution<uint32_t>(0, static_cast<uint32_t>(below) - 1)(random);
  }
  static std::string Id(int job) { return absl::StrCat("job ", job); }

  void Replace(size_t at) {
    Ledger::Options options;
    options.lease_period = absl::Milliseconds(400);
    options.disconnect_grace = absl::Milliseconds(50);
    // Who reads a list is told by name, and here any of them may.
    options.coordinator = "coordinator";
    absl::StatusOr<std::unique_ptr<Store>> store = absl::UnavailableError("");
    while (!store.ok()) store = OpenPostgresStore(conninfo_, Clock::System());
    auto fresh = std::make_shared<Ledger>(*std::move(store), Clock::System(), options);
    const absl::MutexLock lock(&mutex_);
    // Whoever uses the old one keeps it until its answer has come.
    ledgers_[at].swap(fresh);
  }
  std::shared_ptr<Ledger> Any(Random& random) {
    const absl::MutexLock lock(&mutex_);
    return ledgers_[Pick(random, kLedgers)];
  }

  bool AllDone() {
    Random random(0);
    for (int i = 0; i < kJobs; ++i) {
      const auto job = Any(random)->GetJob(Id(i));
      if (!job.ok() || job->state != core::JobState::kCompleted) return false;
    }
    return true;
  }

  // Goes on after an error where the job's shards end, as a reader of a list does.
  void Submit(int number) {
    Random random(seed_ * 100 + number);
    const std::string id = Id(number);
    while (!over_) {
      const absl::Status made = Create(*Any(random), id, "file").status();
      if (made.ok() || absl::IsAlreadyExists(made)) break;
    }
    while (!over_) {
      const auto job = Any(random)->GetJob(id);
      if (!job.ok()) continue;
      if (job->items == uint64_t{kShards} * kShardItems) break;
      (void)Append(*Any(random), id, MakeNewShard(job->items, kShardItems));
    }
    while (!over_ && !Finish(*Any(random), id).ok()) {
    }
  }

  void Work(int number) {
    Random random(seed_ * 100 + 50 + number);
    int life = 0;
    std::string name = absl::StrCat("worker ", number, "/", life);
    std::shared_ptr<Ledger> ledger = Any(random);
    while (!over_) {
      if (Chance(random, 30)) {
        ledger->Disconnected(name);
        ledger = Any(random);
      }
      const auto leased = Acquire(*ledger, name, 10 + Pick(random, 60));
      if (!leased.ok() || leased->empty()) {
        absl::SleepFor(absl::Milliseconds(5));
        continue;
      }
      if (Chance(random, 4)) {
        name = absl::StrCat("worker ", number, "/", ++life);  // Died.
        continue;
      }
      for (const core::LeasedShard& shard : *leased) Report(random, name, ledger, shard);
    }
  }

  void Report(Random& random, const std::string& name, std::shared_ptr<Ledger>& ledger,
              const core::LeasedShard& shard) {
    std::vector<uint32_t> open = shard.offsets;
    std::shuffle(open.begin(), open.end(), random);
    while (!open.empty() && !over_) {
      // To another coordinator with all it holds, while the stream to the first breaks sooner or later.
      if (Chance(random, 10)) {
        const std::shared_ptr<Ledger> before = std::exchange(ledger, Any(random));
        (void)Renew(*ledger, name, {shard.lease});
        before->Disconnected(name);
      }
      if (Chance(random, 3))
        return (void)HandBack(*ledger, shard.lease, absl::Milliseconds(Pick(random, 2) * 20));
      const size_t count = 1 + Pick(random, open.size());
      core::Chunk chunk = MakeChunk(shard.lease, {open.end() - count, open.end()});
      chunk.payload = absl::StrCat("chunk ", ++payloads_);
      open.resize(open.size() - count);
      core::CommitAnswer answer;
      do {
        answer = Commit(*ledger, chunk);
        if (answer.code == CommitCode::kRetry && Chance(random, 30)) ledger = Any(random);
      } while (answer.code == CommitCode::kRetry && !over_);
      EXPECT_NE(answer.code, CommitCode::kInvalid) << answer.message;
      Note(chunk, answer.code);
      if (answer.code != CommitCode::kCommitted) return;
      if (Chance(random, 10)) {
        EXPECT_NE(Commit(*Any(random), chunk).code, CommitCode::kInvalid) << "a repetition";
      }
    }
  }

  void Note(const core::Chunk& chunk, CommitCode code) {
    const absl::MutexLock lock(&mutex_);
    // What got no answer at the end may be stored or not.
    if (code == CommitCode::kCommitted) acknowledged_.insert(chunk.payload);
    if (code == CommitCode::kStale) refused_.insert(chunk.payload);
  }

  void MakeTrouble() {
    Random random(seed_);
    while (!over_) {
      absl::SleepFor(absl::Milliseconds(10 + Pick(random, 40)));
      if (Chance(random, 15)) Replace(Pick(random, kLedgers));
      auto connection = pg::Connection::Open(conninfo_);
      if (!connection.ok()) continue;
      (void)(*connection)
          ->Exec(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
              "backend_type = 'client backend' ORDER BY random() LIMIT 1");
    }
  }

  void Check(const std::string& id) {
    Replace(0);
    Ledger& ledger = *ledgers_[0];
    const auto job = ledger.GetJob(id);
    ASSERT_TRUE(job.ok()) << job.status();
    std::set<std::pair<uint32_t, uint32_t>> outcomes;
    uint64_t seq = 0, failed = 0;
    for (;;) {
      const auto chunks = ledger.ReadByCommit(id, seq, 1000);
      ASSERT_TRUE(chunks.ok()) << chunks.status();
      if (chunks->empty()) break;
      for (const core::StoredChunk& chunk : *chunks) {
        EXPECT_EQ(chunk.commit_seq, ++seq) << "commit_seq has a hole";
        for (const uint32_t offset : chunk.offsets) {
          EXPECT_TRUE(outcomes.insert({chunk.shard, offset}).second) << "two outcomes for one item";
        }
        // Given up as poison, after three deaths.
        if (chunk.payload[0] == '\x01') ++failed;
        EXPECT_EQ(refused_.count(chunk.payload), 0u) << "refused but stored: " << chunk.payload;
        acknowledged_.erase(chunk.payload);
      }
    }
    EXPECT_EQ(job->last_commit_seq, seq);
    EXPECT_EQ(outcomes.size(), size_t{kShards} * kShardItems);
    EXPECT_EQ(job->counts.succeeded + failed, outcomes.size());
    EXPECT_EQ(job->counts.failed, failed);
  }

  void CheckRows() {
    EXPECT_TRUE(acknowledged_.empty()) << "acknowledged but not stored: " << *acknowledged_.begin();
    auto connection = pg::Connection::Open(conninfo_);
    ASSERT_TRUE(connection.ok());
    EXPECT_EQ(
        *(*connection)->QueryText("SELECT count(*) FROM jobs WHERE leased_items <> 0 OR ready_shards <> 0"),
        "0");
    EXPECT_EQ(*(*connection)->QueryText("SELECT count(*) FROM shards WHERE state <> 4 OR holder <> ''"), "0");
    EXPECT_EQ(*(*connection)->QueryText("SELECT coalesce(sum(deadlocks), 0) FROM pg_stat_database"), "0");
  }

  const uint32_t seed_;
  const std::string conninfo_ = PostgresServer::Shared().NewSchema();
  std::atomic<bool> over_{false};
  std::atomic<uint64_t> payloads_{0};

  absl::Mutex mutex_;
  std::shared_ptr<Ledger> ledgers_[kLedgers] ABSL_GUARDED_BY(mutex_);
  std::set<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> refused_ ABSL_GUARDED_BY(mutex_);
};

uint32_t FromEnvironment(const char* name, uint32_t otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : static_cast<uint32_t>(atoll(value));
}

TEST(PostgresRandomTest, ThreeCoordinatorsKeepEveryPromise) {
  const uint32_t first = FromEnvironment("IMGFLEET_TEST_FIRST_SEED", 1);
  const uint32_t seeds = FromEnvironment("IMGFLEET_TEST_SEEDS", 8);
  for (uint32_t seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE(absl::StrCat("IMGFLEET_TEST_SEEDS=1 IMGFLEET_TEST_FIRST_SEED=", seed));
    Play(seed).Run();
  }
}

}  // namespace
}  // namespace imgfleet::store
