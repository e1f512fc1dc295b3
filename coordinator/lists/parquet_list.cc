#include "coordinator/lists/parquet_list.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/spawn.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kSliceBytes = 256 << 10;
constexpr int kPipeBytes = 1 << 20;
// From the end of its rows to its own.
constexpr absl::Duration kDeathTimeout = absl::Seconds(2);
constexpr int kCannotRun = 127;

std::string FindProgram() {
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof self);
  if (length <= 0 || length == static_cast<ssize_t>(sizeof self)) return "";
  const std::string path(self, static_cast<size_t>(length)), folder = path.substr(0, path.rfind('/'));
  // As installed; in a build tree beside the coordinator, the command, and what lies as deep as they.
  for (const char* place : {"/imgfleet-parquet", "/parquet/imgfleet-parquet",
                            "/../coordinator/parquet/imgfleet-parquet", "/../parquet/imgfleet-parquet"}) {
    if (access((folder + place).c_str(), X_OK) == 0) return folder + place;
  }
  return "";
}

absl::StatusOr<std::string> ProgramOf(const ParquetOptions& options, absl::string_view name) {
  const std::string program = options.program == "auto" ? FindProgram() : options.program;
  if (!program.empty()) return program;
  return absl::FailedPreconditionError(absl::StrCat(
      name, ": the list is Parquet, ",
      options.program.empty()
          ? "and reading that is turned off here (--parquet)"
          : "and this imgfleet was built without: run tools/setup.sh parquet and build again, or name "
            "imgfleet-parquet with --parquet",
      "; or convert the list to CSV or JSON lines"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Source>> ParquetList::Open(std::unique_ptr<Source> list, std::string name,
                                                          const v1::ListFile& file,
                                                          const ParquetOptions& options, const Clock& clock) {
  ASSIGN_OR_RETURN(std::string program, ProgramOf(options, name));
  for (const std::string& column : {file.url_column(), file.id_column()}) {
    if (column.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": no column's name has a NUL byte"));
    }
  }
  return std::unique_ptr<Source>(
      new ParquetList(std::move(list), std::move(name), std::move(program), file, options, clock));
}

ParquetList::ParquetList(std::unique_ptr<Source> list, std::string name, std::string program,
                         const v1::ListFile& file, const ParquetOptions& options, const Clock& clock)
    : list_(std::move(list)),
      name_(std::move(name)),
      program_(std::move(program)),
      url_column_(file.url_column().empty() ? "url" : file.url_column()),
      id_column_(file.id_column().empty() ? "id" : file.id_column()),
      options_(options),
      clock_(clock) {}

ParquetList::~ParquetList() { Kill(); }

bool ParquetList::TakeTurn() {
  if (!has_turn_ && options_.turns != nullptr) has_turn_ = options_.turns->TryTake();
  return has_turn_ || options_.turns == nullptr;
}

void ParquetList::Kill() {
  if (std::exchange(has_turn_, false)) options_.turns->GiveBack();
  if (process_ < 0) return;
  kill(process_, SIGKILL);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
  process_ = -1;
}

absl::Status ParquetList::Refuse(absl::string_view what) const {
  return absl::InvalidArgumentError(
      absl::StrCat(name_, ": ", what, "; the file is damaged or made to do harm, write it anew"));
}

absl::Status ParquetList::Start(int file) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::UnavailableError(absl::StrCat(name_, ": no pipe can be made: ", std::strerror(errno)));
  }
  rows_ = OwnedFd(ends[0]);
  skip_ = delivered_;
  silent_ = absl::ZeroDuration();
  const OwnedFd theirs(ends[1]);
  (void)fcntl(theirs.get(), F_SETPIPE_SZ, kPipeBytes);  // Smaller is slower only.
  (void)fcntl(rows_.get(), F_SETFL, O_NONBLOCK);
  const bool id_required = id_column_ != "id";
  const int error = Spawn(
      {.program = program_,
       .arguments = {absl::StrCat(options_.memory_bytes), url_column_, id_column_, id_required ? "1" : "0"},
       // Arrow's own allocator sets aside more addresses than the process is given.
       .environment = {"ARROW_DEFAULT_MEMORY_POOL=system"},
       .input = file,
       .output = theirs.get()},
      &process_);
  if (error == 0) return absl::OkStatus();
  process_ = -1;
  return absl::FailedPreconditionError(
      absl::StrCat(name_, ": what reads Parquet, ", program_, ", cannot be started: ", std::strerror(error)));
}

