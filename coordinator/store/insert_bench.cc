// Three ways to bring the chunks of one transaction into PostgreSQL, every commit synced: prepared inserts in a pipeline,
// which is what the store does, one insert of arrays, and COPY in binary. Rows are those of the table `chunks`; the columns
// are the rows of a transaction and the bytes of a payload.
//
//   bazel run //coordinator/store:insert_bench -- --benchmark_min_time=2
//
// `server_us` is the CPU of the connection's process on the server for each row.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_testing.h"

namespace imgfleet::store {
namespace {

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS chunks (job_id text COLLATE \"C\" NOT NULL, commit_seq bigint NOT NULL, "
    "shard bigint NOT "
    "NULL, offsets bytea NOT NULL, payload bytea NOT NULL, PRIMARY KEY (job_id, commit_seq));"
    "ALTER TABLE chunks ALTER payload SET STORAGE EXTERNAL;"
    "CREATE INDEX IF NOT EXISTS chunks_by_shard ON chunks (job_id, shard, commit_seq); TRUNCATE chunks";
constexpr char kJob[] = "0190c5a2-7e53-7c3e-9a57-0123456789ab";
constexpr absl::string_view kOffsets("\0\xff", 2);
constexpr Oid kBytea = 17, kInt8 = 20, kText = 25;

std::string RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string BigEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}
std::string Sized(absl::string_view bytes) {
  return BigEndian(bytes.size(), 4).append(bytes.data(), bytes.size());
}
std::string Sized(int64_t value) { return Sized(BigEndian(static_cast<uint64_t>(value), 8)); }

// utime and stime of a process, in microseconds.
double CpuMicros(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::stringstream all;
  all << file.rdbuf();
  std::istringstream rest(all.str().substr(all.str().rfind(')') + 2));
  const std::vector<std::string> words{std::istream_iterator<std::string>(rest), {}};
  return (std::stod(words.at(11)) + std::stod(words.at(12))) * 1e6 /
         static_cast<double>(sysconf(_SC_CLK_TCK));
}

PostgresServer& Server() {
  static PostgresServer server({true, "shared_buffers = 256MB\nmax_wal_size = 4GB"});
  return server;
}

class Raw {
 public:
  Raw() : connection_(PQconnectdb(Server().Conninfo().c_str())) {
    Expect(PQexec(connection_, kTable), PGRES_COMMAND_OK);
  }
  ~Raw() { PQfinish(connection_); }
  PGconn* get() const { return connection_; }
  void Exec(const char* sql, ExecStatusType kind = PGRES_COMMAND_OK) {
    Expect(PQexec(connection_, sql), kind);
  }
  void Expect(PGresult* result, ExecStatusType kind) {
    if (PQresultStatus(result) != kind) log::Error("%s", PQerrorMessage(connection_));
    IMGFLEET_CHECK(PQresultStatus(result) == kind);
    PQclear(result);
  }

