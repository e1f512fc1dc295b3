#include "cli/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace imgfleet::cli {

absl::Status Output::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno != EINTR) {
      const int error = errno;
      buffer_.clear();
      closed_ = error == EPIPE;
      if (closed_) return absl::CancelledError("the reader of standard output has gone");
      return absl::UnknownError(absl::StrCat("cannot write to standard output: ", strerror(error)));
    }
  }
  buffer_.clear();
  return absl::OkStatus();
}

}  // namespace imgfleet::cli