absl::StatusOr<std::optional<std::string>> ParquetList::Read(absl::Duration patience) {
  if (ended_) return std::string();
  if (process_ < 0) {
    ASSIGN_OR_RETURN(const std::optional<int> file, list_->File(patience));
    if (!file.has_value()) return std::optional<std::string>();
    if (!TakeTurn() && delivered_ > 0) return std::optional<std::string>();
    RETURN_IF_ERROR(Start(*file));
  }
  ASSIGN_OR_RETURN(std::optional<std::string> slice, ReadSlice(patience));
  if (!slice.has_value() || slice->empty()) return slice;
  const uint64_t had = std::min<uint64_t>(skip_, slice->size());
  skip_ -= had;
  slice->erase(0, static_cast<size_t>(had));
  if (slice->empty()) return std::optional<std::string>();
  delivered_ += slice->size();
  if (!TakeTurn()) Kill();
  return slice;
}

absl::StatusOr<std::optional<std::string>> ParquetList::ReadSlice(absl::Duration patience) {
  const absl::Time begin = clock_.Boot();
  pollfd ready = {rows_.get(), POLLIN, 0};
  const int64_t wait = std::max<int64_t>(absl::ToInt64Milliseconds(patience), 0);
  const int polled = poll(&ready, 1, static_cast<int>(std::min<int64_t>(wait, 1 << 30)));
  if (polled <= 0) {
    silent_ += clock_.Boot() - begin;
    if (silent_ <= options_.silence) return std::optional<std::string>();
    Kill();
    ended_ = true;
    return Refuse(absl::StrCat("no row could be read of it in ", absl::FormatDuration(options_.silence)));
  }
  std::string slice(kSliceBytes, '\0');
  const ssize_t got = read(rows_.get(), slice.data(), slice.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::optional<std::string>();
  if (got <= 0) {
    ended_ = true;
    RETURN_IF_ERROR(Reap());
    return std::string();
  }
  silent_ = absl::ZeroDuration();
  slice.resize(static_cast<size_t>(got));
  return slice;
}

absl::Status ParquetList::Reap() {
  const absl::Time deadline = clock_.Boot() + kDeathTimeout;
  int status = 0;
  pid_t ended;
  while ((ended = waitpid(process_, &status, WNOHANG)) == 0 && clock_.Boot() < deadline) poll(nullptr, 0, 1);
  if (ended == 0) {
    Kill();
    return Refuse("what reads Parquet closed its output and did not end");
  }
  process_ = -1;
  if (std::exchange(has_turn_, false)) options_.turns->GiveBack();
  // Somebody else has waited for it, or the system was told not to: the last frame tells whether that was all.
  if (ended < 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotRun) {
    return absl::FailedPreconditionError(absl::StrCat(
        name_, ": what reads Parquet, ", program_,
        ", does not run, for want of Apache Arrow's libraries: run tools/setup.sh parquet and build "
        "again, or convert the list to CSV or JSON lines"));
  }
  if (WIFEXITED(status)) {
    return Refuse(absl::StrCat("what reads Parquet ended with exit code ", WEXITSTATUS(status)));
  }
  const int signal = WTERMSIG(status);
  if (signal == SIGXCPU) return Refuse("reading it took more CPU time than there is for a list of its size");
  return Refuse(absl::StrCat("what reads Parquet died of signal ", signal, " (", strsignal(signal), ")"));
}

}  // namespace imgfleet::lists
