// One client's connection: requests in, answers out, one after the other. The only file pair that knows
// Beast.
//
// Bounded in everything a client decides: header and body size, the time for both together, the time an
// answer may stay unread. Pipelined requests are answered in their order, each read after the one before it
// was answered. While a handler works, the connection is looked at twice a second: a client that has closed
// it, be it its sending side only, counts as gone, as with nginx. TCP does not tell the two apart, and a job
// whose reader left must not go on; a client that wants an answer keeps its sending side open.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "boost/asio/ip/tcp.hpp"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "gateway/router.h"
#include "gateway/task.h"

namespace imgfleet::gateway {

struct Limits {
  uint32_t max_header_bytes = 32 << 10;
  uint64_t max_body_bytes = 8 << 20;
  // From a request's first byte to its last; 408 after that.
  absl::Duration request_timeout = absl::Seconds(60);
  // How long a connection may stay open without a request.
  absl::Duration idle_timeout = absl::Seconds(75);
  // For one write of an answer: how long a client may read nothing at all. A reader of results may stop for minutes and go
  // on; all that is held for it is what it was being sent, and max_connections bounds how many there are.
  absl::Duration write_timeout = absl::Minutes(10);
};

// What all connections share. Thread-safe; outlives them.
struct ConnectionContext {
  const Router& router;
  metrics::Registry& metrics;
  const Limits limits;
  const Clock& clock;
};

// Lives on one io_context with one thread; every call is made there.
class Connection {
 public:
  virtual ~Connection() = default;
  // Serves until either side ends it.
  virtual Task<void> Run() = 0;
  // Each answer from here on asks its client to connect anew (Connection: close) and is the connection's last. One that is
  // idle stays open, and what comes on it is answered so.
  virtual void Dismiss() = 0;
  // As Dismiss, and ends once it is quiet: a connection that was opened, or answered without being told that it closes,
  // less than a second ago may have a request on its way, which is waited for so long.
  virtual void Drain() = 0;
  // Ends it now; a handler at work is told that its client is gone.
  virtual void Break() = 0;

  static std::shared_ptr<Connection> Make(boost::asio::ip::tcp::socket socket,
                                          const ConnectionContext& context);
};

}  // namespace imgfleet::gateway
