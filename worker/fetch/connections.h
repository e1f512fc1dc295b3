// What must be known of connections and libcurl 7.88 does not tell. It takes a connection with bytes to read for a living
// one, and what was left behind an earlier answer for the answer to the next request: an origin could so put words into
// the mouth of another item's answer. And it takes a TLS connection that merely breaks for one that was closed.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace imgfleet::fetch {

struct Connection {
  int fd = -1;
  bool multiplexed = false;   // It speaks HTTP/2, where bytes come between answers, too.
  bool close_notify = false;  // The other side has said that it sends no more (TLS).
  bool closed = false;
  uint64_t delivered = 0;  // Bytes of answers.
  bool flooded = false;    // Cut, because it was kept busy with what is no answer.

  // Over HTTP/2 bytes keep coming, and none of them are of an answer that is waited for: what an answer was broken off
  // goes on, or frames without content do. To be asked again and again while answers are waited for in vain.
  bool IsFlooded(absl::Time now);
  // Ends it; whoever waits for an answer on it is told by libcurl.
  void Cut();
  // Bytes have come that belong to no answer. To be asked while no answer is due.
  bool HasStrayBytes() const;
  // Has close_notify set in time. `context` is the connection's own.
  static void Observe(const std::shared_ptr<Connection>& connection, SSL_CTX* context);

 private:
  absl::Time next_look_ = absl::InfinitePast();
  uint64_t seen_delivered_ = UINT64_MAX;
  int64_t taken_ = 0;  // When it last delivered something.
};

// Bytes that this process has taken from a TCP socket so far.
int64_t BytesTaken(int fd);
// At our end of a socket.
int LocalPort(int fd);

// The connections of one loop, by what libcurl tells before each request: their ends. Belongs to the loop's thread.
class Connections {
 public:
  static uint64_t Key(absl::string_view address, int port, int local_port);

  void Add(uint64_t key, std::shared_ptr<Connection> connection);
  // None where it is unknown.
  std::shared_ptr<Connection> Find(uint64_t key) const;
  void Remove(int fd);
  // The one with this port at our end has been cut.
  void Flooded(int local_port);

 private:
  absl::flat_hash_map<uint64_t, std::shared_ptr<Connection>> connections_;
  std::vector<uint64_t> keys_;  // By descriptor; 0: none.
};

}  // namespace imgfleet::fetch
