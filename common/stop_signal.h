// SIGTERM and SIGINT, waited for where main has time for them. A server ends in three steps:
//
//   StopSignal stop;                  // Before the first thread.
//   ...
//   stop.Wait();
//   serving.BeginDrain();             // Not ready any more, but everything is served.
//   stop.Delay(settings.drain_delay); // Until those who send clients here have noticed.
//   serving.Shutdown(...);
#pragma once

#include <signal.h>

#include "absl/time/time.h"

namespace imgfleet {

// To be made before the first thread, so that all threads inherit the blocked signals and only Wait sees them. SIGPIPE is
// ignored from then on: writes report it. One a process, used by one thread.
class StopSignal {
 public:
  StopSignal();

  // Returns the number of the signal that came. The next one ends the process at once, during Delay and after it: by that
  // signal, or with the exit code 128 + its number where the process is the first of a container, which no signal ends.
  int Wait();

  // Returns after `delay`, by the steady clock.
  void Delay(absl::Duration delay);

 private:
  sigset_t signals_;
};

}  // namespace imgfleet
