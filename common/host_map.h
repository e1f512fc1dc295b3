// Hosts that are answered by an address of the operator's choice, before DNS is asked: for tests and
// split-horizon DNS.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/address_policy.h"

namespace imgfleet {

// Immutable once filled; then thread-safe.
class HostMap {
 public:
  struct Destination {
    IpAddress address;
    uint16_t port = 0;  // 0: the URL's.
  };

  // `entry` is HOST[:PORT]=ADDRESS[:PORT], an IPv6 address with a port in brackets. INVALID_ARGUMENT says
  // what is wrong.
  absl::Status Add(absl::string_view entry);
  // An entry with the port goes before one without; null where there is none.
  const Destination* Find(absl::string_view host, uint16_t port) const;
  bool empty() const { return entries_.empty(); }

 private:
  absl::flat_hash_map<std::string, Destination> entries_;  // By "host:port", "host:0" for every port.
};

}  // namespace imgfleet
