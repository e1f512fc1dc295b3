// Host names to addresses: c-ares inside the loop's poller, with a cache.
//
// - The hosts file goes before DNS (worker/fetch/hosts_file.h); "localhost" and what ends in it is loopback without a
//   question (RFC 6761), and .onion names do not exist (RFC 7686). There is no search list: a name is asked for as it is.
// - A host is asked for both its IPv4 and its IPv6 addresses at once. Once one kind is there, the other is waited for
//   no longer than kGrace. They come in turns, so that the next address after a failed connect is of the other kind:
//   IPv6 first where this machine has a way there, else IPv4.
// - Lookups of one host at the same time are one. Answers are kept for their TTL, from 1 s to 10 min; that a name has
//   no address is kept for a minute. That nobody answered is kept for 200 ms, less than any retry waits, so that a
//   retry asks again. The cache holds at most kMaxCached hosts; those that have not been asked for longest go first.
// - At most kMaxAsked hosts are asked for at a time, and of those that have only just been asked for at most kMaxFresh:
//   a name server's socket holds a few hundred questions and loses the rest. The others wait their turn. A question is repeated after 2, 4 and
//   8 s, by each name server in turn, and asked over TCP where an answer was cut.
//
// What is wrong in an answer (another id, port, server or name) is c-ares' business.
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
#include "worker/fetch/hosts_file.h"
#include "worker/fetch/poller.h"

namespace imgfleet::fetch {

// Belongs to one thread.
class Resolver {
 public:
  struct Answer {
    std::vector<IpAddress> addresses;  // In the order to be tried; empty with an error.
    std::string error;                 // What went wrong, for a person.
    bool final = false;                // The name has no address: asking again is of no use.
    absl::Time expiry;
  };
  using Callback = std::function<void(const Answer&)>;

  // `servers` is "ADDRESS[:PORT],..." and replaces the system's name servers; empty keeps them.
  Resolver(Poller* poller, const std::string& servers, const std::string& hosts_file = "/etc/hosts");
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls back once, at once if the answer is known. Nothing is called back after Shutdown.
  void Lookup(const std::string& host, absl::Time now, Callback done);
  void OnEvent(int fd, uint32_t events, absl::Time now);
  // To be called every few ten milliseconds while busy(): drives timeouts.
  void OnTick(absl::Time now);
  bool busy() const { return !asked_.empty(); }
  void Shutdown();
  size_t cached() const { return young_.size() + old_.size(); }

  static constexpr absl::Duration kMinTtl = absl::Seconds(1), kMaxTtl = absl::Minutes(10);
  static constexpr absl::Duration kGrace = absl::Milliseconds(100);
  static constexpr size_t kMaxAsked = 1024, kMaxFresh = 128;
  static constexpr absl::Duration kFresh = absl::Milliseconds(100);
  static constexpr size_t kMaxCached = 64 << 10;

 private:
  // A host that is being asked for. Lives until both its questions are over, also when the answer was given before.
  struct Pending {
    Resolver* resolver;
    std::string host;
    std::vector<Callback> callbacks;
    std::vector<IpAddress> v4, v6;
    int status_v4 = ARES_SUCCESS, status_v6 = ARES_SUCCESS;
    absl::Duration ttl = kMaxTtl;  // The least of all addresses.
    int open = 0;                  // Questions without an answer.
    bool given = false;
    absl::Time first = absl::InfiniteFuture();  // When the first addresses came.
    size_t position = 0;                        // In asked_.
    absl::Time asked = absl::InfinitePast();
    bool fresh = true;
  };
  struct Known {
    std::vector<IpAddress> addresses;
    int status = ARES_SUCCESS;
    absl::Time expiry;
  };

  static void OnV4(void* pending, int status, int timeouts, unsigned char* packet, int bytes);
  static void OnV6(void* pending, int status, int timeouts, unsigned char* packet, int bytes);
  const Known* Find(const std::string& host);
  void Keep(const std::string& host, Known known);
  void Ask(Pending* pending);
  void AskWaiting();
  void OnQuestionOver(Pending* pending);
  void Give(Pending* pending);
  void Release(Pending* pending);
  void Age(Pending* pending);
  std::vector<IpAddress> InOrder(const Pending& pending) const;

  Poller* const poller_;
  ares_channel channel_ = nullptr;
  HostsFile hosts_;
  bool shutting_down_ = false, asking_ = false;
  absl::Time now_;
  // The cache in two generations: `old_` goes as a whole when `young_` is full.
  absl::flat_hash_map<std::string, Known> young_, old_;
  absl::flat_hash_map<std::string, Pending*> pending_;  // Not given yet.
  std::deque<Pending*> waiting_;
  std::vector<Pending*> asked_;
  size_t fresh_ = 0;  // Of those.
};

}  // namespace imgfleet::fetch
