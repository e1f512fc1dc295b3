#include "coordinator/parquet/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

namespace imgfleet::parquet_list {
namespace {

constexpr int kAllowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    // A library's thread may be about to start, and glibc ends the process where it cannot.
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
#endif
};

std::string Missing(const char* what, int error = errno) {
  return std::string(what) + ": " + strerror(error);
}

bool Limit(int resource, uint64_t value) {
  const rlimit limit = {value, value};
  return setrlimit(resource, &limit) == 0;
}

// Bytes of address space in use; 0 where /proc does not tell.
uint64_t MappedBytes() {
  unsigned long long pages = 0;
  FILE* const file = fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  if (fscanf(file, "%llu", &pages) != 1) pages = 0;
  fclose(file);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Needs no privilege in this direction. Where /proc cannot be written the limits have to do.
void DieFirst() {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, "1000", 4) != 4) errno = 0;
  close(file);
}

std::string SetLimits(uint64_t memory_bytes, uint64_t cpu_seconds) {
  const uint64_t mapped = MappedBytes();
  if (mapped == 0) return "/proc/self/statm cannot be read";
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  if (!Limit(RLIMIT_AS, mapped + memory_bytes)) return Missing("RLIMIT_AS");
#else
  (void)memory_bytes;
#endif
  if (!Limit(RLIMIT_CPU, cpu_seconds)) return Missing("RLIMIT_CPU");
  if (!Limit(RLIMIT_CORE, 0)) return Missing("RLIMIT_CORE");
  if (!Limit(RLIMIT_NOFILE, 0)) return Missing("RLIMIT_NOFILE");
  if (!Limit(RLIMIT_NPROC, 0)) return Missing("RLIMIT_NPROC");
  return "";
}

struct Free {
  void operator()(void* filter) const { seccomp_release(filter); }
};

std::string FilterSystemCalls() {
  const std::unique_ptr<void, Free> owned(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  const scmp_filter_ctx filter = owned.get();
  if (filter == nullptr) return "seccomp: no filter can be made";
  int code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  // Libraries may have started threads.
  if (code == 0) code = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  const auto allow = [&](int call, auto... conditions) {
    // A call that this architecture does not have needs no rule.
    if (code == 0 && call >= 0) {
      code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, sizeof...(conditions), conditions...);
    }
  };
  for (const int call : kAllowed) allow(call);
  allow(SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
        SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
  allow(SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  allow(SCMP_SYS(mremap), SCMP_A3(SCMP_CMP_EQ, MREMAP_MAYMOVE));
  // Threads that wait for each other; no priorities are passed on.
  constexpr uint32_t kFlags = FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  for (const uint32_t operation : {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET}) {
    allow(SCMP_SYS(futex), SCMP_A1(SCMP_CMP_MASKED_EQ, uint32_t{~kFlags}, operation));
  }
  allow(SCMP_SYS(pread64), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(kListFd)));
  for (const int fd : {kRowsFd, STDERR_FILENO}) {
    allow(SCMP_SYS(write), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(fd)));
    allow(SCMP_SYS(writev), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(fd)));
  }
  // abort() signals itself.
  allow(SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
  if (code != 0) return Missing("seccomp: a rule cannot be made", -code);
  if (code = seccomp_load(filter); code != 0) return Missing("seccomp: the filter cannot be loaded", -code);
  return "";
}

}  // namespace

std::string Confine(uint64_t memory_bytes, uint64_t cpu_seconds) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return Missing("PR_SET_PDEATHSIG");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Missing("PR_SET_NO_NEW_PRIVS");
  DieFirst();
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return Missing("PR_SET_DUMPABLE");
  if (syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0) != 0) return Missing("close_range");
  if (std::string missing = SetLimits(memory_bytes, cpu_seconds); !missing.empty()) return missing;
  return FilterSystemCalls();
}

}  // namespace imgfleet::parquet_list
