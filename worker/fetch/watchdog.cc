#include "worker/fetch/watchdog.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "common/log.h"
#include "worker/fetch/connections.h"

namespace imgfleet::fetch {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(100);
// Over which it is seen from which socket a loop reads.
constexpr useconds_t kGlance = 5000;

}  // namespace

void Watchdog::Beat::Begin() {
  IMGFLEET_CHECK(pthread_getcpuclockid(pthread_self(), &cpu_clock_) == 0);
  begun_.store(true, std::memory_order_release);
}

void Watchdog::Beat::Opened(int fd) {
  absl::MutexLock lock(&mutex_);
  sockets_.insert(fd);
}

void Watchdog::Beat::Closed(int fd) {
  absl::MutexLock lock(&mutex_);
  sockets_.erase(fd);
}

absl::Duration Watchdog::Beat::Cpu() const {
  timespec used{};
  clock_gettime(cpu_clock_, &used);
  return absl::DurationFromTimespec(used);
}

void Watchdog::Beat::Free() {
  absl::MutexLock lock(&mutex_);  // Nothing is closed meanwhile.
  std::vector<std::pair<int, int64_t>> before;
  for (const int fd : sockets_) before.emplace_back(fd, BytesTaken(fd));
  usleep(kGlance);
  int guilty = -1;
  int64_t most = 0;
  for (const auto& [fd, taken] : before) {
    if (const int64_t more = BytesTaken(fd) - taken; more > most) {
      guilty = fd;
      most = more;
    }
  }
  if (guilty < 0) return;
  freed_.store(LocalPort(guilty), std::memory_order_relaxed);
  shutdown(guilty, SHUT_RDWR);
}

Watchdog::Watchdog(size_t loops) {
  for (size_t i = 0; i < loops; ++i) beats_.push_back(std::make_unique<Beat>());
  thread_ = std::thread([this] { Run(); });
}

Watchdog::~Watchdog() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    stopped_.Signal();
  }
  thread_.join();
}

void Watchdog::Run() {
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    if (!stopped_.WaitFor(mutex_, kPeriod)) continue;
    for (const std::unique_ptr<Beat>& beat : beats_) Look(*beat);
  }
}

void Watchdog::Look(Beat& beat) {
  if (!beat.begun_.load(std::memory_order_acquire)) return;
  const uint64_t calls = beat.calls_.load(std::memory_order_relaxed);
  const uint64_t callbacks = beat.callbacks_.load(std::memory_order_relaxed);
  const bool within = calls % 2 == 1, handing_on = callbacks % 2 == 1;
  if (!within || handing_on || calls != beat.seen_calls_ || callbacks != beat.seen_callbacks_) {
    beat.seen_calls_ = calls;
    beat.seen_callbacks_ = callbacks;
    if (within) beat.seen_cpu_ = beat.Cpu();
    return;
  }
  if (beat.Cpu() - beat.seen_cpu_ >= kMostCpu) beat.Free();
}

}  // namespace imgfleet::fetch