 private:
  PGconn* const connection_;
};

// Runs `insert(first, rows)` a transaction at a time.
void Measure(benchmark::State& state, int backend, const std::function<void(int64_t, int64_t)>& insert) {
  const int64_t rows = state.range(0);
  int64_t next = 0;
  const double before = CpuMicros(backend);
  for (auto _ : state) insert(std::exchange(next, next + rows), rows);
  state.SetItemsProcessed(next);
  state.counters["server_us"] = (CpuMicros(backend) - before) / static_cast<double>(next);
}

void BM_Pipeline(benchmark::State& state) {
  Raw{};  // The table.
  auto connection = pg::Connection::Open(Server().Conninfo());
  IMGFLEET_CHECK(connection.ok());
  pg::Statement begin(**connection, "BEGIN"), commit(**connection, "COMMIT");
  pg::Statement insert(
      **connection,
      "INSERT INTO chunks (job_id, commit_seq, shard, offsets, payload) VALUES ($1,$2,$3,$4,$5)");
  const std::string payload = RandomBytes(static_cast<size_t>(state.range(1)));
  Measure(state, (*connection)->backend(), [&](int64_t first, int64_t rows) {
    IMGFLEET_CHECK(begin.Queue().ok());
    for (int64_t i = first; i < first + rows; ++i) {
      IMGFLEET_CHECK(insert.Queue(kJob, i, i / 4, pg::Bytes{kOffsets}, pg::Bytes{payload}).ok());
    }
    IMGFLEET_CHECK(commit.Run().ok());
  });
}

void BM_Arrays(benchmark::State& state) {
  Raw raw;
  const Oid types[] = {kText, 1016, 1016, 1001, 1001};
  raw.Expect(PQprepare(raw.get(), "insert",
                       "INSERT INTO chunks (job_id, commit_seq, shard, offsets, payload) SELECT $1, u.* FROM "
                       "unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[]) AS u",
                       5, types),
             PGRES_COMMAND_OK);
  const std::string payload = RandomBytes(static_cast<size_t>(state.range(1)));
  Measure(state, PQbackendPID(raw.get()), [&](int64_t first, int64_t rows) {
    const auto array = [&](Oid type, const std::function<std::string(int64_t)>& element) {
      std::string bytes = BigEndian(1, 4) + BigEndian(0, 4) + BigEndian(type, 4) +
                          BigEndian(static_cast<uint64_t>(rows), 4) + BigEndian(1, 4);
      for (int64_t i = first; i < first + rows; ++i) bytes += element(i);
      return bytes;
    };
    const std::string seqs = array(kInt8, [](int64_t i) { return Sized(i); }),
                      shards = array(kInt8, [](int64_t i) { return Sized(i / 4); }),
                      offsets = array(kBytea, [](int64_t) { return Sized(kOffsets); }),
                      payloads = array(kBytea, [&](int64_t) { return Sized(payload); });
    const char* const values[] = {kJob, seqs.data(), shards.data(), offsets.data(), payloads.data()};
    const int sizes[] = {static_cast<int>(sizeof kJob - 1), static_cast<int>(seqs.size()),
                         static_cast<int>(shards.size()), static_cast<int>(offsets.size()),
                         static_cast<int>(payloads.size())};
    const int formats[] = {1, 1, 1, 1, 1};
    raw.Exec("BEGIN");
    raw.Expect(PQexecPrepared(raw.get(), "insert", 5, values, sizes, formats, 1), PGRES_COMMAND_OK);
    raw.Exec("COMMIT");
  });
}

void BM_Copy(benchmark::State& state) {
  Raw raw;
  const std::string payload = RandomBytes(static_cast<size_t>(state.range(1)));
  Measure(state, PQbackendPID(raw.get()), [&](int64_t first, int64_t rows) {
    raw.Exec("BEGIN");
    raw.Exec("COPY chunks (job_id, commit_seq, shard, offsets, payload) FROM STDIN BINARY", PGRES_COPY_IN);
    std::string bytes = std::string("PGCOPY\n\377\r\n\0", 11) + BigEndian(0, 4) + BigEndian(0, 4);
    for (int64_t i = first; i < first + rows; ++i) {
      bytes += BigEndian(5, 2) + Sized(absl::string_view(kJob)) + Sized(i) + Sized(i / 4) + Sized(kOffsets) +
               Sized(payload);
    }
    bytes += BigEndian(0xffff, 2);
    IMGFLEET_CHECK(PQputCopyData(raw.get(), bytes.data(), static_cast<int>(bytes.size())) == 1);
    IMGFLEET_CHECK(PQputCopyEnd(raw.get(), nullptr) == 1);
    raw.Expect(PQgetResult(raw.get()), PGRES_COMMAND_OK);
    IMGFLEET_CHECK(PQgetResult(raw.get()) == nullptr);
    raw.Exec("COMMIT");
  });
}

void Sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t rows : {4, 32, 128}) {
    for (const int64_t bytes : {256, 16'000}) bench->Args({rows, bytes});
  }
  bench->ArgNames({"rows", "bytes"})->UseRealTime();
}
BENCHMARK(BM_Pipeline)->Apply(Sizes);
BENCHMARK(BM_Arrays)->Apply(Sizes);
BENCHMARK(BM_Copy)->Apply(Sizes);

}  // namespace
}  // namespace imgfleet::store
