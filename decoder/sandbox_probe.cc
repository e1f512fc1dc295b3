// Locks itself in and then tries to do what its first argument says, the way code injected by an image would: by system
// calls, not through libraries. Answers on the channel: "locked", then what came of the attempt, "done" or "errno N".
// Where the attempt kills it, nothing more comes. For sandbox_test only.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "decoder/sandbox.h"

namespace imgfleet::decoder {
namespace {

// What came of a system call: its result, or minus its errno.
long Try(long number, auto... arguments) {
  const long result = syscall(number, arguments...);
  return result == -1 ? -errno : result;
}

uintptr_t At(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

sockaddr_in Loopback(const std::string& port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(port.c_str())));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

long AllMemory() {
  uint64_t got = 0;
  for (size_t size = 64 << 20; size >= (1 << 12);) {
    const long at = Try(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096) {
      size /= 2;
      continue;
    }
    memset(reinterpret_cast<void*>(at), 1, size);
    got += size;
  }
  return static_cast<long>(got >> 20);
}

long StartThread() {
  pthread_t thread;
  return -pthread_create(
      &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
}

long ThirtyTwoBitCall() {
#if defined(__x86_64__)
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");  // getpid of the 32-bit table.
  return result;
#else
  return Try(SYS_ptrace, 0, 0, 0, 0);
#endif
}

using Attempts = std::map<std::string, std::function<long(const std::string&)>>;

Attempts All() {
  Attempts all;
  static const char* const kArguments[] = {"/bin/true", nullptr};
  all["nothing"] = [](const std::string&) { return 0; };
  all["socket"] = [](const std::string&) { return Try(SYS_socket, AF_INET, SOCK_STREAM, 0); };
  all["unix_socket"] = [](const std::string&) { return Try(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 0); };
  all["connect"] = [](const std::string& port) {
    const sockaddr_in address = Loopback(port);
    return Try(SYS_connect, kChannel, At(&address), sizeof(address));
  };
  all["sendmsg"] = [](const std::string&) { return Try(SYS_sendmsg, kChannel, 0, 0); };
  all["recvmsg"] = [](const std::string&) { return Try(SYS_recvmsg, kChannel, 0, 0); };
  all["open_to_read"] = [](const std::string& path) {
    return Try(SYS_openat, AT_FDCWD, At(path.c_str()), O_RDONLY);
  };
  all["open_to_write"] = [](const std::string& path) {
    return Try(SYS_openat, AT_FDCWD, At(path.c_str()), O_WRONLY | O_CREAT, 0600);
  };
  all["openat2"] = [](const std::string&) { return Try(SYS_openat2, AT_FDCWD, 0, 0, 0); };
  all["unlink"] = [](const std::string& path) { return Try(SYS_unlinkat, AT_FDCWD, At(path.c_str()), 0); };
  all["rename"] = [](const std::string& path) {
    return Try(SYS_renameat2, AT_FDCWD, At(path.c_str()), AT_FDCWD, At((path + "2").c_str()), 0);
  };
  all["mkdir"] = [](const std::string& path) { return Try(SYS_mkdirat, AT_FDCWD, At(path.c_str()), 0700); };
  all["execve"] = [](const std::string&) { return Try(SYS_execve, At(kArguments[0]), At(kArguments), 0); };
  all["execveat"] = [](const std::string&) {
    return Try(SYS_execveat, AT_FDCWD, At(kArguments[0]), At(kArguments), 0, 0);
  };
  all["clone"] = [](const std::string&) { return Try(SYS_clone, SIGCHLD, 0, 0, 0, 0); };
  all["clone3"] = [](const std::string&) { return Try(SYS_clone3, 0, 0); };
#if defined(__x86_64__)
  all["fork"] = [](const std::string&) { return Try(SYS_fork); };
  all["vfork"] = [](const std::string&) { return Try(SYS_vfork); };
#endif
  all["thread"] = [](const std::string&) { return StartThread(); };
  all["ptrace"] = [](const std::string& pid) {
    return Try(SYS_ptrace, PTRACE_ATTACH, atoi(pid.c_str()), 0, 0);
  };
  all["read_memory"] = [](const std::string& pid) {
    return Try(SYS_process_vm_readv, atoi(pid.c_str()), 0, 0, 0, 0, 0);
  };
  all["kill"] = [](const std::string& pid) { return Try(SYS_kill, atoi(pid.c_str()), SIGTERM); };
  all["tgkill"] = [](const std::string& pid) {
    return Try(SYS_tgkill, atoi(pid.c_str()), atoi(pid.c_str()), SIGTERM);
  };
  all["pidfd"] = [](const std::string& pid) { return Try(SYS_pidfd_open, atoi(pid.c_str()), 0); };
  all["memory"] = [](const std::string&) { return AllMemory(); };
  all["cpu"] = [](const std::string&) -> long {
    for (;;) asm volatile("");
  };
  all["write_elsewhere"] = [](const std::string& fd) {
    return Try(SYS_write, atoi(fd.c_str()), At("harm"), 4);
  };
  all["dup"] = [](const std::string&) { return Try(SYS_dup3, kChannel, 9, 0); };
  all["mount"] = [](const std::string& path) {
    return Try(SYS_mount, At("none"), At(path.c_str()), At("tmpfs"), 0, 0);
  };
  all["chroot"] = [](const std::string& path) { return Try(SYS_chroot, At(path.c_str())); };
  all["unshare"] = [](const std::string&) { return Try(SYS_unshare, CLONE_NEWUSER); };
  all["setns"] = [](const std::string&) { return Try(SYS_setns, kChannel, 0); };
  all["bpf"] = [](const std::string&) { return Try(SYS_bpf, 0, 0, 0); };
  all["io_uring"] = [](const std::string&) { return Try(SYS_io_uring_setup, 8, 0); };
  all["memfd"] = [](const std::string&) { return Try(SYS_memfd_create, At("x"), 0); };
  all["userfaultfd"] = [](const std::string&) { return Try(SYS_userfaultfd, 0); };
  all["add_key"] = [](const std::string&) { return Try(SYS_add_key, 0, 0, 0, 0, 0); };
  all["shmget"] = [](const std::string&) { return Try(SYS_shmget, 0, 4096, 01600); };
  all["executable_memory"] = [](const std::string&) {
    return Try(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  all["make_executable"] = [](const std::string&) {
    static char page[8192] __attribute__((aligned(4096)));
    return Try(SYS_mprotect, At(page), 4096, PROT_READ | PROT_EXEC);
  };
  all["move_memory"] = [](const std::string&) {
    static char pages[16384] __attribute__((aligned(4096)));
    return Try(SYS_mremap, At(pages), 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, At(pages + 8192));
  };
  all["advise"] = [](const std::string&) {
    static char page[8192] __attribute__((aligned(4096)));
    return Try(SYS_madvise, At(page), 4096, MADV_MERGEABLE);
  };
  all["futex_requeue"] = [](const std::string&) {
    static uint32_t words[2];
    return Try(SYS_futex, At(&words[0]), FUTEX_CMP_REQUEUE_PI, 1, 0, At(&words[1]), 0);
  };
  all["futex_lock"] = [](const std::string&) {
    static uint32_t word;
    return Try(SYS_futex, At(&word), FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, 0, 0, 0);
  };
  all["getrandom"] = [](const std::string&) {
    static char bytes[8];
    return Try(SYS_getrandom, At(bytes), sizeof(bytes), 0);
  };
  all["timer"] = [](const std::string&) { return Try(SYS_timer_create, CLOCK_REALTIME, 0, 0); };
  all["be_dumpable"] = [](const std::string&) { return Try(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); };
  all["raise_limit"] = [](const std::string&) {
    const rlimit64 endless = {RLIM64_INFINITY, RLIM64_INFINITY};
    return Try(SYS_prlimit64, 0, RLIMIT_CPU, At(&endless), 0);
  };
  all["setuid"] = [](const std::string&) { return Try(SYS_setresuid, 0, 0, 0); };
  all["32_bit_call"] = [](const std::string&) { return ThirtyTwoBitCall(); };
#if defined(__x86_64__)
  all["x32_call"] = [](const std::string&) { return Try(0x40000000 | SYS_getpid); };
#endif
  return all;
}

void Say(const std::string& text) {
  if (write(kChannel, text.data(), text.size()) < 0) _exit(9);
}

int Main(int argc, char** argv) {
  if (argc < 3) return 2;
  const Attempts all = All();
  std::string name = argv[1];
  constexpr char kUnfiltered[] = "unfiltered:";
  const bool filtered = name.rfind(kUnfiltered, 0) != 0;
  if (!filtered) name = name.substr(sizeof(kUnfiltered) - 1);
  const auto attempt = all.find(name);
  if (attempt == all.end()) return 2;
  SandboxLimits limits;
  limits.memory_bytes = 128 << 20;
  limits.cpu_seconds = 1;
  const absl::Status locked = filtered ? LockIn(limits) : LockInWithoutFilter(limits);
  if (!locked.ok()) {
    Say(absl::StrCat("refused: ", std::string(locked.message())));
    return 3;
  }
  Say("locked\n");
  const long result = attempt->second(argv[2]);
  Say(result < 0 ? absl::StrCat("errno ", -result) : absl::StrCat("done ", result));
  char byte;
  while (read(kChannel, &byte, 1) > 0) continue;  // Stays to be looked at.
  _exit(0);
}

}  // namespace
}  // namespace imgfleet::decoder

int main(int argc, char** argv) { return imgfleet::decoder::Main(argc, argv); }
