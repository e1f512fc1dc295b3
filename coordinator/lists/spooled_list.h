// A list that was sent in pieces and is needed as a whole: in a temporary file of bounded size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/owned_fd.h"
#include "coordinator/lists/source.h"

namespace imgfleet::lists {

// FAILED_PRECONDITION: what is said of a list that is larger than may be spooled.
absl::Status TooLargeToSpool(absl::string_view name, uint64_t limit_bytes);

// Not thread-safe.
class SpooledList final : public Source {
 public:
  // `spool`: the folder for temporary files. `name` stands in messages.
  static absl::StatusOr<std::unique_ptr<SpooledList>> Open(const std::string& spool, std::string name,
                                                           uint64_t limit_bytes);

  // FAILED_PRECONDITION where it gets too large; RESOURCE_EXHAUSTED where the disk is full.
  absl::Status Add(absl::string_view bytes);

  // Once all is added.
  absl::StatusOr<std::optional<std::string>> Read(absl::Duration patience) override;
  absl::StatusOr<Identity> identity() const override;
  absl::StatusOr<std::optional<int>> File(absl::Duration) override { return file_.get(); }

 private:
  SpooledList(OwnedFd file, std::string name, uint64_t limit_bytes)
      : file_(std::move(file)), name_(std::move(name)), limit_bytes_(limit_bytes) {}

  const OwnedFd file_;
  const std::string name_;
  const uint64_t limit_bytes_;
  uint64_t size_ = 0, read_ = 0;
};

}  // namespace imgfleet::lists
