// What a loop knows of the origins it fetches from: their addresses, their queues and how much they can take.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "common/http/target.h"
#include "worker/fetch/exchange.h"
#include "worker/fetch/options.h"
#include "worker/fetch/origin_budget.h"
#include "worker/fetch/types.h"

namespace imgfleet::fetch {

struct Origin;

// One item on its way through its attempts.
struct Fetch {
  std::unique_ptr<Client> client;
  Limits limits;
  Report report;
  http::Target target;  // Of the URL that is next to be requested.
  // That URL where redirects led away from the client's, and how many did.
  std::string redirected;
  std::vector<size_t> visited;  // Hashes of the URLs of this chain.
  Origin* origin = nullptr;
  uint32_t addresses_tried = 0;
  uint32_t refusals = 0;  // 429 and 503 that this fetch met.
  uint32_t excused = 0;   // Attempts that do not count: the origin was merely asking to be asked less often.
  uint64_t memory_needed = 0;  // This attempt had to wait for so much of the byte budget; 0: it had not.
  bool in_attempt = false;
  bool urgent = false;  // Begun before all that are not.
  absl::Duration left;  // Of the attempt's time, while it waits for its turn.
  absl::Time first_sent = absl::InfinitePast();
  absl::Time queued, sent, deadline;

  const std::string& url() const {
    return !target.rewritten.empty() ? target.rewritten : redirected.empty() ? client->url() : redirected;
  }
};

// Scheme, host and port.
struct Origin {
  Origin(const http::Target& target, std::shared_ptr<OriginBudget> budget, const std::function<void()>* wake)
      : https(target.https), host(target.host), port(target.port), seat(std::move(budget), wake) {}

  const bool https;
  const std::string host;
  const uint16_t port;
  OriginBudget::Seat seat;                   // At what all loops share of this origin.
  std::deque<std::unique_ptr<Fetch>> queue;  // Urgent ones first.
  uint32_t in_flight = 0;                    // Of this loop.
  // For how long it has given nothing but failures.
  absl::Duration failing = absl::ZeroDuration();
  bool listed = false;   // Stands among those that may send,
  bool hurried = false;  // and among those that may send something urgent.
  bool full = false;     // Has no room for another request.
  bool in_full = false;  // Stands among those that had none.
  absl::Time blocked_until = absl::InfinitePast();
  absl::Time used = absl::InfinitePast();

  bool resolving = false;
  absl::Time resolve_started, resolved;
  std::vector<IpAddress> addresses;  // Those that the policy allows.
  size_t address = 0;                // The one in `route`.
  uint16_t connect_port = 0;
  absl::Time addresses_expire = absl::InfinitePast();
  // Later than that while nobody answers for the name.
  absl::Time use_stale_until = absl::InfinitePast();
  bool http2 = true;
  std::shared_ptr<const Route> route;

  // Takes the next address for new connections.
  void UseAddress(size_t index);
  // From now on HTTP/1.1 alone is spoken with it.
  void RefuseHttp2() {
    if (!http2) return;
    http2 = false;
    if (!addresses.empty()) UseAddress(address);
  }
};

// The origins of one loop. Forgets those that are not in use: in time, and sooner where there are more of them than
// kMaxIdle.
class Origins {
 public:
  // All must outlive this; `wake` as OriginBudget::Seat has it.
  Origins(const Options* options, OriginBudgets* budgets, const std::function<void()>* wake)
      : options_(options), budgets_(budgets), wake_(wake) {}

  Origin* Get(const http::Target& target, absl::Time now);
  // To be called now and then. Those that have been unused for ten seconds go once there are many.
  void Sweep(absl::Time now);
  template <typename Function>
  void ForEach(Function function) {
    for (auto& [key, origin] : origins_) function(*origin);
  }
  size_t size() const { return origins_.size(); }

  static constexpr size_t kSweepFrom = 4 << 10, kMaxIdle = 16 << 10;

 private:
  void Forget(absl::Time unused_since);

  const Options* const options_;
  OriginBudgets* const budgets_;
  const std::function<void()>* const wake_;
  std::string key_;
  absl::flat_hash_map<std::string, std::unique_ptr<Origin>> origins_;
  size_t sweep_at_ = kSweepFrom;
};

}  // namespace imgfleet::fetch
