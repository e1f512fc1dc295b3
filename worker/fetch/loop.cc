#include "worker/fetch/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace imgfleet::fetch {
namespace {

// A wait shorter than this was none: events had been ready.
constexpr absl::Duration kNoWait = absl::Microseconds(10);
// Above this share of waits that were none, the thread is what limits.
constexpr double kBusy = 0.8;
// A thread that waited for less than this share of such a time is saturated.
constexpr absl::Duration kLoadPeriod = absl::Seconds(1);
constexpr double kSpare = 0.05;
// Events between two looks at what is urgent: some hundred microseconds' worth.
constexpr int kEventsBetween = 8;

}  // namespace

Loop::Loop(const Options& options, Dispatcher::Share share, const std::string& ca_file, Watchdog::Beat* beat)
    : options_(options),
      share_(share),
      ca_file_(ca_file),
      beat_(beat),
      wakeup_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  IMGFLEET_CHECK(wakeup_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

Loop::~Loop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  close(wakeup_);
}

void Loop::Wake() {
  if (ordered_.exchange(true)) return;
  const uint64_t one = 1;
  IMGFLEET_CHECK(write(wakeup_, &one, sizeof(one)) == sizeof(one));
}

void Loop::Add(std::vector<std::unique_ptr<Fetch>> fetches) {
  held_.fetch_add(fetches.size(), std::memory_order_relaxed);
  {
    absl::MutexLock lock(&mutex_);
    if (inbox_.empty()) {
      inbox_ = std::move(fetches);
    } else {
      std::move(fetches.begin(), fetches.end(), std::back_inserter(inbox_));
    }
  }
  Wake();
}

void Loop::DropAbandoned() {
  {
    absl::MutexLock lock(&mutex_);
    drop_abandoned_ = true;
  }
  Wake();
}

void Loop::TakeOrders() {
  if (!ordered_.exchange(false)) return;
  std::vector<std::unique_ptr<Fetch>> inbox;
  bool drop = false;
  {
    absl::MutexLock lock(&mutex_);
    inbox.swap(inbox_);
    drop = std::exchange(drop_abandoned_, false);
    stopping_ = stop_;
  }
  for (std::unique_ptr<Fetch>& fetch : inbox) dispatcher_->Add(std::move(fetch));
  if (drop) dispatcher_->DropAbandoned(/*all=*/false);
}

void Loop::Run() {
  HandleSettings settings;
  settings.user_agent = options_.user_agent;
  settings.ca_file = ca_file_;
  settings.policy = &options_.policy;
  settings.poller = &poller_;
  settings.first_range_headers = settings.Headers(Ask());
  settings.whole_headers = settings.Headers(Ask{.ranged = false, .if_range = {}});
  settings.connections = &connections_;
  settings.beat = beat_;
  beat_->Begin();
  now_ = measured_since_ = options_.clock->Boot();
  dispatcher_ = std::make_unique<Dispatcher>(
      options_, share_, std::move(settings), [this] { Wake(); }, &now_);
  poller_.Watch(wakeup_, Poller::Kind::kWakeup, EPOLLIN);
  while (true) {
    TakeOrders();
    if (stopping_) break;
    dispatcher_->Turn(busy_ > kBusy);
    if (now_ >= next_tick_ && dispatcher_->active()) {
      dispatcher_->Tick();
      next_tick_ = now_ + Dispatcher::kTick;
    }
    held_.fetch_sub(dispatcher_->TakeEnded(), std::memory_order_relaxed);
    Wait();
  }
  dispatcher_.reset();
}

void Loop::Wait() {
  absl::Time until = dispatcher_->next_turn();
  if (dispatcher_->active()) until = std::min(until, next_tick_);
  int timeout_ms = -1;
  if (until <= now_) {
    timeout_ms = 0;
  } else if (until != absl::InfiniteFuture()) {
    timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(until - now_) + 1);
  }
  const absl::Time before = options_.clock->Boot();
  int events = 0;
  absl::Time woken;
  poller_.Wait(timeout_ms, [&](int fd, Poller::Kind kind, uint32_t what) {
    if (events == 0) woken = now_ = options_.clock->Boot();
    OnEvent(fd, kind, what);
    if (++events % kEventsBetween == 0) LookForUrgent();
  });
  if (events == 0) woken = now_ = options_.clock->Boot();
  busy_ += ((woken - before < kNoWait ? 1.0 : 0.0) - busy_) / 16;
  MeasureLoad(woken - before);
}

void Loop::OnEvent(int fd, Poller::Kind kind, uint32_t events) {
  if (kind != Poller::Kind::kWakeup) return dispatcher_->OnEvent(fd, kind, events);
  uint64_t count;
  while (read(fd, &count, sizeof(count)) > 0) continue;
}

// In the middle of many events, of others.
void Loop::LookForUrgent() {
  now_ = options_.clock->Boot();
  TakeOrders();
  poller_.TakeUrgent([this](int fd, Poller::Kind kind, uint32_t events) { OnEvent(fd, kind, events); });
  dispatcher_->Hurry();
}

void Loop::MeasureLoad(absl::Duration waited) {
  waited_ += waited;
  const absl::Duration passed = now_ - measured_since_;
  if (passed < kLoadPeriod) return;
  saturated_.store(waited_ < passed * kSpare, std::memory_order_relaxed);
  measured_since_ = now_;
  waited_ = absl::ZeroDuration();
}

}  // namespace imgfleet::fetch
