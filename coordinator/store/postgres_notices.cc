#include "coordinator/store/postgres_notices.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/core/types.h"

namespace imgfleet::store::pg {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);
// PostgreSQL takes 8,000 bytes.
constexpr size_t kMaxPayload = 7000;

void Merge(News& into, const News& more) {
  into.jobs.insert(into.jobs.end(), more.jobs.begin(), more.jobs.end());
  into.stopped.insert(into.stopped.end(), more.stopped.begin(), more.stopped.end());
  into.work |= more.work;
}

bool Empty(const News& news) { return news.jobs.empty() && news.stopped.empty() && !news.work; }

void Unique(std::vector<std::string>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

std::vector<std::string> ToPayloads(News news) {
  Unique(news.jobs);
  Unique(news.stopped);
  std::vector<std::string> lines, payloads(1);
  if (news.work) lines.push_back("+");
  for (const std::string& id : news.stopped) lines.push_back(absl::StrCat("-", id));
  for (const std::string& id : news.jobs) lines.push_back(id);
  for (const std::string& line : lines) {
    if (payloads.back().size() + line.size() > kMaxPayload) payloads.emplace_back();
    absl::StrAppend(&payloads.back(), line, "\n");
  }
  return payloads;
}

News FromPayload(const std::string& payload) {
  News news;
  for (const absl::string_view line : absl::StrSplit(payload, '\n', absl::SkipEmpty())) {
    if (line == "+") {
      news.work = true;
    } else if (line[0] == '-') {
      news.stopped.emplace_back(line.substr(1));
    } else {
      news.jobs.emplace_back(line);
    }
  }
  return news;
}

bool Void(int64_t state, bool paused) {
  return paused || state == static_cast<int64_t>(core::JobState::kFailed) ||
         state == static_cast<int64_t>(core::JobState::kCancelled);
}

}  // namespace

// One connection with its statements.
struct PostgresNotices::Line {
  explicit Line(std::unique_ptr<Connection> to) : connection(std::move(to)) {}

  const std::unique_ptr<Connection> connection;
  // The channel is that of the schema.
  Statement notify{*connection,
                   "SELECT pg_notify('imgfleet ' || current_schema(), p) FROM unnest($1::text[]) AS u(p)"};
  // Those that ended a while ago too, for a job may begin and end between two looks.
  Statement look{
      *connection,
      "SELECT id, state, paused, last_commit_seq, items, ready_shards > 0 FROM jobs WHERE state <= 2 "
      "UNION ALL SELECT id, state, paused, last_commit_seq, items, false FROM jobs WHERE state >= 3 AND "
      "NOT expired AND end_time > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 30000000"};
};

PostgresNotices::PostgresNotices(Connector& connector, const Clock& clock, std::function<void(News)> hear)
    : connector_(connector),
      clock_(clock),
      hear_(std::move(hear)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  IMGFLEET_CHECK(wake_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

PostgresNotices::~PostgresNotices() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
  close(wake_);
}

void PostgresNotices::Announce(const News& news) {
  if (Empty(news)) return;
  {
    absl::MutexLock lock(&mutex_);
    Merge(pending_, news);
  }
  eventfd_write(wake_, 1);
}

void PostgresNotices::Run() {
  bool failing = false;
  while (Wait()) {
    const absl::Status status = Work();
    if (!status.ok() && !std::exchange(failing, true)) {
      log::Warning("other coordinators are not heard: %s", std::string(status.message()));
    }
    if (status.ok() && std::exchange(failing, false)) log::Info("other coordinators are heard again");
    if (status.ok()) continue;
    line_ = nullptr;
    next_look_ = clock_.Boot() + kLookEvery;
  }
  // What was committed last is worth a word.
  if (line_ != nullptr) (void)Send();
}

bool PostgresNotices::Wait() {
  const absl::Duration rest = std::max(next_look_ - clock_.Boot(), absl::ZeroDuration());
  pollfd ready[2] = {{wake_, POLLIN, 0}, {line_ == nullptr ? -1 : line_->connection->socket(), POLLIN, 0}};
  poll(ready, 2,
       static_cast<int>(
           std::min<int64_t>(absl::ToInt64Milliseconds(absl::Ceil(rest, absl::Milliseconds(1))), 1000)));
  eventfd_t ignored;
  eventfd_read(wake_, &ignored);
  absl::MutexLock lock(&mutex_);
  return !stopping_;
}

absl::Status PostgresNotices::Work() {
  const bool look = clock_.Boot() >= next_look_;
  if (line_ == nullptr) {
    if (!look) return absl::OkStatus();
    RETURN_IF_ERROR(Connect());
  }
  RETURN_IF_ERROR(Send());
  RETURN_IF_ERROR(Receive());
  if (!look) return absl::OkStatus();
  RETURN_IF_ERROR(Look());
  next_look_ = clock_.Boot() + kLookEvery;
  return absl::OkStatus();
}

absl::Status PostgresNotices::Connect() {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, connector_.Connect());
  // A notice that a crash loses is made up for by the next look.
  RETURN_IF_ERROR(connection->Exec("SET synchronous_commit = off"));
  RETURN_IF_ERROR(
      connection->Exec("DO $$ BEGIN EXECUTE format('LISTEN %I', 'imgfleet ' || current_schema()); END $$"));
  line_ = std::make_unique<Line>(std::move(connection));
  return absl::OkStatus();
}

absl::Status PostgresNotices::Send() {
  News news;
  {
    absl::MutexLock lock(&mutex_);
    news = std::exchange(pending_, News());
  }
  if (Empty(news)) return absl::OkStatus();
  return line_->notify.Run(ToPayloads(std::move(news))).status();
}

absl::Status PostgresNotices::Receive() {
  ASSIGN_OR_RETURN(const std::vector<Connection::Notice> notices, line_->connection->TakeNotices());
  News news;
  for (const Connection::Notice& notice : notices) {
    if (notice.sender != line_->connection->backend()) Merge(news, FromPayload(notice.payload));
  }
  if (!Empty(news)) hear_(std::move(news));
  return absl::OkStatus();
}

absl::Status PostgresNotices::Look() {
  ASSIGN_OR_RETURN(Rows rows, line_->look.Run());
  News news;
  std::map<std::string, Stamp> stamps;
  while (rows.Next()) {
    const std::string id = rows.Text(0);
    const Stamp now{rows.Int(1), rows.Int(2) != 0, rows.Int(3), rows.Int(4)};
    stamps[id] = now;
    news.work |= rows.Int(5) != 0 && !now.paused;
    const auto before = stamps_.find(id);
    if (before != stamps_.end() && before->second == now) continue;
    news.jobs.push_back(id);
    if (Void(now.state, now.paused)) news.stopped.push_back(id);
  }
  stamps_ = std::move(stamps);
  if (!Empty(news)) hear_(std::move(news));
  return absl::OkStatus();
}

}  // namespace imgfleet::store::pg
