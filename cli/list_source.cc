#include "cli/list_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/list_url.h"
#include "common/log.h"

namespace imgfleet::cli {
namespace {

constexpr size_t kPiece = 256 * 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<ListSource>> ListSource::Open(absl::string_view list) {
  if (list == "-") return std::unique_ptr<ListSource>(new ListSource(STDIN_FILENO, "stdin"));
  const std::string path(list);
  if (IsListUrl(list))
    return std::unique_ptr<ListSource>(new ListSource(open("/dev/null", O_RDONLY | O_CLOEXEC), path));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const auto code = errno == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kPermissionDenied;
    return absl::Status(code, absl::StrCat("cannot open the list ", path, ": ", strerror(errno)));
  }
  struct stat about = {};
  if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat("the list ", path, " is a folder; name a file in it"));
  }
  return std::unique_ptr<ListSource>(new ListSource(fd, path));
}

ListSource::ListSource(int fd, std::string name)
    : fd_(fd), name_(std::move(name)), stop_(eventfd(0, EFD_CLOEXEC)) {
  IMGFLEET_CHECK(stop_ >= 0);
}

ListSource::~ListSource() {
  if (fd_ != STDIN_FILENO) close(fd_);
  close(stop_);
}

absl::StatusOr<std::string> ListSource::Read() {
  std::string piece(kPiece, '\0');
  while (true) {
    // A pipe or a terminal may keep us waiting for ever; Stop must not.
    pollfd ready[] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0 && errno == EINTR) continue;
    if (ready[1].revents != 0) return absl::CancelledError("stopped");
    const ssize_t got = read(fd_, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return absl::UnavailableError(absl::StrCat("cannot read the list ", name_, ": ", strerror(errno)));
    piece.resize(static_cast<size_t>(got));
    return piece;
  }
}

void ListSource::Stop() { eventfd_write(stop_, 1); }

}  // namespace imgfleet::cli
