// One decoder process, as the client holds it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/owned_fd.h"
#include "decoder/protocol.h"

namespace imgfleet::decoder {

// Belongs to one thread, which must outlive it: the process dies with the thread that started it. Destroying it kills
// the process.
class Process {
 public:
  // Waits until it is locked in. FAILED_PRECONDITION, and why, where it cannot be started or refuses to run;
  // CANCELLED where `stop` became readable.
  static absl::StatusOr<std::unique_ptr<Process>> Start(const std::string& program, int stop,
                                                        const Clock& clock);
  ~Process();

  // Whether it still runs.
  bool Alive();
  // The answer to one request.
  //   CANCELLED          `stop` became readable
  //   DEADLINE_EXCEEDED  it took longer than `timeout`, or than the decoder's CPU time
  //   INTERNAL           the process died, or what it said is no answer
  // After any of them the process is of no use any more.
  absl::StatusOr<Answer> Ask(const RequestHead& head, absl::string_view file, absl::Duration timeout);

 private:
  Process(pid_t pid, OwnedFd channel, int stop, const Clock& clock)
      : pid_(pid), channel_(std::move(channel)), stop_(stop), clock_(clock) {}

  absl::Status Wait(short events, absl::Time deadline);
  absl::Status Send(absl::string_view bytes, absl::Time deadline);
  absl::StatusOr<Answer> Receive(absl::Time deadline);
  absl::StatusOr<std::string> ReceiveBytes(size_t count, absl::Time deadline);
  // Its channel is closed: it is about to die, or dead.
  absl::Status Died();

  const pid_t pid_;
  const OwnedFd channel_;
  const int stop_;
  const Clock& clock_;
  bool reaped_ = false;
};

}  // namespace imgfleet::decoder
