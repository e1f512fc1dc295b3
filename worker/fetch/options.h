// How an engine is set up.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/host_map.h"

namespace imgfleet::fetch {

struct Options {
  uint32_t threads = 0;        // 0: one per core.
  uint32_t concurrency = 512;  // Requests in flight, all threads together.
  AddressPolicy policy;
  HostMap host_map;
  std::string ca_file;      // PEM, trusted besides the system's authorities; empty: none.
  std::string user_agent;   // Empty: "imgfleet/VERSION", and " (+CONTACT)" where there is a contact.
  std::string contact;      // URL or address at which origins' operators reach this one's.
  std::string dns_servers;  // "ADDRESS[:PORT],..." instead of the system's; empty: the system's.
  // Memory for bodies beyond the first 384 KiB of each, all threads together.
  uint64_t byte_budget = 256u << 20;
  Backoff backoff;
  absl::Duration connect_timeout = absl::Seconds(10);  // For one address.
  absl::Duration stall_timeout = absl::Seconds(10);    // Without a byte in the middle of an answer.
  // How long an item waits here for an origin that has asked for it. One that is to wait longer is put off
  // (Report::put_off), or, beyond max_put_off, ends.
  absl::Duration max_retry_after = absl::Seconds(30);
  absl::Duration max_put_off = absl::Hours(1);
  // Hosts, as Target has them, whose origins get full concurrency at once and no pace: the operator's own. Retry-After
  // holds for them too.
  absl::flat_hash_set<std::string> exempt_hosts;
  const Clock* clock = &Clock::System();

  // Adds to exempt_hosts a host as people write it. INVALID_ARGUMENT where it is none.
  absl::Status Exempt(absl::string_view host);
};

}  // namespace imgfleet::fetch
