// Files that have no name: their space is free again when they are closed, also when the process dies.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/owned_fd.h"

namespace imgfleet::lists {

// Opens one for reading and writing in `folder`; an empty name means $TMPDIR, or /tmp. UNAVAILABLE names the folder and
// --spool where it cannot.
absl::StatusOr<OwnedFd> OpenTemporary(const std::string& folder);

// All of `bytes` at `offset`. RESOURCE_EXHAUSTED where the disk is full, else UNAVAILABLE; says what to do.
absl::Status WriteAt(int fd, absl::string_view bytes, uint64_t offset);
// Up to `size` bytes from `offset`, fewer only at the end of the file.
absl::StatusOr<size_t> ReadAt(int fd, char* bytes, size_t size, uint64_t offset);

}  // namespace imgfleet::lists
