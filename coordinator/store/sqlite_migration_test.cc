// Files as earlier releases left them, in the middle of their work: testdata/schema_N.sql is the dump of one whose tables
// were made by the migrations up to schema N. What they hold:
//   1-ended      3 items, 1 succeeded                    3-reading    a list in a file, 5 items so far
//   2-running    16 items in 4 shards: one done, one     4-upload     a list that was being uploaded
//                leased to "w" with 1 outcome, one put   5-cancelled
//                off, one ready
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_schema.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

using core::CommitCode;
using core::JobState;

// Every table's columns and every index.
std::set<std::string> Shape(Connection& connection) {
  std::set<std::string> shape;
  Statement statement(
      connection,
      "SELECT t.name || '.' || c.name || ' ' || c.type || c.\"notnull\" || c.pk FROM sqlite_schema t, "
      "pragma_table_info(t.name) c WHERE t.type = 'table' "
      "UNION SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL");
  Rows rows = statement.Run();
  while (*rows.Next()) shape.insert(rows.Text(0));
  return shape;
}

class MigrationTest : public testing::TestWithParam<int> {
 protected:
  MigrationTest() {
    std::ostringstream sql;
    sql << std::ifstream(absl::StrCat("coordinator/store/testdata/schema_", GetParam(), ".sql")).rdbuf();
    EXPECT_TRUE(Raw("old.db")->Exec(sql.str()).ok());
    EXPECT_EQ(*Raw("old.db")->QueryInt("PRAGMA user_version"), GetParam());
  }

  std::unique_ptr<Connection> Raw(const std::string& name) {
    return *Connection::Open(absl::StrCat(folder_.path(), "/", name), /*create=*/true);
  }
  std::unique_ptr<Ledger> OpenLedger(const std::string& name) {
    auto store = OpenSqliteStore(absl::StrCat(folder_.path(), "/", name), clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    return std::make_unique<Ledger>(*std::move(store), clock_, Ledger::Options());
  }

  const TemporaryFolder folder_;
  FakeClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Schemas, MigrationTest, testing::Range(1, kSqliteSchema));

TEST_P(MigrationTest, LeavesWhatANewFileHas) {
  OpenLedger("old.db");
  OpenLedger("new.db");
  EXPECT_EQ(Shape(*Raw("old.db")), Shape(*Raw("new.db")));
  auto raw = Raw("old.db");
  EXPECT_EQ(*raw->QueryInt("PRAGMA user_version"), kSqliteSchema);
  for (const char* check : {"PRAGMA integrity_check", "PRAGMA quick_check"}) {
    Statement statement(*raw, check);
    Rows rows = statement.Run();
    ASSERT_TRUE(*rows.Next());
    EXPECT_EQ(rows.Text(0), "ok");
  }
}

TEST_P(MigrationTest, KeepsWhatWasStored) {
  const auto ledger = OpenLedger("old.db");
  const auto ended = ledger->GetJob("1-ended");
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->state, JobState::kCompleted);
  EXPECT_EQ(ended->spec, "spec of 1-ended");
  EXPECT_EQ(ended->counts.succeeded, 1u);
  EXPECT_EQ(ended->counts.reasons, (core::ReasonCounts{{1, 1}, {6, 1}}));
  EXPECT_EQ(ended->priority, 0);
  EXPECT_FALSE(ended->paused);
  EXPECT_THAT(ledger->ReadByCommit("1-ended", 0, 1000)->at(0).offsets, testing::ElementsAre(0, 1, 2));
  EXPECT_EQ(ledger->GetJob("5-cancelled")->state, JobState::kCancelled);
  const auto upload = ledger->GetJob("4-upload");
  EXPECT_EQ(upload->state, JobState::kFailed);
  EXPECT_EQ(upload->items, 2u);
  EXPECT_EQ(ledger->JobsBeingRead()->at(0).id, "3-reading");
}

TEST_P(MigrationTest, WorkUnderWayIsFinished) {
  const auto ledger = OpenLedger("old.db");
  // Its worker lived on and reports what it had fetched.
  const core::LeaseRef lease{{"2-running", 1}, 1};
  EXPECT_TRUE(Renew(*ledger, "w", {lease})->empty());
  EXPECT_EQ(Commit(*ledger, MakeChunk(lease, {0, 1})).code, CommitCode::kCommitted);
  EXPECT_TRUE(Append(*ledger, "3-reading", MakeNewShard(5, 5)).ok());
  EXPECT_TRUE(Finish(*ledger, "3-reading").ok());
  for (int round = 0; round < 10; ++round) {
    clock_.Advance(absl::Minutes(2));
    ASSERT_TRUE(Tick(*ledger).ok());
    const auto leased = Acquire(*ledger, "other", 100);
    ASSERT_TRUE(leased.ok()) << leased.status();
    for (const core::LeasedShard& shard : *leased) {
      EXPECT_EQ(Commit(*ledger, MakeChunk(shard.lease, shard.offsets)).code, CommitCode::kCommitted);
    }
  }
  for (const auto& [id, items] : {std::pair("2-running", 16u), {"3-reading", 10u}}) {
    const auto job = ledger->GetJob(id);
    EXPECT_EQ(job->state, JobState::kCompleted) << id;
    EXPECT_EQ(job->counts.succeeded, items) << id;
    std::set<std::pair<uint32_t, uint32_t>> known;
    const auto chunks = ledger->ReadByCommit(id, 0, 100'000);
    ASSERT_TRUE(chunks.ok()) << chunks.status();
    for (const core::StoredChunk& chunk : *chunks) {
      for (const uint32_t offset : chunk.offsets) EXPECT_TRUE(known.insert({chunk.shard, offset}).second);
    }
    EXPECT_EQ(known.size(), items) << id;
  }
}

}  // namespace
}  // namespace imgfleet::store
