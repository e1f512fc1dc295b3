// Items per second through append, lease, commit and reading back, with workers that answer at once: shards of 1,000 items
// of 60 bytes, chunks of 256 outcomes of 80 bytes (both random, as if compressed), several workers at a time.
//
//   bazel run //coordinator/store:ledger_bench
//
// SQLite writes below TMPDIR, PostgreSQL (a server of this program's own, on a unix socket) below /tmp, every commit synced.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/store/ledger_testing.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

constexpr uint32_t kShardItems = 1000;
constexpr uint32_t kChunkItems = 256;
constexpr uint32_t kShards = 100;
constexpr int kWorkers = 4;
constexpr uint64_t kItems = uint64_t{kShards} * kShardItems;

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Drives one job from its first shard to its last outcome; the calls come from the ledger's own callbacks.
class Run {
 public:
  Run(Ledger& ledger, std::string id) : ledger_(ledger), id_(std::move(id)) {}

  void Go() {
    IMGFLEET_CHECK(Create(ledger_, id_).ok());
    for (uint32_t i = 0; i < kShards; ++i) {
      ledger_.AppendShard(id_, {uint64_t{i} * kShardItems, kShardItems, items_, {}},
                          [](absl::Status status) { IMGFLEET_CHECK(status.ok()); });
    }
    ledger_.FinishReading(id_, absl::OkStatus(), [this](auto) {
      for (int i = 0; i < kWorkers; ++i) Work(absl::StrCat("w", i));
    });
    done_.get_future().wait();
    ReadBack();
  }

 private:
  void Work(const std::string& worker) {
    ledger_.Acquire(worker, 2 * kShardItems, 1 << 20, [this, worker](auto leased) {
      for (const core::LeasedShard& shard : *leased) {
        for (uint32_t from = 0; from < kShardItems; from += kChunkItems) {
          const uint32_t end = std::min(from + kChunkItems, kShardItems);
          core::Chunk chunk = MakeChunk(shard.lease, Offsets(from, end));
          chunk.payload = outcomes_.substr(0, (end - from) * 80);
          const bool last = &shard == &leased->back() && end == kShardItems;
          ledger_.CommitChunk(std::move(chunk), [this, worker, last, count = end - from](auto answer) {
            IMGFLEET_CHECK(answer.code == core::CommitCode::kCommitted);
            outcomes_so_far_ += count;
            if (outcomes_so_far_ == kItems) return done_.set_value();
            if (last) Work(worker);
          });
        }
      }
    });
  }

  void ReadBack() {
    uint64_t seq = 0, outcomes = 0;
    for (;;) {
      const auto chunks = ledger_.ReadByCommit(id_, seq, 1 << 20);
      IMGFLEET_CHECK(chunks.ok());
      if (chunks->empty()) break;
      for (const core::StoredChunk& chunk : *chunks) outcomes += chunk.offsets.size();
      seq = chunks->back().commit_seq;
    }
    IMGFLEET_CHECK(outcomes == kItems);
  }

  Ledger& ledger_;
  const std::string id_;
  const std::string items_ = RandomBytes(60 * kShardItems);
  const std::string outcomes_ = RandomBytes(80 * kChunkItems);
  uint64_t outcomes_so_far_ = 0;  // The ledger's thread.
  std::promise<void> done_;
};

// As users have it: what is committed is synced.
class SyncedPostgres final : public StoreUnderTest {
 public:
  bool durable() const override { return true; }
  std::unique_ptr<Store> Open(const Clock& clock) override {
    static PostgresServer server({true, "shared_buffers = 256MB\nmax_wal_size = 4GB"});
    auto store = OpenPostgresStore(server.NewSchema(), clock);
    IMGFLEET_CHECK(store.ok());
    return *std::move(store);
  }
};

StoreKind KindOf(int64_t number) {
  if (number == 2) return {"Postgres", [] { return std::make_unique<SyncedPostgres>(); }};
  return StoreKinds()[static_cast<size_t>(number)];
}

void BM_AppendLeaseCommitRead(benchmark::State& state) {
  const StoreKind kind = KindOf(state.range(0));
  state.SetLabel(kind.name);
  const std::unique_ptr<StoreUnderTest> stores = kind.make();
  Ledger ledger(stores->Open(Clock::System()), Clock::System(), {});
  int job = 0;
  for (auto _ : state) Run(ledger, absl::StrCat("job ", job++)).Go();
  state.SetItemsProcessed(state.iterations() * kItems);
}
BENCHMARK(BM_AppendLeaseCommitRead)
    ->DenseRange(0, 2)
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

// A lone verb: what a small request waits for.
void BM_LoneCommit(benchmark::State& state) {
  const StoreKind kind = KindOf(state.range(0));
  state.SetLabel(kind.name);
  const std::unique_ptr<StoreUnderTest> stores = kind.make();
  Ledger ledger(stores->Open(Clock::System()), Clock::System(), {});
  IMGFLEET_CHECK(Create(ledger, "job").ok());
  uint64_t index = 0;
  for (auto _ : state) IMGFLEET_CHECK(Append(ledger, "job", MakeNewShard(index++, 1)).ok());
}
BENCHMARK(BM_LoneCommit)->DenseRange(0, 2)->UseRealTime();

}  // namespace
}  // namespace imgfleet::store
