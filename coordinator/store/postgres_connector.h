// Opens the connections of a PostgreSQL store, all with the same settings.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/store/postgres.h"

namespace imgfleet::store::pg {

// Thread-safe.
class Connector {
 public:
  Connector(std::string conninfo, const Clock& clock) : conninfo_(std::move(conninfo)), clock_(clock) {}

  // For half a second after one that failed the same error comes at once, so that a thousand verbs that meet a
  // server that is away do not wait for it one by one.
  absl::StatusOr<std::unique_ptr<Connection>> Connect();
  // What became of the last one, whoever asked for it.
  absl::Status last() const {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

 private:
  const std::string conninfo_;
  const Clock& clock_;

  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Time again_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace imgfleet::store::pg
