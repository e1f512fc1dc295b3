#include "cli/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "common/log.h"

namespace imgfleet::cli {

Interrupt::Interrupt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  IMGFLEET_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  end_ = eventfd(0, EFD_CLOEXEC);
  IMGFLEET_CHECK(signals_ >= 0 && end_ >= 0);
  watcher_ = std::thread([this] { Watch(); });
}

Interrupt::~Interrupt() {
  eventfd_write(end_, 1);
  watcher_.join();
  close(signals_);
  close(end_);
}

bool Interrupt::requested() const {
  absl::MutexLock lock(&mutex_);
  return requested_;
}

std::shared_ptr<void> Interrupt::OnRequest(std::function<void()> stop) {
  absl::MutexLock lock(&mutex_);
  if (requested_) {
    stop();
    return nullptr;
  }
  const int key = next_++;
  stops_.emplace(key, std::move(stop));
  return std::shared_ptr<void>(nullptr, [this, key](void*) {
    absl::MutexLock lock(&mutex_);
    stops_.erase(key);
  });
}

void Interrupt::Watch() {
  while (true) {
    pollfd ready[] = {{signals_, POLLIN, 0}, {end_, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents != 0) return;
    signalfd_siginfo signal;
    if (read(signals_, &signal, sizeof signal) != sizeof signal) continue;
    // Called under the lock so that none runs once its handle is gone.
    absl::MutexLock lock(&mutex_);
    if (std::exchange(requested_, true)) _exit(kInterrupted);
    for (const auto& [key, stop] : stops_) stop();
    stops_.clear();
  }
}

}  // namespace imgfleet::cli
