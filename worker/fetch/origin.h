// What a loop knows of the origins it fetches from: their addresses, their queues and how much they can take.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "worker/fetch/exchange.h"
#include "worker/fetch/origin_window.h"
#include "worker/fetch/target.h"
#include "worker/fetch/types.h"

namespace imgfleet::fetch {

struct Origin;

// One item on its way through its attempts.
struct Fetch {
  std::unique_ptr<Client> client;
  Limits limits;
  Report report;
  Target target;  // Of the URL that is next to be requested.
  // That URL where redirects led away from the client's, and how many did.
  std::string redirected;
  std::vector<size_t> visited;  // Hashes of the URLs of this chain.
  Origin* origin = nullptr;
  uint32_t addresses_tried = 0;
  bool in_attempt = false;
  absl::Duration left;  // Of the attempt's time, while it waits for its turn.
  absl::Time first_sent = absl::InfinitePast();
  absl::Time queued, sent, deadline;

  const std::string& url() const {
    return !target.rewritten.empty() ? target.rewritten : redirected.empty() ? client->url() : redirected;
  }
};

// Scheme, host and port.
struct Origin {
  Origin(const Target& target, uint32_t max_window)
      : host(target.host), port(target.port), window(max_window) {}

  const std::string host;
  const uint16_t port;
  OriginWindow window;
  std::deque<std::unique_ptr<Fetch>> queue;
  bool listed = false;  // Stands among those that may send.
  absl::Time blocked_until = absl::InfinitePast();
  absl::Time used = absl::InfinitePast();

  bool resolving = false;
  absl::Time resolve_started, resolved;
  std::vector<IpAddress> addresses;  // Those that the policy allows.
  size_t address = 0;                // The one in `route`.
  uint16_t connect_port = 0;
  absl::Time addresses_expire = absl::InfinitePast();
  std::shared_ptr<const Route> route;

  // Takes the next address for new connections.
  void UseAddress(size_t index) {
    address = index % addresses.size();
    route = std::make_shared<Route>(addresses[address], connect_port);
  }
};

// The origins of one loop. Forgets those that are not in use, in time.
class Origins {
 public:
  explicit Origins(uint32_t max_window) : max_window_(max_window) {}

  Origin* Get(const Target& target, absl::Time now);
  // Those that have been unused for ten seconds go once there are many.
  void Sweep(absl::Time now);
  template <typename Function>
  void ForEach(Function function) {
    for (auto& [key, origin] : origins_) function(*origin);
  }

 private:
  const uint32_t max_window_;
  std::string key_;
  absl::flat_hash_map<std::string, std::unique_ptr<Origin>> origins_;
  size_t sweep_at_ = 4096;
};

}  // namespace imgfleet::fetch
