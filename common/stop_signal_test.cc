#include "common/stop_signal.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

namespace imgfleet {
namespace {

// Runs `body` in a process of its own and returns how it ended, as waitpid says.
template <typename Body>
int EndOf(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    body();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST(StopSignal, ASignalThatCameBeforeAnybodyWaitedIsNotLost) {
  const int status = EndOf([] {
    StopSignal stop;
    raise(SIGTERM);
    if (stop.Wait() != SIGTERM) _exit(1);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(StopSignal, TheDelayLastsAsLongAsItIsToldTo) {
  const int status = EndOf([] {
    StopSignal stop;
    raise(SIGINT);
    stop.Wait();
    const auto began = std::chrono::steady_clock::now();
    stop.Delay(absl::Milliseconds(30));
    stop.Delay(absl::ZeroDuration());
    if (std::chrono::steady_clock::now() - began < std::chrono::milliseconds(30)) _exit(1);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(StopSignal, ASecondSignalEndsTheProcessInTheMiddleOfTheDelay) {
  for (const int second : {SIGTERM, SIGINT}) {
    const int status = EndOf([second] {
      StopSignal stop;
      raise(SIGTERM);
      stop.Wait();
      const pid_t self = getpid();
      if (fork() == 0) {
        kill(self, second);  // At whatever moment: both sides of the delay's beginning are to end so.
        _exit(0);
      }
      stop.Delay(absl::Hours(1));
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == second) << status;
  }
}

// As in a container.
TEST(StopSignal, ASecondSignalEndsAlsoTheFirstProcessOfANamespace) {
  const int status = EndOf([] {
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(77);
    const pid_t first = fork();
    if (first != 0) {
      int ended = 0;
      waitpid(first, &ended, 0);
      _exit(WIFEXITED(ended) ? WEXITSTATUS(ended) : 1);
    }
    alarm(60);
    StopSignal stop;
    kill(getpid(), SIGTERM);
    stop.Wait();
    kill(getpid(), SIGTERM);
    _exit(2);
  });
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM);
}

TEST(StopSignal, ASecondSignalEndsTheProcessAfterTheDelay) {
  const int status = EndOf([] {
    StopSignal stop;
    raise(SIGTERM);
    stop.Wait();
    stop.Delay(absl::ZeroDuration());
    raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

}  // namespace
}  // namespace imgfleet
