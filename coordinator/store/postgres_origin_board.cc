#include "coordinator/store/postgres_origin_board.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/log.h"
#include "common/status.h"
#include "coordinator/store/postgres.h"
#include "coordinator/store/postgres_connector.h"

namespace imgfleet::store {
namespace pg {
namespace {

// A claim ends after some seconds: it is of no use to wait for longer than for a part of it.
constexpr char kSettings[] =
    "SET lock_timeout = '2s'; SET statement_timeout = '3s'; SET idle_in_transaction_session_timeout = '1s'";

#define IMGFLEET_PG_BOARD_COLUMNS "origin, coordinator, value, learned, until, number"

class PostgresOriginBoard final : public OriginBoard {
 public:
  PostgresOriginBoard(const std::string& conninfo, const Clock& clock);
  PostgresOriginBoard(const PostgresOriginBoard&) = delete;
  PostgresOriginBoard& operator=(const PostgresOriginBoard&) = delete;
  ~PostgresOriginBoard() override;

  absl::Status Exchange(const core::OriginQuery& query, Decide decide) override;
  bool Wait(absl::Duration limit) override;
  void Interrupt() override;

 private:
  struct Line;

  absl::Status Connect();
  absl::Status Work(const core::OriginQuery& query, Decide decide);
  // Another coordinator has told something.
  bool Told();

  Connector connector_;
  const int wake_;  // An eventfd.
  std::unique_ptr<Line> line_;
};

}  // namespace

// One connection with its statements.
struct PostgresOriginBoard::Line {
  explicit Line(std::unique_ptr<Connection> to) : connection(std::move(to)) {}

  const std::unique_ptr<Connection> connection;
  Statement begin{*connection, "BEGIN"};
  // `until` of the counting row is the board's time, `value` how far that is ahead of the server's clock: by as much as the
  // clock was ever set back.
#define IMGFLEET_PG_MICROS "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
  Statement count{*connection,
                  "UPDATE origin_board SET number = number + 1, "
                  "value = greatest(value::bigint, until - " IMGFLEET_PG_MICROS
                  ")::text, until = greatest(until, value::bigint + " IMGFLEET_PG_MICROS
                  ") WHERE origin = '' AND coordinator = '' RETURNING number, until",
                  /*must_change=*/1};
  Statement read{*connection, "SELECT " IMGFLEET_PG_BOARD_COLUMNS
                              " FROM origin_board WHERE number > $1 AND (origin <> '' OR coordinator <> '') "
                              "UNION ALL SELECT " IMGFLEET_PG_BOARD_COLUMNS
                              " FROM origin_board WHERE origin = ANY ($2) AND number <= $1"};
  Statement write{*connection,
                  "INSERT INTO origin_board (" IMGFLEET_PG_BOARD_COLUMNS
                  ") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (origin, coordinator) DO UPDATE SET "
                  "value = excluded.value, learned = excluded.learned, until = excluded.until, "
                  "number = excluded.number"};
  Statement sweep{*connection,
                  "DELETE FROM origin_board WHERE until < $1 AND (origin <> '' OR coordinator <> '')"};
  Statement tell{*connection, "SELECT pg_notify('imgfleet origins ' || current_schema(), '')"};
  Statement commit{*connection, "COMMIT"};
  Statement rollback{*connection, "ROLLBACK"};
};

PostgresOriginBoard::PostgresOriginBoard(const std::string& conninfo, const Clock& clock)
    : connector_(conninfo, clock), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  IMGFLEET_CHECK(wake_ >= 0);
}

PostgresOriginBoard::~PostgresOriginBoard() {
  line_.reset();
  close(wake_);
}

absl::Status PostgresOriginBoard::Connect() {
  if (line_ != nullptr && !line_->connection->lost()) return absl::OkStatus();
  line_ = nullptr;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, connector_.Connect());
  RETURN_IF_ERROR(connection->Exec(kSettings));
  RETURN_IF_ERROR(connection->Exec(
      "DO $$ BEGIN EXECUTE format('LISTEN %I', 'imgfleet origins ' || current_schema()); END $$"));
  line_ = std::make_unique<Line>(std::move(connection));
  return absl::OkStatus();
}

absl::Status PostgresOriginBoard::Exchange(const core::OriginQuery& query, Decide decide) {
  RETURN_IF_ERROR(Connect());
  const absl::Status status = Work(query, decide);
  if (!status.ok() && !line_->connection->lost()) (void)line_->rollback.Run();
  return status;
}

absl::Status PostgresOriginBoard::Work(const core::OriginQuery& query, Decide decide) {
  RETURN_IF_ERROR(line_->begin.Queue());
  RETURN_IF_ERROR(line_->count.Want());
  RETURN_IF_ERROR(line_->read.Want(query.after, query.origins));
  ASSIGN_OR_RETURN(std::vector<Rows> results, line_->connection->Collect());
  core::OriginNews news;
  if (results.size() != 2 || !results[0].Next()) return absl::DataLossError("origin_board does not count");
  news.number = results[0].Int(0);
  news.now = absl::FromUnixMicros(results[0].Int(1));
  for (Rows& row = results[1]; row.Next();) {
    news.rows.push_back({row.Text(0), row.Text(1), row.Text(2), row.Text(3), absl::FromUnixMicros(row.Int(4)),
                         static_cast<uint64_t>(row.Int(5))});
  }
  const core::OriginWrites writes = decide(news);
  for (const core::OriginRow& row : writes.rows) {
    RETURN_IF_ERROR(line_->write.Queue(row.origin, row.coordinator, row.value, Bytes{row.learned},
                                       absl::ToUnixMicros(row.until), news.number));
  }
  if (writes.sweep) {
    RETURN_IF_ERROR(line_->sweep.Queue(absl::ToUnixMicros(news.now - core::OriginHomes::kKept)));
  }
  if (writes.tell) RETURN_IF_ERROR(line_->tell.Queue());
  return line_->commit.Run().status();
}

bool PostgresOriginBoard::Told() {
  if (line_ == nullptr || line_->connection->lost()) return false;
  const auto notices = line_->connection->TakeNotices();
  return notices.ok() && std::any_of(notices->begin(), notices->end(), [&](const Connection::Notice& notice) {
           return notice.sender != line_->connection->backend();
         });
}

bool PostgresOriginBoard::Wait(absl::Duration limit) {
  // What came with the last exchange is read already.
  if (Told()) return true;
  const bool connected = line_ != nullptr && !line_->connection->lost();
  pollfd ready[2] = {{wake_, POLLIN, 0}, {connected ? line_->connection->socket() : -1, POLLIN, 0}};
  poll(ready, 2,
       static_cast<int>(std::clamp<int64_t>(
           absl::ToInt64Milliseconds(absl::Ceil(limit, absl::Milliseconds(1))), 0, 60'000)));
  eventfd_t ignored;
  eventfd_read(wake_, &ignored);
  return Told();
}

void PostgresOriginBoard::Interrupt() { eventfd_write(wake_, 1); }

}  // namespace pg

std::unique_ptr<OriginBoard> OpenPostgresOriginBoard(const std::string& conninfo, const Clock& clock) {
  return std::make_unique<pg::PostgresOriginBoard>(conninfo, clock);
}

}  // namespace imgfleet::store
