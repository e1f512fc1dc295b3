#include "coordinator/store/store_testing.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "coordinator/store/memory_store.h"
#include "coordinator/store/postgres_store.h"
#include "coordinator/store/postgres_testing.h"
#include "coordinator/store/sqlite_store.h"

namespace imgfleet::store {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  bool durable() const override { return false; }
  std::unique_ptr<Store> Open(const Clock& clock) override { return NewMemoryStore(clock); }
};

class SqliteUnderTest final : public StoreUnderTest {
 public:
  bool durable() const override { return true; }
  std::unique_ptr<Store> Open(const Clock& clock) override {
    auto store = OpenSqliteStore(absl::StrCat(folder_.path(), "/store.db"), clock);
    if (!store.ok()) log::Error("%s", store.status().ToString());
    IMGFLEET_CHECK(store.ok());
    return *std::move(store);
  }

 private:
  const TemporaryFolder folder_;
};

// Leases by the test's clock, all else by the system's.
class PostgresUnderTest final : public StoreUnderTest {
 public:
  bool durable() const override { return true; }
  bool shared() const override { return true; }
  std::unique_ptr<Store> Open(const Clock& clock) override {
    auto store = OpenPostgresStore(conninfo_, Clock::System(), &clock);
    if (!store.ok()) log::Error("%s", store.status().ToString());
    IMGFLEET_CHECK(store.ok());
    return *std::move(store);
  }

 private:
  const std::string conninfo_ = PostgresServer::Shared().NewSchema();
};

}  // namespace

TemporaryFolder::TemporaryFolder()
    : TemporaryFolder((std::filesystem::temp_directory_path() / "store.XXXXXX").string()) {}

TemporaryFolder::TemporaryFolder(std::string pattern) : path_(std::move(pattern)) {
  IMGFLEET_CHECK(mkdtemp(path_.data()) != nullptr);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<StoreKind> StoreKinds() {
  return {{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }},
          {"Sqlite", [] { return std::make_unique<SqliteUnderTest>(); }},
          {"Postgres", [] { return std::make_unique<PostgresUnderTest>(); }}};
}

}  // namespace imgfleet::store
