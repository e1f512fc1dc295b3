#include "coordinator/service/health_watch.h"

#include <string>
#include <utility>

#include "common/log.h"

namespace imgfleet::service {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(250);

void Set(grpc::HealthCheckServiceInterface& health, bool serving) {
  health.SetServingStatus(serving);
  health.SetServingStatus("imgfleet.v1.Jobs", serving);
  health.SetServingStatus("imgfleet.v1.Workers", serving);
}

}  // namespace

HealthWatch::HealthWatch(grpc::HealthCheckServiceInterface& health, std::function<absl::Status()> ready)
    : health_(health), ready_(std::move(ready)) {
  Set(health_, false);
  Look();
  thread_ = std::thread([this] { Watch(); });
}

HealthWatch::~HealthWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.SignalAll();
  }
  thread_.join();
}

void HealthWatch::Watch() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (!stopping_) wake_.WaitFor(mutex_, kLookEvery);
      if (stopping_) return;
    }
    Look();
  }
}

void HealthWatch::Look() {
  absl::Status ready;
  bool again = false;
  {
    absl::MutexLock lock(&looking_);
    if (left_) return;
    ready = ready_();
    if (ready.ok() == serving_) return;
    serving_ = ready.ok();
    Set(health_, serving_);
    if (serving_) again = std::exchange(served_, true);
  }
  // How it begins is told elsewhere.
  if (!ready.ok()) log::Warning("not ready any more: %s", std::string(ready.message()));
  if (again) log::Info("ready again");
}

void HealthWatch::Leave() {
  absl::MutexLock lock(&looking_);
  left_ = true;
  Set(health_, false);
}

}  // namespace imgfleet::service
