#include "coordinator/lists/temporary_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace imgfleet::lists {
namespace {

constexpr absl::string_view kWhatToDo =
    "; free space in the folder for temporary files, or name another with --spool";

}  // namespace

absl::StatusOr<OwnedFd> OpenTemporary(const std::string& folder) {
  const char* const given = getenv("TMPDIR");
  const std::string where = !folder.empty() ? folder : given != nullptr && *given != '\0' ? given : "/tmp";
  OwnedFd file(open(where.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid() && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    // A file system that knows no files without a name.
    std::string path = absl::StrCat(where, "/imgfleet.XXXXXX");
    file = OwnedFd(mkostemp(path.data(), O_CLOEXEC));
    if (file.valid()) unlink(path.c_str());
  }
  if (file.valid()) return file;
  return absl::UnavailableError(absl::StrCat("no temporary file can be made in ", where, ": ",
                                             std::strerror(errno), "; name another folder with --spool"));
}

absl::Status WriteAt(int fd, absl::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const bool full = put == 0 || errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
      return absl::Status(
          full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kUnavailable,
          absl::StrCat("a temporary file cannot be written: ", std::strerror(errno), kWhatToDo));
    }
    bytes.remove_prefix(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ReadAt(int fd, char* bytes, size_t size, uint64_t offset) {
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = pread(fd, bytes + filled, size - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::UnavailableError(absl::StrCat("a temporary file cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

}  // namespace imgfleet::lists
