// What a shard costs the server from its list to its readers and its deletion, counted in the pages and index entries that it looks at: the
// same in a long job as in a short one, also where its statistics are still those of empty tables.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "coordinator/store/ledger.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

constexpr uint32_t kAtOnce = 50;  // Shards under way.
constexpr uint32_t kItems = 4;    // Of a shard.

// Waits for many answers of one kind.
template <typename T>
class Answers {
 public:
  explicit Answers(size_t wanted) : wanted_(wanted) {}
  std::function<void(T)> Each() {
    return [this](T answer) {
      all_.push_back(std::move(answer));
      if (all_.size() == wanted_) whole_.set_value();
    };
  }
  const std::vector<T>& Wait() {
    whole_.get_future().wait();
    return all_;
  }

 private:
  const size_t wanted_;
  std::vector<T> all_;  // The ledger's thread, until `whole_`.
  std::promise<void> whole_;
};

void Read(Ledger& ledger, uint32_t from, uint32_t end) {
  for (uint32_t shard = from; shard < end; ++shard) {
    const auto results = ledger.ReadShardAt("job", uint64_t{kItems} * shard);
    ASSERT_TRUE(results.ok() && results->has_value()) << results.status();
    ASSERT_EQ((*results)->shard, shard);
    ASSERT_EQ((*results)->chunks.size(), 1u);
  }
}

void RunJob(Ledger& ledger, uint32_t shards) {
  ASSERT_TRUE(Create(ledger, "job").ok());
  for (uint32_t done = 0; done < shards; done += kAtOnce) {
    Answers<absl::Status> appended(kAtOnce);
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      ledger.AppendShard("job", MakeNewShard(uint64_t{kItems} * (done + i), kItems), appended.Each());
    }
    for (const absl::Status& status : appended.Wait()) ASSERT_TRUE(status.ok()) << status;
    const auto leased = Acquire(ledger, "w", kItems * kAtOnce);
    ASSERT_TRUE(leased.ok() && leased->size() == kAtOnce) << leased.status();
    Answers<core::CommitAnswer> committed(kAtOnce);
    for (const core::LeasedShard& shard : *leased) {
      ledger.CommitChunk(MakeChunk(shard.lease, Offsets(0, kItems)), committed.Each());
    }
    for (const core::CommitAnswer& answer : committed.Wait())
      ASSERT_EQ(answer.code, core::CommitCode::kCommitted);
    Read(ledger, done, done + kAtOnce);
  }
}

// With connections of its own, which first see the tables as they are now.
void ReadAgain(const std::string& conninfo, uint32_t shards) {
  auto store = OpenPostgresStore(conninfo, Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  Ledger ledger(*std::move(store), Clock::System(), {});
  Read(ledger, 0, shards);
}

void Delete(const std::string& conninfo) {
  auto store = OpenPostgresStore(conninfo, Clock::System());
  ASSERT_TRUE(store.ok()) << store.status();
  for (bool gone = false; !gone;) {
    const absl::Status deleted = (*store)->Transact([&](Transaction& transaction) {
      const absl::StatusOr<bool> all = transaction.DeletePart("job", 64);
      gone = all.ok() && *all;
      return all.status();
    });
    ASSERT_TRUE(deleted.ok()) << deleted;
  }
}

struct Cost {
  double pages;    // Looked at, per shard.
  double entries;  // Of indexes, per shard.
};

// Tells once the server has counted what all connections did that are gone now.
Cost CostOf(uint32_t shards) {
  PostgresServer server({false, "autovacuum = off"});
  const std::string conninfo = server.NewSchema();
  const auto count = [&](const char* what) {
    double counted = 0;
    EXPECT_TRUE(absl::SimpleAtod(server.Exec(what), &counted));
    return counted;
  };
  constexpr char kPages[] =
      "SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) FROM pg_statio_user_tables";
  constexpr char kEntries[] = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes";
  double pages = 0, entries = 0;
  {
    auto store = OpenPostgresStore(conninfo, Clock::System());
    EXPECT_TRUE(store.ok()) << store.status();
    Ledger ledger(*std::move(store), Clock::System(), {});
    RunJob(ledger, shards);
  }
  ReadAgain(conninfo, shards);
  Delete(conninfo);
  while (server.Exec("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") != "1") {
  }
  pages = count(kPages);
  entries = count(kEntries);
  return {pages / shards, entries / shards};
}

TEST(PostgresCostTest, AShardOfALongJobCostsWhatOneOfAShortJobDoes) {
  const Cost few = CostOf(500), many = CostOf(4000);
  RecordProperty("report", absl::StrCat(few.pages, " pages, ", few.entries, " entries; ", many.pages,
                                        " pages, ", many.entries, " entries"));
  EXPECT_LT(many.pages, 1.5 * few.pages) << few.pages;
  EXPECT_LT(many.entries, 1.5 * few.entries) << few.entries;
}

}  // namespace
}  // namespace imgfleet::store
