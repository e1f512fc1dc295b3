// Standard output in large writes.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace imgfleet::cli {

// Not thread-safe. The process must ignore SIGPIPE.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}

  // Where to append to; call Written() afterwards.
  std::string& buffer() { return buffer_; }

  // Passes the buffer on once it has grown large. CANCELLED where the reader has gone away (`closed` is then
  // true), UNKNOWN with the cause where it cannot be written.
  absl::Status Written() { return buffer_.size() < kLarge ? absl::OkStatus() : Flush(); }
  absl::Status Flush();

  // The reader wants no more: a reason to end, and none to complain.
  bool closed() const { return closed_; }

 private:
  static constexpr size_t kLarge = 256 * 1024;

  const int fd_;
  std::string buffer_;
  bool closed_ = false;
};

}  // namespace imgfleet::cli
