#include "worker/fetch/poller.h"

#include <unistd.h>

#include "common/log.h"

namespace imgfleet::fetch {

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { IMGFLEET_CHECK(epoll_ >= 0); }

Poller::~Poller() { close(epoll_); }

void Poller::Watch(int fd, Kind kind, uint32_t events) {
  if (static_cast<size_t>(fd) >= entries_.size()) entries_.resize(fd + 64);
  Entry& entry = entries_[fd];
  entry.kind = kind;
  entry.wanted = events;
  if (events != 0 && events != entry.registered) Register(fd, entry, events);
}

void Poller::Register(int fd, Entry& entry, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int operation = events == 0 ? EPOLL_CTL_DEL : entry.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll_, operation, fd, &event) != 0) {
    // Closed behind our back and opened anew, or the other way round.
    if (operation == EPOLL_CTL_MOD) epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    if (operation == EPOLL_CTL_ADD) epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
  }
  entry.registered = events;
}

void Poller::Forget(int fd) {
  if (static_cast<size_t>(fd) < entries_.size()) entries_[fd] = Entry();
}

int Poller::Wait(int timeout_ms, absl::FunctionRef<void(int, Kind, uint32_t)> handle) {
  const int count = epoll_wait(epoll_, events_.data(), events_.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    const int fd = events_[i].data.fd;
    Entry& entry = entries_[fd];
    if (entry.wanted == 0) {
      if (entry.registered != 0) Register(fd, entry, 0);
      continue;
    }
    handle(fd, entry.kind, events_[i].events);
  }
  return count;
}

}  // namespace imgfleet::fetch
