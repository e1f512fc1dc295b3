#include "coordinator/store/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/store/sqlite.h"
#include "coordinator/store/sqlite_reader.h"
#include "coordinator/store/sqlite_schema.h"
#include "coordinator/store/sqlite_transaction.h"

namespace imgfleet::store {
namespace {

// A checkpoint every 16 MB of WAL instead of every 4: half the time went there under load. The file is cut
// back to that size once a reader that made it grow is done.
constexpr char kPragmas[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;"
    "PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY";

// Held while the store is open. The lock goes with the process, however it ends.
class LockFile {
 public:
  static absl::StatusOr<std::unique_ptr<LockFile>> Take(const std::string& store) {
    const std::string path = absl::StrCat(store, ".lock");
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      const int error = errno;
      const std::string message = absl::StrCat("cannot open ", path, ": ", std::strerror(error));
      return error == EACCES || error == EROFS ? absl::PermissionDeniedError(message)
                                               : absl::UnavailableError(message);
    }
    std::unique_ptr<LockFile> lock(new LockFile(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      char holder[32] = {};
      const ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
      return absl::FailedPreconditionError(absl::StrCat(
          store, " is in use by another coordinator", got > 0 ? absl::StrCat(" (process ", holder, ")") : "",
          "; stop that one, or give this one a file of its own"));
    }
    const std::string pid = absl::StrCat(getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
      // Who holds it is for people only; the lock is what counts.
    }
    return lock;
  }
  ~LockFile() { close(fd_); }

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  const int fd_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(const std::string& path, const Clock& clock, std::unique_ptr<LockFile> lock,
              std::unique_ptr<Connection> writer)
      : clock_(clock), lock_(std::move(lock)), writer_(std::move(writer)), readers_(path) {}

  absl::Status Transact(const Declared&, absl::FunctionRef<absl::Status(Transaction&)> body) override {
    // Read before the file is locked, so a time can be late but never ahead.
    transaction_.Begin(clock_.Boot());
    absl::Status status = begin_.Do();
    if (status.ok()) status = body(transaction_);
    if (status.ok()) status = commit_.Do();
    if (writer_->InTransaction()) (void)writer_->Exec("ROLLBACK");
    return status;
  }

  bool Exclusive() const override { return true; }

  absl::StatusOr<std::optional<core::Job>> GetJob(absl::string_view id) override {
    return readers_.With<std::optional<core::Job>>([&](SqliteReader& reader) { return reader.GetJob(id); });
  }
  absl::StatusOr<std::vector<core::Job>> ListJobs(absl::string_view owner, absl::string_view before,
                                                  size_t limit) override {
    return readers_.With<std::vector<core::Job>>(
        [&](SqliteReader& reader) { return reader.ListJobs(owner, before, limit); });
  }
  absl::StatusOr<std::vector<core::Job>> JobsBeingRead() override {
    return readers_.With<std::vector<core::Job>>([](SqliteReader& reader) { return reader.JobsBeingRead(); });
  }
  absl::StatusOr<std::vector<core::StoredChunk>> ReadByCommit(absl::string_view job_id, uint64_t after,
                                                              uint64_t max_bytes) override {
    return readers_.With<std::vector<core::StoredChunk>>(
        [&](SqliteReader& reader) { return reader.ReadByCommit(job_id, after, max_bytes); });
  }
  absl::StatusOr<core::Census> TakeCensus() override {
    return readers_.With<core::Census>([](SqliteReader& reader) { return reader.TakeCensus(); });
  }
  absl::StatusOr<std::optional<core::ShardResults>> ReadShardAt(absl::string_view job_id,
                                                                uint64_t index) override {
    return readers_.With<std::optional<core::ShardResults>>(
        [&](SqliteReader& reader) { return reader.ReadShardAt(job_id, index); });
  }
  absl::StatusOr<std::optional<core::Schedule>> GetSchedule(absl::string_view id) override {
    return readers_.With<std::optional<core::Schedule>>(
        [&](SqliteReader& reader) { return reader.GetSchedule(id); });
  }
  absl::StatusOr<std::vector<core::Schedule>> ListSchedules(absl::string_view owner, absl::string_view before,
                                                            size_t limit) override {
    return readers_.With<std::vector<core::Schedule>>(
        [&](SqliteReader& reader) { return reader.ListSchedules(owner, before, limit); });
  }

 private:
  const Clock& clock_;
  const std::unique_ptr<LockFile> lock_;  // Outlives the connections.
  const std::unique_ptr<Connection> writer_;
  Statement begin_{*writer_, "BEGIN IMMEDIATE"};
  Statement commit_{*writer_, "COMMIT"};
  SqliteTransaction transaction_{*writer_};
  SqliteReaders readers_;
};

// One name for one file, so that a second coordinator meets the lock by whatever way it comes.
absl::StatusOr<std::string> Canonical(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = fs::absolute(path, error).parent_path();
  if (!fs::is_directory(folder, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the folder ", folder.string(), " does not exist; make it first"));
  }
  if (fs::is_directory(path, error)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is a folder; name a file for the store"));
  }
  const fs::path canonical = fs::weakly_canonical(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  return fs::absolute(canonical, error).string();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, const Clock& clock) {
  ASSIGN_OR_RETURN(const std::string file, Canonical(path));
  ASSIGN_OR_RETURN(std::unique_ptr<LockFile> lock, LockFile::Take(file));
  absl::StatusOr<std::unique_ptr<Connection>> writer = Connection::Open(file, /*create=*/true);
  if (!writer.ok() && (access(file.c_str(), F_OK) != 0 || access(file.c_str(), W_OK) == 0)) {
    return writer.status();
  }
  if (!writer.ok() || (*writer)->ReadOnly()) {
    return absl::PermissionDeniedError(absl::StrCat(file, " cannot be written; see to its permissions"));
  }
  RETURN_IF_ERROR(PrepareSchema(**writer, file));
  RETURN_IF_ERROR((*writer)->Exec(kPragmas));
  return std::make_unique<SqliteStore>(file, clock, std::move(lock), *std::move(writer));
}

}  // namespace imgfleet::store
