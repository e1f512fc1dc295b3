// Tries to break every limit of the sandbox from inside (sandbox_probe), and judges by the effect: how the process
// ended, and whether the file, the listener or the process it aimed at was touched.
#include "decoder/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "common/owned_fd.h"
#include "gtest/gtest.h"

namespace imgfleet::decoder {
namespace {

std::string TempPath(const std::string& name) {
  static const std::string folder = [] {
    char made[] = "/tmp/sandbox.XXXXXX";
    return std::string(mkdtemp(made));
  }();
  return folder + "/" + name;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

// A probe under way.
class Probe {
 public:
  Probe(const std::string& attempt, const std::string& argument) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    channel_ = OwnedFd(ends[0]);
    const OwnedFd other(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, other.get(), kChannel);
    std::string program = "decoder/sandbox_probe", words[] = {attempt, argument};
    char* const arguments[] = {program.data(), words[0].data(), words[1].data(), nullptr};
    char* const environment[] = {nullptr};
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Probe() {
    if (!ended_) End();
  }

  // All that it says until it says what came of its attempt, or is gone.
  const std::string& Said() {
    char buffer[512];
    while (said_.find("errno") == std::string::npos && said_.find("done") == std::string::npos) {
      const ssize_t count = read(channel_.get(), buffer, sizeof(buffer));
      if (count <= 0) break;
      said_.append(buffer, count);
    }
    return said_;
  }
  // How it ended, as waitpid tells it, and what it took.
  int End(rusage* used = nullptr) {
    Said();
    shutdown(channel_.get(), SHUT_WR);
    int status = 0;
    EXPECT_EQ(wait4(pid_, &status, 0, used), pid_);
    ended_ = true;
    return status;
  }
  pid_t pid() const { return pid_; }

 private:
  OwnedFd channel_;
  pid_t pid_ = -1;
  bool ended_ = false;
  std::string said_;
};

struct Case {
  const char* attempt;
  std::string argument = "";
  int error = 0;  // 0: it is killed by `signal`.
  int signal = SIGSYS;
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.attempt; }

class AttemptTest : public testing::TestWithParam<Case> {};

TEST_P(AttemptTest, FailsInside) {
  Probe probe(GetParam().attempt, GetParam().argument);
  const std::string said = probe.Said();
  ASSERT_EQ(said.rfind("locked\n", 0), 0u) << said;
  const int status = probe.End();
  if (GetParam().error != 0) {
    EXPECT_EQ(said, "locked\nerrno " + std::to_string(GetParam().error));
    EXPECT_TRUE(WIFEXITED(status));
  } else {
    EXPECT_EQ(said, "locked\n");
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), GetParam().signal);
  }
}

const std::string kParent = std::to_string(getpid());

INSTANTIATE_TEST_SUITE_P(
    All, AttemptTest,
    testing::Values(
        Case{"socket"}, Case{"unix_socket"}, Case{"connect", "80"}, Case{"sendmsg"}, Case{"recvmsg"},
        Case{"open_to_read", "/etc/passwd", EACCES}, Case{"open_to_read", "/proc/self/maps", EACCES},
        Case{"open_to_read", "/proc/self/mem", EACCES}, Case{"open_to_read", "/dev/null", EACCES},
        Case{"openat2"}, Case{"execve"}, Case{"execveat"}, Case{"clone", "", EPERM},
        Case{"clone3", "", ENOSYS}, Case{"thread", "", EPERM}, Case{"ptrace", kParent},
        Case{"read_memory", kParent}, Case{"pidfd", kParent}, Case{"dup"}, Case{"mount", "/tmp"},
        Case{"chroot", "/tmp"}, Case{"unshare"}, Case{"setns"}, Case{"bpf"}, Case{"io_uring"}, Case{"memfd"},
        Case{"userfaultfd"}, Case{"add_key"}, Case{"shmget"}, Case{"move_memory", "", EINVAL},
        Case{"advise", "", EINVAL}, Case{"futex_requeue"}, Case{"futex_lock"}, Case{"getrandom", "", ENOSYS},
        Case{"timer"}, Case{"executable_memory"}, Case{"make_executable"}, Case{"be_dumpable"},
        Case{"raise_limit", "", EPERM}, Case{"setuid"}, Case{"32_bit_call"}, Case{"cpu", "", 0, SIGXCPU}
#if defined(__x86_64__)
        ,
        Case{"fork"}, Case{"vfork"}, Case{"x32_call"}
#endif
        ));

TEST(SandboxTest, FilesStayAsTheyAre) {
  const std::string path = TempPath("file");
  std::ofstream(path) << "precious";
  for (const char* attempt : {"open_to_write", "unlink", "rename"}) {
    Probe probe(attempt, path);
    EXPECT_EQ(probe.Said().find("done"), std::string::npos) << attempt << ": " << probe.Said();
    probe.End();
    EXPECT_EQ(Contents(path), "precious") << attempt;
  }
  for (const char* attempt : {"open_to_write", "mkdir"}) {
    Probe(attempt, TempPath("new")).End();
    EXPECT_FALSE(Exists(TempPath("new"))) << attempt;
  }
}

TEST(SandboxTest, AnInheritedDescriptorIsOutOfReach) {
  const std::string path = TempPath("inherited");
  const OwnedFd fd(open(path.c_str(), O_WRONLY | O_CREAT, 0600));  // No O_CLOEXEC: the probe begins with it.
  Probe probe("write_elsewhere", std::to_string(fd.get()));
  EXPECT_EQ(probe.Said(), "locked\nerrno " + std::to_string(EBADF));
  probe.End();
  EXPECT_EQ(Contents(path), "");
}

int signals_seen = 0;

TEST(SandboxTest, TheParentGetsNoSignal) {
  signals_seen = 0;
  signal(SIGTERM, [](int) { ++signals_seen; });
  for (const char* attempt : {"kill", "tgkill"}) {
    Probe probe(attempt, kParent);
    EXPECT_EQ(WTERMSIG(probe.End()), SIGSYS) << attempt;
  }
  signal(SIGTERM, SIG_DFL);
  EXPECT_EQ(signals_seen, 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(SandboxTest, MemoryEndsAtItsLimit) {
  Probe probe("memory", "");
  const std::string said = probe.Said();
  ASSERT_EQ(said.rfind("locked\ndone ", 0), 0u) << said;
  const int megabytes = std::stoi(said.substr(12));
  EXPECT_LE(megabytes, 128);
  EXPECT_GE(megabytes, 120);
  std::ifstream status("/proc/" + std::to_string(probe.pid()) + "/statm");
  uint64_t mapped = 0, resident = 0;
  status >> mapped >> resident;
  EXPECT_LT(resident * sysconf(_SC_PAGESIZE), uint64_t{160} << 20);
}
#endif

TEST(SandboxTest, CpuTimeEndsAtItsLimit) {
  rusage used;
  const int status = Probe("cpu", "").End(&used);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGXCPU);
  EXPECT_LE(used.ru_utime.tv_sec + used.ru_stime.tv_sec, 2);  // A limit of 1 s.
}

TEST(SandboxTest, TheKernelSaysThatItIsLocked) {
  Probe probe("nothing", "");
  ASSERT_EQ(probe.Said(), "locked\ndone 0");
  const std::string proc = "/proc/" + std::to_string(probe.pid());
  const std::string status = Contents(proc + "/status");
  for (const char* line : {"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n", "\nThreads:\t1\n",
                           "\nCapEff:\t0000000000000000\n", "\nCapPrm:\t0000000000000000\n"}) {
    EXPECT_NE(status.find(line), std::string::npos) << line << " in " << status;
  }
  // Not dumpable: only root may look into it, even of those who run as the same user.
  const OwnedFd memory(open((proc + "/mem").c_str(), O_RDONLY));
  EXPECT_EQ(memory.valid(), geteuid() == 0);
}

long LandlockAbi() { return syscall(444 /* landlock_create_ruleset */, nullptr, 0, 1 /* its version */); }

// What stands behind the filter: each of these is refused by another layer alone.
TEST(WithoutFilterTest, LandlockKeepsFromFiles) {
  const std::string path = TempPath("behind");
  std::ofstream(path) << "precious";
  for (const char* attempt : {"unlink", "rename", "execve"}) {
    Probe probe(std::string("unfiltered:") + attempt, path);
    EXPECT_EQ(probe.Said(), "locked\nerrno " + std::to_string(EACCES)) << attempt;
  }
  Probe probe("unfiltered:mkdir", TempPath("folder"));
  EXPECT_EQ(probe.Said(), "locked\nerrno " + std::to_string(EACCES));
  EXPECT_EQ(Contents(path), "precious");
  EXPECT_FALSE(Exists(TempPath("folder")));
}

TEST(WithoutFilterTest, LandlockKeepsFromOtherProcesses) {
  if (LandlockAbi() < 6) GTEST_SKIP() << "this kernel's Landlock knows no signals";
  signals_seen = 0;
  signal(SIGTERM, [](int) { ++signals_seen; });
  Probe probe("unfiltered:kill", kParent);
  EXPECT_EQ(probe.Said(), "locked\nerrno " + std::to_string(EPERM));
  signal(SIGTERM, SIG_DFL);
  EXPECT_EQ(signals_seen, 0);
}

TEST(WithoutFilterTest, NoDescriptorIsLeftAndNoneCanBeMade) {
  const std::string path = TempPath("left");
  const OwnedFd fd(open(path.c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_EQ(Probe("unfiltered:write_elsewhere", std::to_string(fd.get())).Said(),
            "locked\nerrno " + std::to_string(EBADF));
  for (const char* attempt : {"socket", "open_to_read", "memfd"}) {
    EXPECT_EQ(Probe(std::string("unfiltered:") + attempt, "/etc/passwd").Said(),
              "locked\nerrno " + std::to_string(EMFILE))
        << attempt;
  }
}

}  // namespace
}  // namespace imgfleet::decoder
