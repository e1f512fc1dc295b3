// Host names to addresses: c-ares inside the loop's poller, with a cache. /etc/hosts goes before DNS, there
// is no search list, and lookups of one host at the same time are one. Answers are kept for their TTL (1 s to
// 10 min); that a name does not exist is kept for a minute, that nobody answered for two seconds.
#pragma once

#include <ares.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/address_policy.h"
#include "worker/fetch/poller.h"

namespace imgfleet::fetch {

// Belongs to one thread.
class Resolver {
 public:
  struct Answer {
    std::vector<IpAddress> addresses;  // In the order of RFC 6724; empty with an error.
    std::string error;                 // What went wrong, for a person.
    bool final = false;                // The name does not exist: asking again is of no use.
    absl::Time expiry;
  };
  using Callback = std::function<void(const Answer&)>;

  // `servers` is "ADDRESS[:PORT],..." and replaces the system's name servers; empty keeps them.
  Resolver(Poller* poller, const std::string& servers);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls back once, at once if the answer is known. Nothing is called back after Shutdown.
  void Lookup(const std::string& host, absl::Time now, Callback done);
  void OnEvent(int fd, uint32_t events, absl::Time now);
  // To be called every few ten milliseconds while busy(): drives c-ares' timeouts.
  void OnTick(absl::Time now);
  bool busy() const { return running_ > 0; }
  void Shutdown();

 private:
  struct Pending {
    Resolver* resolver;
    std::string host;
    std::vector<Callback> callbacks;
  };
  void Begin(Pending* pending);
  void Finish(Pending* pending, int status, ares_addrinfo* result);
  void Sweep();

  Poller* const poller_;
  ares_channel channel_ = nullptr;
  bool shutting_down_ = false;
  size_t running_ = 0;
  absl::Time now_;
  absl::flat_hash_map<std::string, Answer> cache_;
  size_t sweep_at_ = 1024;
  absl::flat_hash_map<std::string, std::unique_ptr<Pending>> pending_;
  std::deque<Pending*> waiting_;
};

}  // namespace imgfleet::fetch
