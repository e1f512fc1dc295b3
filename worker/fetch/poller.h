// epoll with the two habits of libcurl taken into account: it takes its eyes off a socket after each transfer
// only to watch it again for the next one, and it announces neither. Interest that is withdrawn is therefore
// kept with the kernel until an event proves it stale, which saves two system calls for every transfer on a
// reused connection.
//
// Sockets that somebody waits for (urgent) are in a set of their own, which can be asked for between any two events of the
// others: where hundreds are ready at a time, each of those costs the next one its time.
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

  using Handle = absl::FunctionRef<void(int fd, Kind kind, uint32_t events)>;

  // Watches `fd` for `events` (EPOLLIN, EPOLLOUT), 0 for nothing.
  void Watch(int fd, Kind kind, uint32_t events, bool urgent = false);
  // To be called when `fd` has been closed, so that its number may mean another socket.
  void Forget(int fd);
  // Waits for events at most `timeout_ms` and hands them on. Returns how many there were.
  int Wait(int timeout_ms, Handle handle);
  // Hands on what has come for urgent ones; waits for nothing. Also from within Wait's `handle`; within its own it does nothing.
  void TakeUrgent(Handle handle);

 private:
  struct Entry {
    Kind kind = Kind::kNone;
    bool urgent = false;  // In which set it is registered.
    uint32_t wanted = 0, registered = 0;
  };
  void Register(int fd, Entry& entry, uint32_t events);
  void HandOn(const epoll_event& event, Handle handle);

  const int epoll_;
  const int urgent_epoll_;      // Within the other one.
  int urgent_ = 0;              // Registered there.
  bool taking_ = false;         // TakeUrgent is under way.
  std::vector<Entry> entries_;  // By file descriptor.
  std::array<epoll_event, 256> events_;
  std::array<epoll_event, 16> urgent_events_;
};

}  // namespace imgfleet::fetch
