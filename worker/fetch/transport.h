// libcurl's multi interface on a poller: runs exchanges, and says when each is over. Knows nothing of URLs' owners,
// origins or retries.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "worker/fetch/exchange.h"
#include "worker/fetch/poller.h"
#include "worker/fetch/slots.h"

namespace imgfleet::fetch {

// Belongs to one thread.
class Transport {
 public:
  // `done` is called from Collect for each exchange that has ended; it may start others. `max_running` bounds the
  // connections that are kept.
  Transport(HandleSettings settings, SlotPool* slots, uint32_t max_running,
            std::function<void(Exchange*, CURLcode)> done);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // An idle exchange; null while there is no slot for one. `urgent`: also in a slot that is kept for such.
  Exchange* Take(bool urgent = false);
  void GiveBack(Exchange* exchange);
  // Runs what was prepared; `done` follows, or Break.
  void Start(Exchange* exchange);
  // Takes a running exchange off the network; `done` is not called.
  void Break(Exchange* exchange);

  // Does what libcurl wants done by `now`; false if that is nothing.
  bool RunTimers(absl::Time now);
  // Reports what is over.
  void Collect();
  // Acts on a socket that has become ready.
  void OnEvent(int fd, uint32_t events, absl::Time now);
  // When RunTimers is to be called next at the latest.
  absl::Time next_turn() const { return next_turn_; }

  const std::vector<Exchange*>& running() const { return running_; }

 private:
  static int OnSocket(CURL* handle, curl_socket_t fd, int what, void* self, void* socket_data);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);
  void Unlist(Exchange* exchange);
  void Act(curl_socket_t fd, int flags);

  const HandleSettings settings_;
  const std::function<void(Exchange*, CURLcode)> done_;
  CURLM* const multi_;
  CURLSH* const share_;
  Slots slots_;
  int flooded_ = 0;  // Local port of a connection that the watchdog has just cut.
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> idle_, running_;
  absl::Time now_ = absl::InfinitePast(), next_turn_ = absl::InfiniteFuture();
};

}  // namespace imgfleet::fetch
