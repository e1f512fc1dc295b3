// What a power cut leaves of the files: the WAL ends anywhere, or in rubbish; pages of a checkpoint came to the disk or
// did not. Whatever was acknowledged by the last sync that the disk took is there, cut at a transaction's border.
//
// A sync ends where the WAL ended when something was acknowledged; the log's header and frames are SQLite's
// (https://sqlite.org/fileformat2.html#walformat), its end stands in the wal-index (https://sqlite.org/walformat.html).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

constexpr char kJob[] = "job";
constexpr uint32_t kShardItems = 40;
constexpr uint32_t kChunkItems = 10;
constexpr size_t kWalHeader = 32, kFrameHeader = 24, kPage = 4096;
constexpr size_t kFrame = kFrameHeader + kPage;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, absl::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// What had been acknowledged when the WAL's valid part ended there.
struct Acknowledged {
  size_t wal_end = 0;
  uint64_t commit_seq = 0;
  uint64_t items = 0;
};

class PowerCutTest : public testing::Test {
 protected:
  PowerCutTest() {
    Open();
    EXPECT_TRUE(Create(*ledger_, kJob).ok());
    Note();
  }

  void Open() {
    auto store = OpenSqliteStore(path_, Clock::System());
    ASSERT_TRUE(store.ok()) << store.status();
    ledger_ = std::make_unique<Ledger>(*std::move(store), Clock::System(), Ledger::Options());
  }

  size_t WalEnd() const {
    const std::string index = ReadFile(path_ + "-shm");
    uint32_t frames = 0;
    if (index.size() >= 20) std::memcpy(&frames, index.data() + 16, sizeof frames);
    return kWalHeader + frames * kFrame;
  }

  void Note() { acknowledged_.push_back({WalEnd(), commit_seq_, items_}); }

  // Appends a shard and commits it in chunks, one transaction each.
  void Work() {
    ASSERT_TRUE(Append(*ledger_, kJob, MakeNewShard(items_, kShardItems)).ok());
    items_ += kShardItems;
    Note();
    const auto leased = Acquire(*ledger_, "w", kShardItems);
    ASSERT_EQ(leased->size(), 1u);
    for (uint32_t from = 0; from < kShardItems; from += kChunkItems) {
      core::Chunk chunk = MakeChunk(leased->at(0).lease, Offsets(from, from + kChunkItems));
      chunk.payload = std::string(300 + from * 150, 'x');
      ASSERT_EQ(Commit(*ledger_, std::move(chunk)).code, core::CommitCode::kCommitted);
      ++commit_seq_;
      Note();
    }
  }

  std::unique_ptr<Connection> Raw(const std::string& path) const { return *Connection::Open(path, false); }

  // Opens what is left and looks at all of it; nothing of `floor` may be missing.
  void Judge(absl::string_view database, absl::string_view wal, const Acknowledged& floor) {
    const TemporaryFolder folder;
    const std::string path = folder.path() + "/store.db";
    WriteFile(path, database);
    WriteFile(path + "-wal", wal);
    auto store = OpenSqliteStore(path, Clock::System());
    ASSERT_TRUE(store.ok()) << store.status();
    auto ledger = std::make_unique<Ledger>(*std::move(store), Clock::System(), Ledger::Options());
    const auto job = ledger->GetJob(kJob);
    if (floor.wal_end == 0 && absl::IsNotFound(job.status())) return;
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_GE(job->last_commit_seq, floor.commit_seq);
    EXPECT_GE(job->items, floor.items);
    const auto chunks = ledger->ReadByCommit(kJob, 0, 1 << 30);
    ASSERT_TRUE(chunks.ok());
    EXPECT_EQ(chunks->size(), job->last_commit_seq);
    std::set<uint64_t> outcomes;
    for (size_t i = 0; i < chunks->size(); ++i) {
      EXPECT_EQ((*chunks)[i].commit_seq, i + 1);
      for (const uint32_t offset : (*chunks)[i].offsets) {
        EXPECT_TRUE(outcomes.insert((*chunks)[i].shard * uint64_t{kShardItems} + offset).second);
      }
    }
    EXPECT_EQ(job->counts.succeeded, outcomes.size());
    uint64_t items = 0;
    while (true) {
      const auto shard = ledger->ReadShardAt(kJob, items);
      ASSERT_TRUE(shard.ok()) << shard.status();
      if (!shard->has_value()) break;
      items += (*shard)->items;
    }
    EXPECT_EQ(job->items, items);
    ledger = nullptr;
    const auto raw = Raw(path);
    Statement check(*raw, "PRAGMA integrity_check");
    Rows rows = check.Run();
    ASSERT_TRUE(*rows.Next());
    EXPECT_EQ(rows.Text(0), "ok");
  }

