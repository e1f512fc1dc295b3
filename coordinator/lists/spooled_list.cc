#include "coordinator/lists/spooled_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "coordinator/lists/temporary_file.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kSliceBytes = 256 << 10;

}  // namespace

absl::Status TooLargeToSpool(absl::string_view name, uint64_t limit_bytes) {
  return absl::FailedPreconditionError(absl::StrCat(
      name, ": the list has to be spooled to a file here before it is read, and is larger than the ",
      limit_bytes >> 20,
      " MiB that one may take; cut it into several, allow more with --spool-limit, "
      "or put it into a list folder of the coordinator, where it is read in place"));
}

absl::StatusOr<std::unique_ptr<SpooledList>> SpooledList::Open(const std::string& spool, std::string name,
                                                               uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(OwnedFd file, OpenTemporary(spool));
  return std::unique_ptr<SpooledList>(new SpooledList(std::move(file), std::move(name), limit_bytes));
}

absl::Status SpooledList::Add(absl::string_view bytes) {
  if (size_ + bytes.size() > limit_bytes_) return TooLargeToSpool(name_, limit_bytes_);
  RETURN_IF_ERROR(WriteAt(file_.get(), bytes, size_));
  size_ += bytes.size();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> SpooledList::Read(absl::Duration) {
  std::string slice(static_cast<size_t>(std::min<uint64_t>(kSliceBytes, size_ - read_)), '\0');
  ASSIGN_OR_RETURN(const size_t got, ReadAt(file_.get(), slice.data(), slice.size(), read_));
  if (got != slice.size()) return absl::DataLossError("a temporary file is shorter than it was written");
  read_ += got;
  return slice;
}

absl::StatusOr<Identity> SpooledList::identity() const {
  Identity identity;
  identity.size_bytes = size_;
  return identity;
}

}  // namespace imgfleet::lists
