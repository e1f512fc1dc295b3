// A library to be preloaded into a program under test: the machine's clock and disk, as bad as a test wants them.
//
//   LD_PRELOAD=libfaults.so FAULTS_CONTROL=/tmp/x/control PROGRAM
//
// The control file holds three little-endian 64-bit numbers, which hold from the next call on, whoever writes them:
//   0   microseconds that the wall clock is ahead; CLOCK_MONOTONIC and CLOCK_BOOTTIME stay true, as in life. Waits for a time
//       of that clock (which is how absl::CondVar waits) end when that clock says so, those already begun as well
//   8   not 0: the disk is full, nothing that would grow a regular file succeeds
//   16  microseconds that each fsync and fdatasync takes longer
//
// What goes to standard output and standard error is not stopped: that is where the log goes.
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

struct Control {
  volatile int64_t wall_ahead_us;
  volatile int64_t disk_full;
  volatile int64_t sync_us;
};

const Control* Open() {
  static const Control kNone{};
  const char* path = getenv("FAULTS_CONTROL");
  if (path == nullptr) return &kNone;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return &kNone;
  void* mapped = mmap(nullptr, sizeof(Control), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return mapped == MAP_FAILED ? &kNone : static_cast<const Control*>(mapped);
}

const Control& Faults() {
  static const Control* const control = Open();
  return *control;
}

template <typename Function>
Function* Real(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define REAL(name)                               \
  static const auto real = Real(&::name, #name); \
  (void)real

bool Full(int fd) {
  if (Faults().disk_full == 0 || fd == STDOUT_FILENO || fd == STDERR_FILENO) return false;
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  errno = ENOSPC;
  return true;
}

// What lies within the file stays writable on a full disk.
bool FullBeyond(int fd, off_t end) {
  if (Faults().disk_full == 0) return false;
  struct stat status;
  if (fstat(fd, &status) == 0 && end <= status.st_size) return false;
  return Full(fd);
}

constexpr int64_t kMillion = 1'000'000;
constexpr int64_t kSliceUs = 50'000;

int64_t MicrosOf(const struct timespec& time) { return time.tv_sec * kMillion + time.tv_nsec / 1000; }

struct timespec FromMicros(int64_t us) {
  return {us / kMillion, us % kMillion * 1000};
}

// In slices, as the clock may jump meanwhile; `args` are a futex's that waits for a time of the wall clock.
template <typename Syscall>
long WaitForWallTime(Syscall* real, long (&args)[6]) {
  const int64_t until = MicrosOf(*reinterpret_cast<const struct timespec*>(args[3]));
  for (;;) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t rest = until - MicrosOf(now);
    const int64_t slice = rest < kSliceUs ? rest : kSliceUs;
    struct timespec end = FromMicros(MicrosOf(now) - Faults().wall_ahead_us + slice);
    args[3] = reinterpret_cast<long>(&end);
    const long result = real(SYS_futex, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (result != -1 || errno != ETIMEDOUT || slice == rest) return result;
  }
}

void Dawdle() {
  const int64_t us = Faults().sync_us;
  if (us > 0) usleep(static_cast<useconds_t>(us));
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* now) noexcept {
  REAL(clock_gettime);
  const int result = real(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    const int64_t us = Faults().wall_ahead_us;
    now->tv_sec += us / kMillion;
    now->tv_nsec += us % kMillion * 1000;
    if (now->tv_nsec < 0 || now->tv_nsec >= 1'000'000'000) {
      const int carry = now->tv_nsec < 0 ? -1 : 1;
      now->tv_sec += carry;
      now->tv_nsec -= carry * 1'000'000'000L;
    }
  }
  return result;
}

int gettimeofday(struct timeval* now, void*) noexcept {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) noexcept {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (out != nullptr) *out = precise.tv_sec;
  return precise.tv_sec;
}

// Abseil's waits come this way.
long syscall(long number, ...) noexcept {
  REAL(syscall);
  long args[6];
  va_list list;
  va_start(list, number);
  for (long& arg : args) arg = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (args[1] & FUTEX_CLOCK_REALTIME) != 0 && args[3] != 0)
    return WaitForWallTime(real, args);
  return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

int fsync(int fd) {
  REAL(fsync);
  Dawdle();
  return real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  Dawdle();
  return real(fd);
}

ssize_t write(int fd, const void* data, size_t size) {
  REAL(write);
  return Full(fd) ? -1 : real(fd, data, size);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  REAL(pwrite);
  return FullBeyond(fd, at + static_cast<off_t>(size)) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off_t at) {
  REAL(pwrite64);
  return FullBeyond(fd, at + static_cast<off_t>(size)) ? -1 : real(fd, data, size, at);
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t at) {
  REAL(pwritev);
  off_t end = at;
  for (int i = 0; i < count; ++i) end += static_cast<off_t>(parts[i].iov_len);
  return FullBeyond(fd, end) ? -1 : real(fd, parts, count, at);
}

int posix_fallocate(int fd, off_t at, off_t size) {
  REAL(posix_fallocate);
  return FullBeyond(fd, at + size) ? ENOSPC : real(fd, at, size);
}

int ftruncate(int fd, off_t size) noexcept {
  REAL(ftruncate);
  return FullBeyond(fd, size) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off_t size) noexcept {
  REAL(ftruncate64);
  return FullBeyond(fd, size) ? -1 : real(fd, size);
}

}  // extern "C"
