#include "common/list_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"

namespace imgfleet {
namespace {

// A rename below the root while the kernel resolves `..` makes it give up with EAGAIN.
constexpr int kTries = 16;

OwnedFd OpenFolder(const std::string& path) {
  return OwnedFd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// Returns the descriptor, or -errno. O_NONBLOCK: opening a FIFO must not wait for its writer.
int OpenAt2(int folder, const std::string& path) {
  open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int i = 0; i < kTries; ++i) {
    const long fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof(how));
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return -errno;
}

absl::Status OpenError(int error, absl::string_view path) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return absl::NotFoundError(absl::StrCat("no list file ", path, " below the list folders"));
    case EXDEV:
    case ELOOP:
      return absl::PermissionDeniedError(absl::StrCat("list file ", path, " leads out of the list folders"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat("list file ", path, " may not be read by this process"));
    case ENXIO:
    case ENODEV:
      return absl::InvalidArgumentError(absl::StrCat("list file ", path, " is not a regular file"));
    case ENOSYS:
      return absl::UnimplementedError(
          "list files cannot be opened safely: this system has no openat2 (Linux 5.6 or newer is needed)");
    default:
      return absl::UnavailableError(absl::StrCat("list file ", path, ": ", std::strerror(error)));
  }
}

absl::StatusOr<OwnedFd> OpenInRoot(const std::string& root, const std::string& below,
                                   absl::string_view path) {
  const OwnedFd folder = OpenFolder(root);
  if (!folder.valid()) return OpenError(ENOENT, path);
  const int got = OpenAt2(folder.get(), below);
  if (got < 0) return OpenError(-got, path);
  OwnedFd file(got);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return OpenError(errno, path);
  if (S_ISDIR(status.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("list file ", path, " is a folder; name a file in it"));
  }
  if (!S_ISREG(status.st_mode)) return OpenError(ENXIO, path);
  return file;
}

absl::StatusOr<OwnedFd> OpenAbsolute(absl::Span<const std::string> roots, absl::string_view path) {
  absl::Status failure = absl::PermissionDeniedError(
      absl::StrCat("list file ", path, " is not inside a list folder; give a path relative to one"));
  for (const std::string& root : roots) {
    absl::string_view below = path;
    if (!absl::ConsumePrefix(&below, absl::StripSuffix(root, "/")) || !absl::ConsumePrefix(&below, "/"))
      continue;
    while (absl::ConsumePrefix(&below, "/")) {
    }
    absl::StatusOr<OwnedFd> file = OpenInRoot(root, std::string(below.empty() ? "." : below), path);
    if (file.ok() || !absl::IsNotFound(file.status())) return file;
    failure = file.status();
  }
  return failure;
}

}  // namespace

absl::StatusOr<OwnedFd> OpenBeneath(absl::Span<const std::string> roots, absl::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError("the path of the list file is empty");
  if (path.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("the path of the list file holds a NUL byte");
  }
  if (roots.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("list file ", path, ": no list folder is configured (--list-root)"));
  }
  if (path.front() == '/') return OpenAbsolute(roots, path);
  absl::Status failure;
  for (const std::string& root : roots) {
    absl::StatusOr<OwnedFd> file = OpenInRoot(root, std::string(path), path);
    if (file.ok()) return file;
    // Where no root holds the file, the message that says most is the one that is not "not found".
    if (failure.ok() || absl::IsNotFound(failure)) failure = file.status();
  }
  return failure;
}

absl::Status CheckListRoots(absl::Span<const std::string> roots) {
  for (const std::string& root : roots) {
    const OwnedFd folder = OpenFolder(root);
    if (!folder.valid()) {
      return absl::InvalidArgumentError(absl::StrCat("--list-root ", root, ": ", std::strerror(errno)));
    }
    const int got = OpenAt2(folder.get(), ".");
    if (got < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--list-root ", root, ": ", OpenError(-got, root).message()));
    }
    OwnedFd closed(got);
  }
  return absl::OkStatus();
}

}  // namespace imgfleet
