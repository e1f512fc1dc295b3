#include "common/grpc_release.h"

#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet {
namespace {

class Releaser {
 public:
  Releaser() {
    std::thread([this] { Run(); }).detach();
  }

  void Add(std::shared_ptr<void> reference) {
    absl::MutexLock lock(&mutex_);
    references_.push_back(std::move(reference));
    added_.Signal();
  }

 private:
  [[noreturn]] void Run() {
    for (;;) {
      std::vector<std::shared_ptr<void>> dropped;  // Goes after the lock.
      absl::MutexLock lock(&mutex_);
      while (references_.empty()) added_.Wait(&mutex_);
      dropped.swap(references_);
    }
  }

  absl::Mutex mutex_;
  absl::CondVar added_;
  std::vector<std::shared_ptr<void>> references_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void ReleaseElsewhere(std::shared_ptr<void> reference) {
  // Never destroyed: gRPC's threads may outlive main.
  static auto* const releaser = new Releaser;
  releaser->Add(std::move(reference));
}

}  // namespace imgfleet
