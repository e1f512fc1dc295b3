#include "worker/fetch/poller.h"

#include <unistd.h>

#include <utility>

#include "common/log.h"

namespace imgfleet::fetch {

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)), urgent_epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  IMGFLEET_CHECK(epoll_ >= 0 && urgent_epoll_ >= 0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = urgent_epoll_;
  IMGFLEET_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, urgent_epoll_, &event) == 0);
}

Poller::~Poller() {
  close(urgent_epoll_);
  close(epoll_);
}

void Poller::Watch(int fd, Kind kind, uint32_t events, bool urgent) {
  if (static_cast<size_t>(fd) >= entries_.size()) entries_.resize(fd + 64);
  Entry& entry = entries_[fd];
  entry.kind = kind;
  entry.wanted = events;
  if (events == 0 || (events == entry.registered && urgent == entry.urgent)) return;
  if (urgent != entry.urgent && entry.registered != 0) Register(fd, entry, 0);
  entry.urgent = urgent;
  Register(fd, entry, events);
}

void Poller::Register(int fd, Entry& entry, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int epoll = entry.urgent ? urgent_epoll_ : epoll_;
  const int operation = events == 0 ? EPOLL_CTL_DEL : entry.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll, operation, fd, &event) != 0) {
    // Closed behind our back and opened anew, or the other way round.
    if (operation == EPOLL_CTL_MOD) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    if (operation == EPOLL_CTL_ADD) epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  }
  if (entry.urgent) urgent_ += (events != 0 ? 1 : 0) - (entry.registered != 0 ? 1 : 0);
  entry.registered = events;
}

void Poller::Forget(int fd) {
  if (static_cast<size_t>(fd) >= entries_.size()) return;
  if (entries_[fd].urgent && entries_[fd].registered != 0) --urgent_;
  entries_[fd] = Entry();
}

int Poller::Wait(int timeout_ms, Handle handle) {
  const int count = epoll_wait(epoll_, events_.data(), events_.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    events_[i].data.fd == urgent_epoll_ ? TakeUrgent(handle) : HandOn(events_[i], handle);
  }
  return count;
}

void Poller::TakeUrgent(Handle handle) {
  if (urgent_ == 0 || std::exchange(taking_, true)) return;
  const int count = epoll_wait(urgent_epoll_, urgent_events_.data(), urgent_events_.size(), 0);
  for (int i = 0; i < count; ++i) HandOn(urgent_events_[i], handle);
  taking_ = false;
}

void Poller::HandOn(const epoll_event& event, Handle handle) {
  const int fd = event.data.fd;
  Entry& entry = entries_[fd];
  if (entry.wanted != 0) return handle(fd, entry.kind, event.events);
  if (entry.registered != 0) Register(fd, entry, 0);
}

}  // namespace imgfleet::fetch
