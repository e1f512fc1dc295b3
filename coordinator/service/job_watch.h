// Tells streams that their job has changed, so that none of them polls.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace imgfleet::service {

// Thread-safe.
class JobWatch {
 public:
  // Called on any thread, the ledger's among them, so it must not block. May be called once more while its handle is
  // being destroyed.
  using Wake = std::function<void()>;

  // `wake` is called after each change of that job until the handle is destroyed. The handle must not outlive this.
  [[nodiscard]] std::shared_ptr<void> Watch(const std::string& job_id, Wake wake);
  // What the ledger's listener says.
  void Changed(const std::vector<std::string>& job_ids);
  // Wakes all, and from now on closed() is true: the coordinator stops.
  void Close();
  bool closed() const;

 private:
  using Wakes = std::vector<std::shared_ptr<Wake>>;

  void Remove(const std::string& job_id, const std::shared_ptr<Wake>& wake);

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Wakes> watched_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::service
