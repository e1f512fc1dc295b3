#include "coordinator/lists/source.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kSliceBytes = 256 << 10;

}  // namespace

absl::StatusOr<std::optional<std::string>> FileSource::Read(absl::Duration) {
  std::string slice(kSliceBytes, '\0');
  ssize_t got;
  do {
    got = pread(file_.get(), slice.data(), slice.size(), static_cast<off_t>(offset_));
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return absl::DataLossError(
        absl::StrCat(name_, ": reading at byte ", offset_, ": ", std::strerror(errno)));
  }
  offset_ += static_cast<uint64_t>(got);
  slice.resize(static_cast<size_t>(got));
  return slice;
}

absl::StatusOr<Identity> FileSource::identity() const {
  struct stat status;
  if (fstat(file_.get(), &status) != 0) {
    return absl::UnavailableError(absl::StrCat(name_, ": ", std::strerror(errno)));
  }
  Identity identity;
  identity.size_bytes = static_cast<uint64_t>(status.st_size);
  identity.modified_us = absl::ToUnixMicros(absl::TimeFromTimespec(status.st_mtim));
  return identity;
}

}  // namespace imgfleet::lists
