// Deals origins' budgets out to the workers of this coordinator: core::OriginShares, with a lock, a clock and a thread that looks
// when it is time. Where coordinators share a store, core::OriginHomes above it, and a thread that makes its exchanges.
//
// Thread-safe. Messages to one worker leave in the order in which they were decided; `send` is called without a lock.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/steady_cond_var.h"
#include "coordinator/core/origin_homes.h"
#include "coordinator/core/origin_shares.h"
#include "coordinator/store/origin_board.h"
#include "proto/imgfleet/v1/worker.pb.h"

namespace imgfleet::service {

class OriginDesk {
 public:
  // Hands a message to a worker's stream; to none where the worker is gone. Must not block.
  using Send = std::function<void(const std::string& worker, v1::CoordinatorMessage message)>;

  // What is shared with other coordinators; `board` null: there are none.
  struct Cluster {
    std::unique_ptr<store::OriginBoard> board;
    core::OriginHomes::Options homes;
  };

  OriginDesk(const Clock& clock, core::OriginShares::Options options, Send send, Cluster cluster = {});
  ~OriginDesk();

  void Report(const std::string& worker, const v1::OriginReport& report);
  void Left(const std::string& worker);

 private:
  void Run();
  void SendAll();
  // After the shares were told something; true: an exchange is to begin sooner than it was.
  bool Look(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunExchanges();
  absl::Status Exchange();

  const Clock& clock_;
  const Send send_;
  const std::unique_ptr<store::OriginBoard> board_;

  absl::Mutex mutex_;
  core::OriginShares shares_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<core::OriginHomes> homes_ ABSL_GUARDED_BY(mutex_);  // Where there is a board.
  std::deque<std::pair<std::string, v1::CoordinatorMessage>> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondVar changed_;
  std::thread thread_, exchanges_;
};

// An operator's limit: HOST=CONCURRENCY[,RATE/s], as --origin-limit takes it. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<std::pair<std::string, core::OriginLimit>> ParseOriginLimit(absl::string_view text);

}  // namespace imgfleet::service
