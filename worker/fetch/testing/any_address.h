// A network in which every IPv4 and IPv6 address is this machine, and a listener that sees who is connected to.
//
// Whether an address policy holds cannot be told from error messages: a connection that was refused by nobody's
// listening looks like one that was never tried. Here 169.254.169.254, 10.0.0.1 and fd00:ec2::254 answer, and so do
// public addresses, so that the policy is tested as it ships, with nothing opened.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/address_policy.h"

namespace imgfleet::fetch {

// Moves this process into a user and a network namespace of its own, where lo has every address. To be called before
// there are other threads. UNAVAILABLE where the system allows no user namespaces.
absl::Status EnterAnyAddressNetwork();

// Listens on one port of every address, IPv4 and IPv6, notes which address each connection is to, and answers as
// `script` says for the path.
class Watcher {
 public:
  using Script = std::function<std::string(const std::string& path)>;

  // `tls` null: plain HTTP.
  Watcher(uint16_t port, Script script, SSL_CTX* tls = nullptr);
  ~Watcher();

  struct Seen {
    std::vector<std::string> connected;  // Addresses that were connected to,
    std::vector<std::string> asked;      // and those that a request came to.
  };
  // Since the last call, everything that had been begun by now included.
  Seen Take();

 private:
  void Accept();
  void Serve(int fd, const std::string& address);

  const uint16_t port_;
  const Script script_;
  SSL_CTX* const tls_;
  int listener_;
  std::atomic<bool> stopping_{false};
  absl::Mutex mutex_;
  Seen seen_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> open_ ABSL_GUARDED_BY(mutex_);
  uint16_t barrier_ ABSL_GUARDED_BY(mutex_) = 0;  // Port of our own connection; 0 once it has been accepted.
  std::vector<std::thread> threads_;              // The accepting thread's.
  std::thread acceptor_;
};

}  // namespace imgfleet::fetch
