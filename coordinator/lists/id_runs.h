// Sets of 64-bit hashes too large for memory: sorted runs in temporary files, and what finds a hash in them with
// one read of 4 KiB.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/owned_fd.h"

namespace imgfleet::lists {

// One run: ascending hashes, eight bytes each in this machine's order, in a file without a name. Up to 64 KiB of
// memory: every so-manieth hash, between which the place of another is guessed, since they are evenly spread.
// Immutable, thread-safe.
class IdRun {
 public:
  // Takes ascending hashes, in pieces, and becomes a run.
  class Writer;

  absl::StatusOr<bool> Contains(uint64_t hash) const;
  // Up to `count` hashes from position `at`; returns how many.
  absl::StatusOr<size_t> Read(uint64_t at, uint64_t* hashes, size_t count) const;
  uint64_t size() const { return size_; }

 private:
  IdRun(OwnedFd file, uint64_t size, uint64_t step, std::vector<uint64_t> fences)
      : file_(std::move(file)), size_(size), step_(step), fences_(std::move(fences)) {}

  const OwnedFd file_;
  const uint64_t size_;
  const uint64_t step_;                 // Positions from one fence to the next.
  const std::vector<uint64_t> fences_;  // The hashes at 0, step_, 2 * step_, ...
};

// Many runs. Four of a size are merged into one, on a thread of its own that begins with the first such four, so that
// there are few to look into and each hash is written a few times only. Called from one thread at a time.
class IdRuns {
 public:
  // Temporary files lie in `folder` (temporary_file.h).
  explicit IdRuns(std::string folder) : folder_(std::move(folder)) {}
  ~IdRuns();  // Ends a merge that is under way.

  // Adds ascending hashes, none of which is there. Waits where merging has fallen behind. After a failure, which
  // says what to do, none of them is there, and it may be tried again.
  absl::Status Add(absl::Span<const uint64_t> hashes);
  absl::StatusOr<bool> Contains(uint64_t hash);

 private:
  struct Tiered {
    int tier;  // How often its hashes were merged.
    std::shared_ptr<const IdRun> run;
  };

  void MergeLoop();
  // The runs to merge next; empty: none. The smallest ones first.
  std::vector<Tiered> NextMerge() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<const IdRun>> Merge(const std::vector<Tiered>& runs);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !stopping_ && NextMerge().empty(); }
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string folder_;

  // Of the one caller.
  std::thread merging_;
  uint64_t seen_version_ = 0;
  std::vector<std::shared_ptr<const IdRun>> seen_;  // The runs as of seen_version_.

  std::atomic<uint64_t> version_{0};
  std::atomic<bool> stop_now_{false};

  absl::Mutex mutex_;
  std::vector<Tiered> runs_ ABSL_GUARDED_BY(mutex_);
  absl::Status merge_failure_ ABSL_GUARDED_BY(mutex_);  // Of the last merge; the next Add has it tried again.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::lists
