// Who is told of what the ledger committed. Thread-safe.
#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/ledger.h"

namespace imgfleet::store {

class Listeners {
 public:
  // See Ledger::Listen. A handle destroyed on another thread waits for a call under way; one destroyed inside
  // the call does not. Handles may outlive this object.
  std::shared_ptr<void> Add(Ledger::Listener listener);
  // One at a time. No lock is held while listeners run.
  void Tell(const Ledger::Changes& changes);

 private:
  class Entry;

  absl::Mutex mutex_;
  std::vector<std::weak_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::store
