// What only a store on disk can do: refuse, survive kills, and meet a full disk.
#include "coordinator/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/open_store.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_schema.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using testing::HasSubstr;

class SqliteStoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Store>> Open() { return OpenSqliteStore(path_, clock_); }
  std::unique_ptr<Ledger> OpenLedger() {
    auto store = Open();
    EXPECT_TRUE(store.ok()) << store.status();
    return std::make_unique<Ledger>(*std::move(store), clock_, Ledger::Options());
  }
  // Through a connection of its own, as the sqlite3 shell would.
  std::unique_ptr<Connection> Raw() { return *Connection::Open(path_, /*create=*/true); }

  const TemporaryFolder folder_;
  const std::string path_ = absl::StrCat(folder_.path(), "/store.db");
  FakeClock clock_;
};

TEST_F(SqliteStoreTest, NamesItselfAndItsSchemaInTheFile) {
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*Raw()->QueryInt("PRAGMA application_id"), 0x494D4746);
  EXPECT_EQ(*Raw()->QueryInt("PRAGMA user_version"), kSqliteSchema);
  ASSERT_TRUE(Open().ok()) << "a second time";
}

TEST_F(SqliteStoreTest, RefusesASecondCoordinator) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
  EXPECT_THAT(Open().status().message(),
              HasSubstr(absl::StrCat("is in use by another coordinator (process ", getpid(), ")")));
  const std::string alias = absl::StrCat(folder_.path(), "/alias.db");
  std::filesystem::create_symlink(path_, alias);
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenSqliteStore(alias, clock_).status())) << "by another name";
  *first = nullptr;
  EXPECT_TRUE(Open().ok()) << "the lock goes with its holder";
}

TEST_F(SqliteStoreTest, RefusesWhatIsNoneOfItsOwn) {
  ASSERT_TRUE(Raw()->Exec("CREATE TABLE something (a)").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
  EXPECT_THAT(Open().status().message(), HasSubstr("of some other program"));
}

TEST_F(SqliteStoreTest, RefusesANewerSchema) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Raw()->Exec(absl::StrCat("PRAGMA user_version = ", kSqliteSchema + 1)).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Open().status()));
  EXPECT_THAT(Open().status().message(), HasSubstr("newer release"));
}

TEST_F(SqliteStoreTest, RefusesWhatIsNoDatabase) {
  std::ofstream(path_) << std::string(5000, 'x');
  EXPECT_TRUE(absl::IsDataLoss(Open().status())) << Open().status();
  EXPECT_THAT(Open().status().message(), HasSubstr("no SQLite database"));
}

TEST_F(SqliteStoreTest, RefusesFoldersAndMissingOnes) {
  EXPECT_TRUE(
      absl::IsFailedPrecondition(OpenSqliteStore(absl::StrCat(folder_.path(), "/no/x.db"), clock_).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenSqliteStore(folder_.path(), clock_).status()));
}

TEST_F(SqliteStoreTest, RefusesWhatItCannotWrite) {
  if (geteuid() == 0) GTEST_SKIP() << "root writes everything";
  ASSERT_TRUE(Open().ok());
  chmod(path_.c_str(), 0444);
  EXPECT_TRUE(absl::IsPermissionDenied(Open().status())) << Open().status();
  std::filesystem::remove(absl::StrCat(path_, ".lock"));
  chmod(folder_.path().c_str(), 0555);
  EXPECT_TRUE(absl::IsPermissionDenied(Open().status())) << Open().status();
  chmod(folder_.path().c_str(), 0755);
}

TEST(OpenStore, KnowsTheNamesOfStores) {
  const TemporaryFolder folder;
  EXPECT_TRUE(OpenStore("memory:", Clock::System()).ok());
  EXPECT_TRUE(OpenStore(absl::StrCat("sqlite:", folder.path(), "/x.db"), Clock::System()).ok());
  for (const char* wrong : {"", "sqlite:", "memory:x", "mysql://host"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(OpenStore(wrong, Clock::System()).status())) << wrong;
  }
}

