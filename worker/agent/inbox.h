// What reaches the agent's thread from others: outcomes from the engine, messages and ends of streams from gRPC.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/steady_cond_var.h"
#include "proto/imgfleet/v1/worker.pb.h"
#include "worker/agent/packed_outcome.h"

namespace imgfleet::agent {

struct FinishedItem {
  uint64_t lease = 0;
  uint32_t offset = 0;
  PackedOutcome outcome;
};

// From the stream numbered `stream`; those of an older one mean nothing any more.
struct StreamMessage {
  uint64_t stream = 0;
  v1::CoordinatorMessage message;
};
struct StreamEnd {
  uint64_t stream = 0;
  absl::Status status;
};

class Inbox {
 public:
  struct Content {
    std::vector<FinishedItem> finished;
    std::string bytes;                // Of their outcomes.
    std::vector<uint64_t> not_begun;  // The lease of each item that is not begun any more.
    std::vector<std::variant<StreamMessage, StreamEnd>> stream;
  };

  // Outcomes come by the ten thousand a second, and waking a thread costs more than taking one: so they wake the reader
  // only when there are `wake_at`, while it looks by itself soon enough (see Wait), or for one that is urgent.
  // `put_off` as PackedOutcome has it.
  void Push(uint64_t lease, uint32_t offset, const v1::Outcome& outcome, bool urgent,
            absl::Duration put_off = absl::ZeroDuration());
  void PushNotBegun(uint64_t lease);
  void Push(StreamMessage message);
  void Push(StreamEnd end);
  // Wakes the reader for what it knows from elsewhere.
  void Poke();

  // Waits until there is something to be woken for, at most for `limit`, then takes all there is in exchange for
  // `content`, whose memory is used again. `wake_at` outcomes count as something.
  void Wait(absl::Duration limit, size_t wake_at, Content* content);

 private:
  mutable absl::Mutex mutex_;
  SteadyCondVar awake_;
  Content content_ ABSL_GUARDED_BY(mutex_);
  size_t wake_at_ ABSL_GUARDED_BY(mutex_) = 1;
  bool poked_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace imgfleet::agent
