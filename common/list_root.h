// Opens list files that clients name, and nothing but files below the folders that the operator opened for
// it.
//
// A client's path is relative to a list folder, or absolute and then inside one as the operator wrote it. The
// kernel resolves it (openat2 with RESOLVE_BENEATH), so neither `..`, nor a symbolic link, nor a rename while
// it looks leads out of the folder. Links that stay inside are followed if they are relative; absolute ones
// are refused wherever they point. openat2 exists from Linux 5.6; on an older kernel, or where a sandbox
// forbids the call, every open is refused with UNIMPLEMENTED.
//
//   ASSIGN_OR_RETURN(OwnedFd file, OpenBeneath(options.list_roots, request.path()));
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/owned_fd.h"

namespace imgfleet {

// Opens a regular file for reading. A relative path is looked for in one root after the other. Never blocks
// on a FIFO or a device. Messages repeat the client's path and tell nothing of what lies outside.
//   NOT_FOUND          no such file below a root
//   PERMISSION_DENIED  the path leads outside, there are no roots, or this process may not read it
//   INVALID_ARGUMENT   not a path, or not a regular file
//   UNIMPLEMENTED      the kernel cannot resolve beneath a folder
absl::StatusOr<OwnedFd> OpenBeneath(absl::Span<const std::string> roots, absl::string_view path);

// For the start of a process: every root is a folder that can be opened, and the kernel can resolve beneath
// it. INVALID_ARGUMENT names the first that is not.
absl::Status CheckListRoots(absl::Span<const std::string> roots);

}  // namespace imgfleet
