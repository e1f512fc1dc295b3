#include "decoder/seccomp_filter.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace imgfleet::decoder {
namespace {

// Memory, time and the process's own end, for which abort() masks signals and names its thread. Traced over hundreds of
// images of all formats, decoders make no other calls than brk, mmap, munmap, clock_gettime, and refused ones.
constexpr int kAllowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // AddressSanitizer looks up the signal stack at every longjmp.
    SCMP_SYS(sigaltstack),
#endif
};

// What libraries try in good faith and bear to be refused: threads (of clone3 glibc goes on to clone, whose refusal a
// caller of pthread_create is told), files, limits, cores, entropy, spinning, the clock where the vDSO has none.
struct Refusal {
  int call;
  uint16_t error;
};
constexpr Refusal kRefused[] = {
    {SCMP_SYS(clone3), ENOSYS},    {SCMP_SYS(clone), EPERM},       {SCMP_SYS(set_robust_list), EPERM},
    {SCMP_SYS(rseq), EPERM},       {SCMP_SYS(open), EACCES},       {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(stat), EACCES},      {SCMP_SYS(lstat), EACCES},      {SCMP_SYS(newfstatat), EACCES},
    {SCMP_SYS(statx), EACCES},     {SCMP_SYS(access), EACCES},     {SCMP_SYS(faccessat), EACCES},
    {SCMP_SYS(readlink), EACCES},  {SCMP_SYS(readlinkat), EACCES}, {SCMP_SYS(getcwd), EACCES},
    {SCMP_SYS(fstat), EBADF},      {SCMP_SYS(ioctl), EBADF},       {SCMP_SYS(fcntl), EBADF},
    {SCMP_SYS(lseek), EBADF},      {SCMP_SYS(close), EBADF},       {SCMP_SYS(writev), EBADF},
    {SCMP_SYS(sysinfo), EPERM},    {SCMP_SYS(uname), EPERM},       {SCMP_SYS(prlimit64), EPERM},
    {SCMP_SYS(getrlimit), EPERM},  {SCMP_SYS(getrusage), EPERM},   {SCMP_SYS(sched_getaffinity), EPERM},
    {SCMP_SYS(getrandom), ENOSYS}, {SCMP_SYS(sched_yield), EPERM}, {SCMP_SYS(gettimeofday), EPERM},
};

absl::Status Failed(absl::string_view what, int code) {
  return absl::FailedPreconditionError(absl::StrCat("seccomp: ", what, ": ", std::string(strerror(-code))));
}

struct Free {
  void operator()(void* filter) const { seccomp_release(filter); }
};

}  // namespace

absl::Status FilterSystemCalls(int channel) {
  // libseccomp asks this as well, but does not tell why it makes no filter.
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) != 0) {
    return Failed("Linux 4.14 or newer is needed, and a container's seccomp profile that allows it", -errno);
  }
  const std::unique_ptr<void, Free> owned(seccomp_init(SCMP_ACT_KILL_PROCESS));
  const scmp_filter_ctx filter = owned.get();
  if (filter == nullptr) return absl::FailedPreconditionError("seccomp: no filter can be made");
  // System calls of another architecture (32 bits, x32) are none of a decoder's.
  int code = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  const auto add = [&](uint32_t action, int call, auto... conditions) {
    // A call that this architecture does not have needs no rule.
    if (code == 0 && call >= 0)
      code = seccomp_rule_add(filter, action, call, sizeof...(conditions), conditions...);
  };
  for (const int call : kAllowed) add(SCMP_ACT_ALLOW, call);
  for (const Refusal& refusal : kRefused) add(SCMP_ACT_ERRNO(refusal.error), refusal.call);
  // Anonymous memory, never executable.
  add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
      SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
  add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  // Large blocks grow where they are or move, never to a place of their owner's choice; of memory that is given back the
  // kernel is told in one way.
  add(SCMP_ACT_ALLOW, SCMP_SYS(mremap), SCMP_A3(SCMP_CMP_EQ, MREMAP_MAYMOVE));
  add(SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(mremap), SCMP_A3(SCMP_CMP_NE, MREMAP_MAYMOVE));
  add(SCMP_ACT_ALLOW, SCMP_SYS(madvise), SCMP_A2(SCMP_CMP_EQ, MADV_DONTNEED));
  add(SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(madvise), SCMP_A2(SCMP_CMP_NE, MADV_DONTNEED));
  // Of futexes only waiting and waking: one thread has nobody to wait for, but its libraries wake.
  constexpr uint32_t kWaitOrWake = FUTEX_WAIT | FUTEX_WAKE | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
  add(SCMP_ACT_ALLOW, SCMP_SYS(futex), SCMP_A1(SCMP_CMP_MASKED_EQ, uint32_t{~kWaitOrWake}, 0));
  const auto fd = static_cast<scmp_datum_t>(channel);
  for (const int call : {SCMP_SYS(read), SCMP_SYS(write)}) {
    add(SCMP_ACT_ALLOW, call, SCMP_A0(SCMP_CMP_EQ, fd));
    add(SCMP_ACT_ERRNO(EBADF), call, SCMP_A0(SCMP_CMP_NE, fd));
  }
  // abort() signals itself.
  add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid())));
  if (code != 0) return Failed("a rule cannot be made", code);
  // Failures to load tell the kernel's own error.
  (void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
  if (code = seccomp_load(filter); code != 0) return Failed("the filter cannot be loaded", code);
  return absl::OkStatus();
}

}  // namespace imgfleet::decoder
