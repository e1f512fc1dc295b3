#include "decoder/client_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spawn.h"

namespace imgfleet::decoder {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);
// From the end of the channel to the end of the process.
constexpr absl::Duration kDeathTimeout = absl::Seconds(2);

absl::Status NotStarted(absl::string_view program, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("the decoder ", program, " does not run: ", why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const std::string& program, int stop,
                                                        const Clock& clock) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return NotStarted(program, absl::StrCat("socketpair: ", std::string(strerror(errno))));
  OwnedFd ours(ends[0]), theirs(ends[1]);
  pid_t pid = -1;
  if (const int error = Spawn({program, {}, {}, theirs.get(), STDERR_FILENO}, &pid); error != 0)
    return NotStarted(program, std::string(strerror(error)));
  theirs.reset();
  std::unique_ptr<Process> process(new Process(pid, std::move(ours), stop, clock));
  const absl::StatusOr<Answer> hello = process->Receive(clock.Boot() + kStartTimeout);
  if (absl::IsCancelled(hello.status())) return hello.status();
  if (!hello.ok()) return NotStarted(program, hello.status().message());
  if (hello->status != AnswerStatus::kOk)
    return NotStarted(program, absl::StrCat("it cannot lock itself in: ", hello->text));
  return process;
}

Process::~Process() {
  if (reaped_) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

bool Process::Alive() {
  if (!reaped_) reaped_ = waitpid(pid_, nullptr, WNOHANG) != 0;
  return !reaped_;
}

absl::StatusOr<Answer> Process::Ask(const RequestHead& head, absl::string_view file, absl::Duration timeout) {
  const absl::Time deadline = clock_.Boot() + timeout;
  absl::Status sent = Send(Encode(head), deadline);
  if (sent.ok()) sent = Send(file, deadline);
  if (!sent.ok()) return sent;
  absl::StatusOr<Answer> answer = Receive(deadline);
  if (!answer.ok()) return answer;
  const bool first = answer->status == AnswerStatus::kRefused ||
                     (answer->status == AnswerStatus::kOk && answer->facts.blurhash.empty());
  if (first) return absl::InternalError("the decoder answered out of turn");
  return answer;
}

absl::Status Process::Wait(short events, absl::Time deadline) {
  while (true) {
    pollfd fds[] = {{channel_.get(), events, 0}, {stop_, POLLIN, 0}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - clock_.Boot());
    if (left <= 0) return absl::DeadlineExceededError("decoding took too long; the decoder was killed");
    const int ready = poll(fds, 2, static_cast<int>(std::min<int64_t>(left + 1, 1 << 30)));
    if (ready < 0 && errno != EINTR)
      return absl::InternalError(absl::StrCat("poll: ", std::string(strerror(errno))));
    if (fds[1].revents != 0) return absl::CancelledError("the worker is ending");
    if (fds[0].revents != 0) return absl::OkStatus();
  }
}

absl::Status Process::Send(absl::string_view bytes, absl::Time deadline) {
  while (!bytes.empty()) {
    const ssize_t count = send(channel_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      bytes.remove_prefix(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return Died();
    if (absl::Status ready = Wait(POLLOUT, deadline); !ready.ok()) return ready;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Process::ReceiveBytes(size_t count, absl::Time deadline) {
  std::string bytes(count, '\0');
  for (size_t done = 0; done < count;) {
    if (absl::Status ready = Wait(POLLIN, deadline); !ready.ok()) return ready;
    const ssize_t got = recv(channel_.get(), bytes.data() + done, count - done, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return Died();
    done += got;
  }
  return bytes;
}

absl::StatusOr<Answer> Process::Receive(absl::Time deadline) {
  absl::StatusOr<std::string> bytes = ReceiveBytes(kAnswerHeadBytes, deadline);
  if (!bytes.ok()) return bytes.status();
  const std::optional<size_t> text = AnswerTextBytes(*bytes);
  if (!text.has_value()) return absl::InternalError("the decoder's answer makes no sense");
  const absl::StatusOr<std::string> rest = ReceiveBytes(*text, deadline);
  if (!rest.ok()) return rest.status();
  absl::StrAppend(&*bytes, *rest);
  std::optional<Answer> answer = ParseAnswer(*bytes);
  if (!answer.has_value()) return absl::InternalError("the decoder's answer makes no sense");
  return *std::move(answer);
}

absl::Status Process::Died() {
  // What closed the channel is its end, or comes before it: do not wait for ever on a process that only closed it.
  const absl::Time deadline = clock_.Boot() + kDeathTimeout;
  int status = 0;
  pid_t ended;
  while ((ended = waitpid(pid_, &status, WNOHANG)) == 0 && clock_.Boot() < deadline) poll(nullptr, 0, 1);
  if (ended == 0) return absl::InternalError("the decoder closed its channel; it was killed");
  reaped_ = true;
  if (ended < 0) return absl::InternalError("the decoder died");
  if (WIFEXITED(status))
    return absl::InternalError(absl::StrCat("the decoder ended with exit code ", WEXITSTATUS(status)));
  const int signal = WTERMSIG(status);
  if (signal == SIGXCPU)
    return absl::DeadlineExceededError("decoding took more CPU time than a decoder is given");
  if (signal == SIGSYS)
    return absl::InternalError("the decoder was stopped at a system call that its sandbox forbids (SIGSYS)");
  return absl::InternalError(
      absl::StrCat("the decoder died of signal ", signal, " (", std::string(strsignal(signal)), ")"));
}

}  // namespace imgfleet::decoder
