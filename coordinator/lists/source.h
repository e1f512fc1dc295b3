// Where a list's bytes come from: one streaming interface over files and remote places, each with an identity by
// which it is known again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/owned_fd.h"

namespace imgfleet::lists {

// What tells that a list is still the one it was. Which fields there are depends on the kind of source.
struct Identity {
  uint64_t size_bytes = 0;
  int64_t modified_us = 0;
  std::string etag;    // A strong one.
  std::string sha256;  // In hex, of the bytes as they were sent.

  bool operator==(const Identity&) const = default;
};

// Not thread-safe.
class Source {
 public:
  virtual ~Source() = default;

  // The next bytes; "" at the end; nothing where none came within `patience`, or at once where others have their turn: then it
  // is to be asked again after a rest.
  //   FAILED_PRECONDITION  the list has changed    UNAVAILABLE, DATA_LOSS  it cannot be read on
  virtual absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) = 0;
  // As it is now. Known before the first byte was read.
  virtual absl::StatusOr<Identity> identity() const = 0;
  // The whole list as a file, to be read from byte 0 on by its descriptor, which stays this object's; nothing where it is
  // not whole within `patience`. Instead of Read. UNIMPLEMENTED where it is no file and will be none.
  virtual absl::StatusOr<std::optional<int>> File(absl::Duration) {
    return absl::UnimplementedError("the list is a stream");
  }
};

// A file from its beginning. `name` stands in messages. Its identity is its size and the time of its last change.
class FileSource final : public Source {
 public:
  FileSource(OwnedFd file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override;
  absl::StatusOr<Identity> identity() const override;
  absl::StatusOr<std::optional<int>> File(absl::Duration) override { return file_.get(); }

 private:
  const OwnedFd file_;
  const std::string name_;
  uint64_t offset_ = 0;
};

}  // namespace imgfleet::lists
