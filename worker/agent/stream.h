// One bidirectional stream to the coordinator: queues what is to be sent, hands what comes to the inbox.
//
// Thread-safe. Lives until gRPC is done with it, whoever lets go of it before.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "proto/imgfleet/v1/worker.grpc.pb.h"
#include "worker/agent/inbox.h"

namespace imgfleet::agent {

class Stream final : public grpc::ClientBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage> {
 public:
  // Calls Work. Messages and, at last, one StreamEnd go to `inbox` under `number`.
  static std::shared_ptr<Stream> Open(v1::Workers::Stub& stub, uint64_t number, std::shared_ptr<Inbox> inbox);

  // Dropped once the stream has broken. Bounded by what the agent holds.
  void Send(v1::WorkerMessage message);
  // No more will be sent; the coordinator ends the stream when it has answered what was.
  void CloseSending();
  void Cancel() { context_.TryCancel(); }

 private:
  Stream(uint64_t number, std::shared_ptr<Inbox> inbox) : number_(number), inbox_(std::move(inbox)) {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  // Starts the next write if it is time for one.
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing more will be started from outside of gRPC's own calls.
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t number_;
  const std::shared_ptr<Inbox> inbox_;

  grpc::ClientContext context_;
  std::shared_ptr<Stream> self_;  // Until OnDone.
  v1::CoordinatorMessage incoming_;
  v1::WorkerMessage current_;

  absl::Mutex mutex_;
  std::deque<v1::WorkerMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;  // CloseSending was called.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;   // Nothing more can be sent.
  bool held_ ABSL_GUARDED_BY(mutex_) = true;      // gRPC keeps the stream for us.
};

}  // namespace imgfleet::agent