  // What had been acknowledged by syncs that ended at `position` or before, since the WAL began anew.
  Acknowledged FloorAt(size_t position) const {
    Acknowledged floor = at_reset_;
    for (size_t i = reset_; i < acknowledged_.size(); ++i) {
      if (acknowledged_[i].wal_end <= position) floor = acknowledged_[i];
    }
    return floor;
  }

  // Cuts the WAL at each sync's end, right before and behind it, and at places in between; what follows the cut is
  // missing, zeros, or rubbish.
  void CutEverywhere() {
    const std::string database = ReadFile(path_), wal = ReadFile(path_ + "-wal");
    std::mt19937 random(7);
    std::set<size_t> cuts = {kWalHeader - 1, kWalHeader};
    for (size_t i = reset_; i < acknowledged_.size(); ++i) {
      const size_t end = acknowledged_[i].wal_end;
      cuts.insert({end - 1, end, end + 1, end - kFrame, end + random() % (2 * kFrame)});
    }
    int kind = 0;
    for (const size_t cut : cuts) {
      if (cut >= wal.size()) continue;
      SCOPED_TRACE(absl::StrCat("cut at byte ", cut, " of ", wal.size()));
      std::string left = wal.substr(0, cut);
      if (++kind % 3 == 1) left.resize(wal.size(), '\0');
      if (kind % 3 == 2) {
        while (left.size() < wal.size()) left.push_back(static_cast<char>(random()));
      }
      Judge(database, left, FloorAt(cut));
    }
  }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.path() + "/store.db";
  std::unique_ptr<Ledger> ledger_;
  std::vector<Acknowledged> acknowledged_;
  uint64_t commit_seq_ = 0, items_ = 0;
  size_t reset_ = 0;  // Of acknowledged_: those from here on lie in the WAL as it is now.
  Acknowledged at_reset_;
};

TEST_F(PowerCutTest, AWalThatEndsAnywhereLosesNothingThatWasSynced) {
  for (int i = 0; i < 6; ++i) Work();
  ASSERT_EQ(WalEnd(), std::filesystem::file_size(path_ + "-wal"));
  CutEverywhere();
}

// The log begins anew over old frames, which must not be taken for new ones.
TEST_F(PowerCutTest, AWalThatWasBegunAnewLosesNothingEither) {
  for (int i = 0; i < 6; ++i) Work();
  at_reset_ = acknowledged_.back();
  at_reset_.wal_end = kWalHeader;
  ASSERT_TRUE(Raw(path_)->Exec("PRAGMA wal_checkpoint(RESTART)").ok());
  const size_t length = std::filesystem::file_size(path_ + "-wal");
  reset_ = acknowledged_.size();
  for (int i = 0; i < 3; ++i) Work();
  ASSERT_EQ(std::filesystem::file_size(path_ + "-wal"), length) << "old frames lie behind the new ones";
  CutEverywhere();
}

// Some pages of a checkpoint came to the disk: the WAL still has them all.
TEST_F(PowerCutTest, ACheckpointMayBreakOffAnywhere) {
  for (int i = 0; i < 6; ++i) Work();
  const std::string before = ReadFile(path_), wal = ReadFile(path_ + "-wal").substr(0, WalEnd());
  ASSERT_TRUE(Raw(path_)->Exec("PRAGMA wal_checkpoint(PASSIVE)").ok());
  const std::string after = ReadFile(path_);
  ASSERT_NE(before, after);
  std::mt19937 random(8);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    std::string mixed = before;
    mixed.resize(round % 2 == 0 ? after.size() : before.size());
    for (size_t page = 0; page + kPage <= mixed.size(); page += kPage) {
      if (random() % 2 != 0) std::copy_n(after.begin() + page, kPage, mixed.begin() + page);
    }
    Judge(mixed, wal, acknowledged_.back());
  }
}

// Copies of the WAL taken while it is being written.
TEST_F(PowerCutTest, ACopyFromTheMiddleOfWritingHasWhatWasAcknowledgedBefore) {
  std::atomic<uint64_t> acknowledged = 0;
  std::atomic<bool> over = false;
  const std::string database = ReadFile(path_);
  std::vector<std::pair<uint64_t, std::string>> copies;
  std::thread copying([&] {
    for (uint64_t next = 1; !over; next = acknowledged + 1) {
      while (acknowledged < next && !over) std::this_thread::yield();
      const uint64_t had = acknowledged;
      copies.emplace_back(had, ReadFile(path_ + "-wal"));
    }
  });
  for (int i = 0; i < 4; ++i) {
    Work();
    acknowledged = commit_seq_;
  }
  over = true;
  copying.join();
  ASSERT_EQ(ReadFile(path_), database) << "a checkpoint came in between";
  for (const auto& [commit_seq, wal] : copies) Judge(database, wal, {1, commit_seq, 0});
}

}  // namespace
}  // namespace imgfleet::store
