// Where to listen or to connect: a host and a TCP port, as people write them.
//
//   127.0.0.1:8080   [::1]:8080   coordinator.example.org:7070   localhost:0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace imgfleet::config {

struct HostPort {
  // An IPv4 address, an IPv6 address without its brackets, or a DNS name. Empty: none, i.e. turned off.
  std::string host;
  // 0 lets the system choose, where it is listened on.
  uint16_t port = 0;

  bool empty() const { return host.empty(); }
  // Reachable from this machine only: 127.0.0.0/8, ::1, localhost. A name that merely resolves there does
  // not count.
  bool IsLoopback() const;
  // As it is written above; "" when empty. What gRPC takes for an address, too.
  std::string ToString() const;

  bool operator==(const HostPort&) const = default;
};

// INVALID_ARGUMENT with a message that says how to write it, for anything but the forms above.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// What gRPC dials to reach any of several servers that are all equal: one, whose name may stand for several addresses, or
// several IP addresses of one family. INVALID_ARGUMENT for other mixtures.
absl::StatusOr<std::string> DialTarget(const std::vector<HostPort>& servers);

}  // namespace imgfleet::config
