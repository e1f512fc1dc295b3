// SIGTERM and SIGINT, waited for where main has time for them.
#pragma once

#include <signal.h>

namespace imgfleet {

// To be made before the first thread, so that all threads inherit the blocked signals and only Wait sees them. SIGPIPE is
// ignored from then on: writes report it.
class StopSignal {
 public:
  StopSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    signal(SIGPIPE, SIG_IGN);
  }

  // Returns the number of the signal that came. The next one ends the process at once.
  int Wait() {
    int number = 0;
    sigwait(&signals_, &number);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    return number;
  }

 private:
  sigset_t signals_;
};

}  // namespace imgfleet
