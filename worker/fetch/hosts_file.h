// /etc/hosts (hosts(5)), read once and again when it has changed: a resolver that opens it for every name pays more for
// that than for its questions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"

namespace imgfleet::fetch {

// Belongs to one thread.
class HostsFile {
 public:
  explicit HostsFile(std::string path) : path_(std::move(path)) {}

  // The addresses of `host` (lower case) in the file's order; null where it has none. Whether the file has changed is
  // looked at once a second; one that cannot be read has no hosts. Valid until the next call.
  const std::vector<IpAddress>* Find(absl::string_view host, absl::Time now);

  // Of the file, beyond which it is not read.
  static constexpr size_t kMaxBytes = 16 << 20;

 private:
  struct Version {
    int64_t seconds = 0, nanoseconds = 0, bytes = -1;
    uint64_t inode = 0;
    bool operator==(const Version&) const = default;
  };
  void Refresh(absl::Time now);
  void Read();
  void AddLine(absl::string_view line);

  const std::string path_;
  absl::Time look_again_ = absl::InfinitePast();
  Version version_;
  absl::flat_hash_map<std::string, std::vector<IpAddress>> hosts_;
};

}  // namespace imgfleet::fetch
