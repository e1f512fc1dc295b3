#include "common/stop_signal.h"

#include <unistd.h>

#include <chrono>
#include <thread>

namespace imgfleet {
namespace {

// Only what may be called between any two instructions.
void EndAtOnce(int number) {
  signal(number, SIG_DFL);
  sigset_t this_one;
  sigemptyset(&this_one);
  sigaddset(&this_one, number);
  pthread_sigmask(SIG_UNBLOCK, &this_one, nullptr);
  raise(number);
  // The kernel lets no signal end the first process of a PID namespace that has no handler for it.
  _exit(128 + number);
}

}  // namespace

StopSignal::StopSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int StopSignal::Wait() {
  int number = 0;
  sigwait(&signals_, &number);
  signal(SIGTERM, EndAtOnce);
  signal(SIGINT, EndAtOnce);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  return number;
}

void StopSignal::Delay(absl::Duration delay) {
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(delay));
}

}  // namespace imgfleet
