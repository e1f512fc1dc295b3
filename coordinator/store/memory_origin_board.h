// An OriginBoard in this process, for tests and simulation: several coordinators on one table.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/steady_cond_var.h"
#include "coordinator/store/origin_board.h"

namespace imgfleet::store {

// Thread-safe.
class MemoryOriginTable {
 public:
  // Times in rows are clock.Boot().
  explicit MemoryOriginTable(const Clock& clock) : clock_(clock) {}

  // One coordinator's. The table outlives it.
  std::unique_ptr<OriginBoard> Open();

  // Exchanges fail, as where the server is away. `after_commit`: they are committed, and seem to fail.
  void Fail(bool fails, bool after_commit = false);
  size_t rows() const;
  // Of rows, ever.
  uint64_t writes() const;

 private:
  friend class MemoryOriginBoard;

  const Clock& clock_;
  mutable absl::Mutex mutex_;
  std::map<std::pair<std::string, std::string>, core::OriginRow> rows_ ABSL_GUARDED_BY(mutex_);
  uint64_t number_ ABSL_GUARDED_BY(mutex_) = 0, writes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool fails_ ABSL_GUARDED_BY(mutex_) = false, after_commit_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<class MemoryOriginBoard*> boards_ ABSL_GUARDED_BY(mutex_);
  SteadyCondVar told_;
};

}  // namespace imgfleet::store
