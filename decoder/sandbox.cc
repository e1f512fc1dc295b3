#include "decoder/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "decoder/seccomp_filter.h"

namespace imgfleet::decoder {
namespace {

absl::Status Missing(absl::string_view what, int error = errno) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", std::string(strerror(error))));
}

// Landlock and the filter hold threads, not processes.
absl::Status RequireOneThread() {
  struct stat threads;
  if (stat("/proc/self/task", &threads) != 0) return Missing("cannot count threads in /proc/self/task");
  if (threads.st_nlink != 3) {  // ".", ".." and one folder a thread.
    return absl::FailedPreconditionError(absl::StrCat("a library has started threads (", threads.st_nlink - 2,
                                                      " run), which Landlock would not hold"));
  }
  return absl::OkStatus();
}

absl::Status CloseTheRest() {
  if (syscall(SYS_close_range, kChannel + 1, ~0u, 0) != 0) return Missing("close_range");
  return absl::OkStatus();
}

absl::Status GiveUpPrivileges() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return Missing("PR_SET_PDEATHSIG");
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return Missing("PR_SET_DUMPABLE");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Missing("PR_SET_NO_NEW_PRIVS");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capset, &header, none) != 0) return Missing("capset");
  return absl::OkStatus();
}

// Bits of newer kernels than the headers it may be built with.
constexpr uint64_t kFilesOfAbi1 = (uint64_t{1} << 13) - 1;
constexpr uint64_t kRefer = 1 << 13, kTruncate = 1 << 14, kDeviceIoctl = 1 << 15;
constexpr uint64_t kBindAndConnectTcp = 3, kAbstractSocketsAndSignals = 3;

struct LandlockRuleset {
  uint64_t handled_access_fs = kFilesOfAbi1;
  uint64_t handled_access_net = 0;
  uint64_t scoped = 0;
};

// A ruleset without a single rule: everything it handles is denied.
absl::Status DenyFiles() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) {
    return Missing(
        "Landlock: Linux 5.13 or newer is needed, with landlock among CONFIG_LSM or lsm=, and a container's "
        "seccomp "
        "profile that allows it");
  }
  LandlockRuleset ruleset;
  size_t size = offsetof(LandlockRuleset, handled_access_net);
  if (abi >= 2) ruleset.handled_access_fs |= kRefer;
  if (abi >= 3) ruleset.handled_access_fs |= kTruncate;
  if (abi >= 5) ruleset.handled_access_fs |= kDeviceIoctl;
  if (abi >= 4) {
    ruleset.handled_access_net = kBindAndConnectTcp;
    size = offsetof(LandlockRuleset, scoped);
  }
  if (abi >= 6) {
    ruleset.scoped = kAbstractSocketsAndSignals;
    size = sizeof(ruleset);
  }
  const int fd = static_cast<int>(syscall(SYS_landlock_create_ruleset, &ruleset, size, 0));
  if (fd < 0) return Missing("landlock_create_ruleset");
  const bool held = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
  const int error = errno;
  close(fd);
  return held ? absl::OkStatus() : Missing("landlock_restrict_self", error);
}

// Bytes mapped now; 0 where that cannot be told.
uint64_t MappedBytes() {
  unsigned long pages = 0;
  FILE* const file = fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (fscanf(file, "%lu", &pages) != 1) pages = 0;
  fclose(file);
  return uint64_t{pages} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::Status Limit(const char* name, __rlimit_resource resource, uint64_t soft, uint64_t hard) {
  rlimit present;
  if (getrlimit(resource, &present) != 0) return Missing(name);
  // Never above what the process came with.
  const rlimit wanted = {std::min<rlim_t>(soft, present.rlim_max), std::min<rlim_t>(hard, present.rlim_max)};
  if (setrlimit(resource, &wanted) != 0) return Missing(name);
  return absl::OkStatus();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBoundMemory = false;  // Their shadow memory is larger than any limit.
#else
constexpr bool kBoundMemory = true;
#endif

absl::Status LimitResources(const SandboxLimits& limits) {
  const uint64_t mapped = MappedBytes();
  if (mapped == 0) return absl::FailedPreconditionError("cannot read /proc/self/statm");
  const uint64_t memory = mapped + limits.memory_bytes;
  // The hard limit kills with SIGKILL, which says less than SIGXCPU.
  const uint64_t cpu = limits.cpu_seconds;
  struct {
    const char* name;
    __rlimit_resource resource;
    uint64_t soft, hard;
  } const all[] = {
      {"RLIMIT_CPU", RLIMIT_CPU, cpu, cpu + 1},
      {"RLIMIT_FSIZE", RLIMIT_FSIZE, 0, 0},
      {"RLIMIT_CORE", RLIMIT_CORE, 0, 0},
      {"RLIMIT_NPROC", RLIMIT_NPROC, 0, 0},
      {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, 0, 0},
      {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE, 0, 0},
      {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING, 0, 0},
  };
  for (const auto& one : all) {
    if (absl::Status set = Limit(one.name, one.resource, one.soft, one.hard); !set.ok()) return set;
  }
  return kBoundMemory ? Limit("RLIMIT_AS", RLIMIT_AS, memory, memory) : absl::OkStatus();
}

}  // namespace

absl::Status LockInWithoutFilter(const SandboxLimits& limits) {
  absl::Status status = RequireOneThread();
  if (status.ok()) status = CloseTheRest();
  if (status.ok()) status = GiveUpPrivileges();
  // Limits read /proc, so they come before Landlock.
  if (status.ok()) status = LimitResources(limits);
  if (status.ok()) status = DenyFiles();
  // Landlock needed a descriptor of its own.
  if (status.ok()) status = Limit("RLIMIT_NOFILE", RLIMIT_NOFILE, 0, 0);
  return status;
}

absl::Status LockIn(const SandboxLimits& limits) {
  const absl::Status status = LockInWithoutFilter(limits);
  // The last: it denies all of the above.
  return status.ok() ? FilterSystemCalls(kChannel) : status;
}

}  // namespace imgfleet::decoder
