// A host name to its addresses: DNS and the hosts file through c-ares, without a search list and without a cache.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/address_policy.h"

namespace imgfleet::http {

// Blocks until the answer is there, at most for `timeout`; `stopped` is asked every tenth of a second. `servers` is
// "ADDRESS[:PORT],..." instead of the system's name servers; empty keeps them.
//   NOT_FOUND  there is no such host     UNAVAILABLE  nobody answered     CANCELLED  stopped
absl::StatusOr<std::vector<IpAddress>> Lookup(const std::string& host, const std::string& servers,
                                              absl::Duration timeout, const std::function<bool()>& stopped);

}  // namespace imgfleet::http
