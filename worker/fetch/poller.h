// epoll with the two habits of libcurl taken into account: it takes its eyes off a socket after each transfer
// only to watch it again for the next one, and it announces neither. Interest that is withdrawn is therefore
// kept with the kernel until an event proves it stale, which saves two system calls for every transfer on a
// reused connection.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"

namespace imgfleet::fetch {

// Belongs to one thread.
class Poller {
 public:
  enum class Kind : uint8_t { kNone, kCurl, kResolver, kWakeup };

  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Watches `fd` for `events` (EPOLLIN, EPOLLOUT), 0 for nothing.
  void Watch(int fd, Kind kind, uint32_t events);
  // To be called when `fd` has been closed, so that its number may mean another socket.
  void Forget(int fd);
  // Waits for events at most `timeout_ms` and hands them on. Returns how many there were.
  int Wait(int timeout_ms, absl::FunctionRef<void(int fd, Kind kind, uint32_t events)> handle);

 private:
  struct Entry {
    Kind kind = Kind::kNone;
    uint32_t wanted = 0, registered = 0;
  };
  void Register(int fd, Entry& entry, uint32_t events);

  const int epoll_;
  std::vector<Entry> entries_;  // By file descriptor.
  std::array<epoll_event, 256> events_;
};

}  // namespace imgfleet::fetch
