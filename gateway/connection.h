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
  // The answer being given is the last one; an idle connection ends at once.
  virtual void Drain() = 0;
  // Ends it now; a handler at work is told that its client is gone.
  virtual void Break() = 0;

  static std::shared_ptr<Connection> Make(boost::asio::ip::tcp::socket socket,
                                          const ConnectionContext& context);
};

}  // namespace imgfleet::gateway
