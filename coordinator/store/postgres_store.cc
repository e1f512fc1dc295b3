#include "coordinator/store/postgres_store.h"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/store/postgres_connector.h"
#include "coordinator/store/postgres_notices.h"
#include "coordinator/store/postgres_reader.h"
#include "coordinator/store/postgres_schema.h"
#include "coordinator/store/postgres_transaction.h"

namespace imgfleet::store {
namespace pg {
namespace {

// For a server to come back, so that it can say what became of a commit.
constexpr absl::Duration kSettlePatience = absl::Seconds(30);
constexpr absl::Duration kSettlePause = absl::Milliseconds(50);

struct Writer {
  Writer(std::unique_ptr<Connection> to, const Clock* lease_clock)
      : connection(std::move(to)), transaction(*connection, lease_clock) {}

  const std::unique_ptr<Connection> connection;
  PostgresTransaction transaction;
};

class PostgresStore final : public Store {
 public:
  PostgresStore(const std::string& conninfo, const Clock& clock, const Clock* lease_clock)
      : clock_(clock), lease_clock_(lease_clock), connector_(conninfo, clock), readers_(connector_) {}

  absl::Status Open() {
    RETURN_IF_ERROR(Connect());
    return PrepareSchema(*writer_->connection);
  }

  absl::Status Transact(const Declared& declared,
                        absl::FunctionRef<absl::Status(Transaction&)> body) override {
    RETURN_IF_ERROR(Begin(declared));
    absl::Status status = body(writer_->transaction);
    std::string xid;
    if (status.ok()) status = writer_->transaction.Prepare(xid);
    if (!status.ok()) return GiveUp(status);
    status = writer_->transaction.Commit();
    if (status.ok()) return status;
    if (!writer_->connection->lost()) return GiveUp(status);
    return xid.empty() ? absl::OkStatus() : Settle(xid, status);
  }

  absl::Status Reached() const override { return connector_.last(); }
  bool Exclusive() const override { return false; }
  void Hear(std::function<void(News)> hear) override {
    notices_ = std::make_unique<PostgresNotices>(connector_, clock_, std::move(hear));
  }
  void Deafen() override { notices_ = nullptr; }
  void Announce(const News& news) override {
    if (notices_ != nullptr) notices_->Announce(news);
  }

  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) override {
    return readers_.With<std::optional<core::Job>>([&](PostgresReader& reader) { return reader.GetJob(id); });
  }
  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  size_t limit) override {
    return readers_.With<std::vector<core::Job>>(
        [&](PostgresReader& reader) { return reader.ListJobs(owner, before, limit); });
  }
  absl::StatusOr<std::vector<core::Job>> JobsBeingRead() override {
    return readers_.With<std::vector<core::Job>>(
        [](PostgresReader& reader) { return reader.JobsBeingRead(); });
  }
  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes) override {
    return readers_.With<std::vector<core::StoredChunk>>(
        [&](PostgresReader& reader) { return reader.ReadByCommit(job_id, after, max_bytes); });
  }
  absl::StatusOr<core::Census> TakeCensus() override {
    return readers_.With<core::Census>([](PostgresReader& reader) { return reader.TakeCensus(); });
  }
  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                uint64_t index) override {
    return readers_.With<std::optional<core::ShardResults>>(
        [&](PostgresReader& reader) { return reader.ReadShardAt(job_id, index); });
  }
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override {
    return readers_.With<std::optional<core::Schedule>>(
        [&](PostgresReader& reader) { return reader.GetSchedule(id); });
  }
  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            size_t limit) override {
    return readers_.With<std::vector<core::Schedule>>(
        [&](PostgresReader& reader) { return reader.ListSchedules(owner, before, limit); });
  }

 private:
  absl::Status Connect() {
    if (writer_ != nullptr && !writer_->connection->lost()) return absl::OkStatus();
    writer_ = nullptr;
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, connector_.Connect());
    writer_ = std::make_unique<Writer>(std::move(connection), lease_clock_);
    return absl::OkStatus();
  }

  // A connection that was cut while it lay idle is replaced.
  absl::Status Begin(const Declared& declared) {
    const bool kept = writer_ != nullptr;
    RETURN_IF_ERROR(Connect());
    absl::Status status = writer_->transaction.Begin(declared);
    if (!status.ok() && writer_->connection->lost() && kept) {
      RETURN_IF_ERROR(Connect());
      status = writer_->transaction.Begin(declared);
    }
    return status.ok() ? status : GiveUp(status);
  }

  // Nothing was committed.
  absl::Status GiveUp(const absl::Status& status) {
    if (!writer_->connection->lost()) {
      (void)writer_->transaction.Rollback();
      return status;
    }
    return absl::AbortedError(status.message());
  }

  absl::Status Settle(const std::string& xid, const absl::Status& lost) {
    const int backend = writer_->connection->backend();
    const absl::Time end = clock_.Boot() + kSettlePatience;
    for (;; absl::SleepFor(kSettlePause)) {
      const absl::StatusOr<std::string> fate = FateOf(xid, backend);
      if (fate.ok() && *fate == "committed") return absl::OkStatus();
      if (fate.ok() && *fate == "aborted") return absl::AbortedError(lost.message());
      if (clock_.Boot() < end) continue;
      log::Error("the server stays away: a batch that it was told to commit may or may not be stored");
      return absl::UnavailableError(absl::StrCat(
          lost.message(), "; whether the change was stored is not known: look before asking again"));
    }
  }

  // "committed", "aborted" or "in progress". A process that still works for the connection that is lost is ended.
  absl::StatusOr<std::string> FateOf(const std::string& xid, int backend) {
    RETURN_IF_ERROR(Connect());
    Connection& connection = *writer_->connection;
    absl::StatusOr<std::string> fate =
        connection.QueryText(absl::StrCat("SELECT coalesce(pg_xact_status('", xid, "'::xid8), 'aborted')"));
    // One that this server has never come to.
    if (fate.status().code() == absl::StatusCode::kInternal) return std::string("aborted");
    if (fate.ok() && *fate == "in progress") {
      (void)connection.Exec(
          absl::StrCat("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ", backend,
                       " AND backend_xid = '", xid, "'::xid8::xid"));
    }
    return fate;
  }

  const Clock& clock_;
  const Clock* const lease_clock_;
  Connector connector_;
  PostgresReaders readers_;
  // Of the one that transacts.
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<PostgresNotices> notices_;
};

}  // namespace
}  // namespace pg

absl::StatusOr<std::unique_ptr<Store>> OpenPostgresStore(const std::string& conninfo, const Clock& clock,
                                                         const Clock* lease_clock) {
  auto store = std::make_unique<pg::PostgresStore>(conninfo, clock, lease_clock);
  if (const absl::Status opened = store->Open(); !opened.ok()) {
    return Annotate(opened, absl::StrCat("store ", pg::Shown(conninfo)));
  }
  return store;
}

}  // namespace imgfleet::store
