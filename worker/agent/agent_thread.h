// The agent at work: a thread that turns the state machine, with a stream to the coordinator on one side and the
// engine on the other.
//
// The stream is opened again whenever it ends: at once after one that worked, else after a growing, jittered wait. What
// the agent holds is kept over it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/backoff.h"
#include "common/clock.h"
#include "common/metrics/metrics.h"
#include "grpcpp/channel.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"
#include "worker/agent/agent.h"
#include "worker/agent/inbox.h"
#include "worker/agent/stream.h"
#include "worker/task/task.h"

namespace imgfleet::agent {

// Thread-safe.
class AgentThread {
 public:
  // All references must outlive this, the runner until it has called every `done` as well.
  AgentThread(std::shared_ptr<grpc::Channel> channel, task::Runner& runner, const Clock& clock,
              metrics::Registry& metrics, Agent::Options options);
  // Breaks off what runs. What it held lapses at the coordinator, which is told by the end of the stream.
  ~AgentThread();

  // Not ready from here on. Takes nothing new; hands back what was not begun; finishes what runs within `timeout`, then
  // hands back that as well. Returns when all is done.
  void Drain(absl::Duration timeout);

  // OK while the coordinator has welcomed the stream and Drain was not called; else why not.
  absl::Status Ready() const;

 private:
  struct Counters;
  struct RunningLease;

  void Run();
  absl::Duration Rest(absl::Time now) const;
  void Take(Inbox::Content& content, absl::Time now);
  void Take(StreamMessage message, absl::Time now);
  void Take(const StreamEnd& end, absl::Time now);
  void Connect(absl::Time now);
  void DrainOn(absl::Time now);
  void Do(Agent::Output output);
  // Origins' budgets, between the runner and the stream.
  void TakeOrigins(const v1::CoordinatorMessage& message, absl::Time now);
  void ReportOrigins(absl::Time now);
  absl::Time OriginsReported() const;
  void SetReady(absl::Status ready);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Workers::Stub> stub_;
  task::Runner& runner_;
  const Clock& clock_;
  const std::unique_ptr<Counters> counters_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  // While no coordinator is there. Short: whoever asks for something small waits for this worker when one comes back.
  const Backoff backoff_{absl::Milliseconds(200), absl::Seconds(2)};

  // Of the thread alone.
  Agent agent_;
  std::shared_ptr<Stream> stream_;
  uint64_t stream_number_ = 0;
  bool open_ = false;      // The stream has not ended.
  bool worked_ = false;    // It was welcomed.
  bool finished_ = false;  // Drained, and the coordinator has answered all.
  uint32_t failures_ = 0;
  absl::Time connect_at_ = absl::InfinitePast();
  absl::Time give_up_at_ = absl::InfiniteFuture();   // Draining: items that still run then are handed back.
  absl::Time farewell_at_ = absl::InfiniteFuture();  // All was said: the stream is broken off then.
  absl::flat_hash_map<uint64_t, std::shared_ptr<RunningLease>> leases_;
  Inbox::Content content_;
  bool deals_ = false;  // This coordinator deals origins' budgets.
  uint64_t origin_reports_ = 0;
  std::deque<absl::Time> origins_reported_;                // When the last of them were sent.
  absl::Time report_origins_at_ = absl::InfiniteFuture();  // All in use.

  // The runner has origins of which the coordinator is to hear at once.
  const std::shared_ptr<std::atomic<bool>> origins_rang_ = std::make_shared<std::atomic<bool>>(false);

  std::atomic<bool> stopping_{false};
  mutable absl::Mutex mutex_;
  absl::Status ready_ ABSL_GUARDED_BY(mutex_) =
      absl::UnavailableError("not yet connected to the coordinator");
  absl::Duration drain_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();  // Finite: drain, within that.
  bool drained_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace imgfleet::agent