// No file may grow: what a full disk does to a writer.
class FullDisk {
 public:
  FullDisk() {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{1, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

TEST_F(SqliteStoreTest, FullDiskChangesNothingAndIsForgotten) {
  auto ledger = OpenLedger();
  ASSERT_TRUE(Create(*ledger, "job").ok());
  ASSERT_TRUE(Append(*ledger, "job", MakeNewShard(0, 4)).ok());
  const auto leased = Acquire(*ledger, "w", 1);
  ASSERT_EQ(leased->size(), 1u);
  const core::LeaseRef lease = leased->at(0).lease;
  {
    const FullDisk full;
    core::Chunk chunk = MakeChunk(lease, {0, 1});
    chunk.payload = std::string(1 << 20, 'x');
    const core::CommitAnswer answer = Commit(*ledger, chunk);
    EXPECT_EQ(answer.code, CommitCode::kRetry);
    EXPECT_THAT(answer.message, HasSubstr("store: sqlite"));
    EXPECT_FALSE(Append(*ledger, "job", MakeNewShard(4, 1)).ok());
    EXPECT_FALSE(Renew(*ledger, "w", {lease}).ok());
    EXPECT_EQ(ledger->GetJob("job")->last_commit_seq, 0u) << "readers go on";
  }
  EXPECT_EQ(Commit(*ledger, MakeChunk(lease, {0, 1})).code, CommitCode::kCommitted);
  EXPECT_TRUE(Append(*ledger, "job", MakeNewShard(4, 1)).ok());
  ledger = nullptr;
  ledger = OpenLedger();
  EXPECT_EQ(ledger->GetJob("job")->last_commit_seq, 1u);
  EXPECT_EQ(ledger->GetJob("job")->items, 5u);
}

// Only what cannot be stored is refused, not what it was batched with.
TEST_F(SqliteStoreTest, OneThatCannotBeStoredTakesNoneWithIt) {
  auto ledger = OpenLedger();
  ASSERT_TRUE(Create(*ledger, "job").ok());
  ASSERT_TRUE(Append(*ledger, "job", MakeNewShard(0, 4)).ok());
  const core::LeaseRef lease = Acquire(*ledger, "w", 1)->at(0).lease;
  ASSERT_TRUE(Raw()
                  ->Exec("CREATE TRIGGER refuse BEFORE INSERT ON chunks WHEN NEW.payload = x'626164' "
                         "BEGIN SELECT RAISE(ABORT, 'a fault'); END")
                  .ok());
  // One transaction for all three: they are asked from the ledger's own thread.
  std::promise<std::vector<CommitCode>> answered;
  std::vector<CommitCode> codes;
  ledger->Tick([&](absl::Status) {
    for (uint32_t offset = 0; offset < 3; ++offset) {
      core::Chunk chunk = MakeChunk(lease, {offset});
      if (offset == 1) chunk.payload = "bad";
      ledger->CommitChunk(std::move(chunk), [&](core::CommitAnswer answer) {
        codes.push_back(answer.code);
        if (codes.size() == 3) answered.set_value(codes);
      });
    }
  });
  EXPECT_THAT(answered.get_future().get(),
              testing::ElementsAre(CommitCode::kCommitted, CommitCode::kRetry, CommitCode::kCommitted));
  EXPECT_EQ(ledger->GetJob("job")->last_commit_seq, 2u);
}

// --- kill -9 ------------------------------------------------------------------------------------------------

// The process to be killed: works on one job after the other for ever, and tells each thing that was
// acknowledged, in a line of its own, once it was.
int BeKilled(const std::string& path) {
  auto store = OpenSqliteStore(path, Clock::System());
  if (!store.ok()) return 1;
  Ledger ledger(*std::move(store), Clock::System(), {});
  const auto tell = [](const std::string& line) {
    return write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  };
  for (int number = static_cast<int>(ledger.ListJobs("", "", 1'000'000)->size());; ++number) {
    const std::string id = absl::StrCat("job ", 100'000 + number);
    if (!Create(ledger, id, "file").ok()) return 2;
    tell(absl::StrCat(id, ",created\n"));
    for (uint64_t shard = 0; shard < 3; ++shard) {
      if (!Append(ledger, id, MakeNewShard(shard * 100, 100)).ok()) return 3;
    }
    if (!Finish(ledger, id).ok()) return 4;
    tell(absl::StrCat(id, ",finished\n"));
    // Several at a time, so that the kill falls into batches too.
    const auto leased = Acquire(ledger, "w", 300);
    std::atomic<int> open = 0;
    for (const core::LeasedShard& shard : *leased) {
      for (uint32_t from = 0; from < shard.offsets.size(); from += 10) {
        const uint32_t end = std::min<uint32_t>(from + 10, shard.offsets.size());
        core::Chunk chunk =
            MakeChunk(shard.lease, {shard.offsets.begin() + from, shard.offsets.begin() + end});
        chunk.payload = std::string(4000, 'x');
        ++open;
        const std::string line =
            absl::StrCat(shard.lease.shard.job_id, ",", shard.first_index + shard.offsets[from], "\n");
        ledger.CommitChunk(std::move(chunk), [&open, &tell, line](const core::CommitAnswer& answer) {
          if (answer.code == CommitCode::kCommitted) tell(line);
          --open;
          open.notify_all();
        });
      }
    }
    for (int left = open; left != 0; left = open) open.wait(left);
  }
}

// The lines that a child wrote until it was killed after `lines` of them.
std::vector<std::string> KillAfter(const std::string& path, size_t lines) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", "sqlite_store_test", "--be-killed", path.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::vector<std::string> told;
  std::string line;
  char byte;
  bool killed = false;
  while (read(ends[0], &byte, 1) == 1) {
    if (byte != '\n') {
      line.push_back(byte);
      continue;
    }
    told.push_back(std::exchange(line, ""));
    if (told.size() >= lines && !std::exchange(killed, true)) kill(child, SIGKILL);
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "exit code " << WEXITSTATUS(status);
  return told;
}

TEST_F(SqliteStoreTest, KilledProcessLosesNothingThatWasAcknowledged) {
  std::vector<std::string> told;
  for (size_t round = 0; round < 8; ++round) {
    const std::vector<std::string> more = KillAfter(path_, 7 + 23 * round);
    told.insert(told.end(), more.begin(), more.end());
    auto ledger = OpenLedger();
    for (const std::string& line : told) {
      const std::string id = line.substr(0, line.find(','));
      const std::string what = line.substr(line.find(',') + 1);
      const auto job = ledger->GetJob(id);
      ASSERT_TRUE(job.ok()) << line;
      if (what == "created") continue;
      if (what == "finished") {
        EXPECT_NE(job->state, core::JobState::kReading) << line;
        EXPECT_EQ(job->items, 300u) << line;
        continue;
      }
      const uint64_t index = std::stoull(what);
      const auto shard = ledger->ReadShardAt(id, index);
      ASSERT_TRUE(shard.ok() && shard->has_value()) << line;
      int outcomes = 0;
      for (const core::StoredChunk& chunk : (*shard)->chunks) {
        outcomes += std::count(chunk.offsets.begin(), chunk.offsets.end(), index - (*shard)->first_index);
      }
      EXPECT_EQ(outcomes, 1) << line;
    }
    ledger = nullptr;
    auto raw = Raw();
    Statement check(*raw, "PRAGMA integrity_check");
    Rows rows = check.Run();
    ASSERT_TRUE(*rows.Next());
    EXPECT_EQ(rows.Text(0), "ok");
    EXPECT_EQ(*raw->QueryInt("SELECT count(*) FROM jobs WHERE succeeded != 10 * last_commit_seq"), 0);
    EXPECT_EQ(*raw->QueryInt("SELECT count(*) FROM jobs WHERE last_commit_seq != "
                             "(SELECT count(*) FROM chunks WHERE job_id = jobs.id)"),
              0);
  }
}

}  // namespace
}  // namespace imgfleet::store

int main(int argc, char** argv) {
  if (argc == 3 && absl::string_view(argv[1]) == "--be-killed") return imgfleet::store::BeKilled(argv[2]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
