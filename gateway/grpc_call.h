// gRPC's callback API as coroutines.
//
//   absl::StatusOr<v1::Job> job = co_await Call(stub->async(), &Async::GetJob, request, absl::Seconds(10));
//
//   ReadStream<v1::Outcomes> stream;
//   stub->async()->ReadEvents(stream.context(), &request, stream.reactor());
//   stream.Start();
//   for (;;) {
//     const bool more = co_await stream.Read();
//     if (!more) break;
//     Use(stream.message());
//   }
//   absl::Status how = co_await stream.Finish();
//
// A stream reads the next message when asked to and not before, so gRPC's flow control reaches from whoever
// is slow here to the sender. A stream object that goes away unfinished cancels its call; the call's own
// state lives until gRPC is done with it. Cancel may be called from any thread; all else from one coroutine
// per direction (a bidirectional stream may be read by one and written by another).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/grpc_release.h"
#include "common/status.h"
#include "gateway/baton.h"
#include "gateway/task.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"

namespace imgfleet::gateway {

// One unary call; DEADLINE_EXCEEDED after `timeout`. `method` is one of the stub's async interface.
template <typename Async, typename Request, typename Response>
Task<absl::StatusOr<Response>> Call(std::type_identity_t<Async>* async,
                                    void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                                          std::function<void(grpc::Status)>),
                                    std::type_identity_t<Request> request, absl::Duration timeout) {
  struct State {
    grpc::ClientContext context;
    Request request;
    Response response;
    Baton<grpc::Status> done;
  };
  auto state = std::make_shared<State>();
  state->request = std::move(request);
  state->context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  (async->*method)(&state->context, &state->request, &state->response, [state](grpc::Status status) mutable {
    state->done.Set(std::move(status));
    ReleaseElsewhere(std::move(state));
  });
  const grpc::Status status = co_await state->done.Wait();
  if (!status.ok()) co_return FromGrpc(status);
  co_return std::move(state->response);
}

// Whether a call ended so because its coordinator went away, is not there or stops, in which gRPC does not say the same each
// time: another, or the same in a while, may do better. With CANCELLED only where nobody here has cancelled the call.
inline bool WasLost(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) || absl::IsUnknown(status) ||
         absl::IsAborted(status);
}

namespace internal {

// What gRPC calls back, for both kinds of streams. Keeps itself alive until OnDone.
template <typename Reactor, typename Response>
class StreamState : public Reactor, public std::enable_shared_from_this<StreamState<Reactor, Response>> {
 public:
  // The hold lets operations be started from outside gRPC's callbacks; RemoveHold gives it back.
  void Start() {
    self_ = this->shared_from_this();
    this->AddHold();
    this->StartCall();
  }
  void OnReadDone(bool ok) override { read.Set(ok); }
  void OnDone(const grpc::Status& status) override {
    auto self = std::move(self_);
    done.Set(status);
    ReleaseElsewhere(std::move(self));
  }

  grpc::ClientContext context;
  Response message;
  Baton<bool> read;
  Baton<bool> written;
  Baton<grpc::Status> done;

 private:
  std::shared_ptr<StreamState> self_;
};

template <typename State>
class StreamHandle {
 public:
  StreamHandle() : state_(std::make_shared<State>()) {}
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;
  ~StreamHandle() {
    if (!open_) return;
    Cancel();
    state_->RemoveHold();
  }

  grpc::ClientContext* context() { return &state_->context; }
  // For the stub, which binds it to its call.
  State* reactor() { return state_.get(); }
  // Once, after the stub was called.
  void Start() {
    open_ = true;
    state_->Start();
  }
  void Cancel() { state_->context.TryCancel(); }

  // The next message is in message(); false: there are no more, Finish tells why.
  Task<bool> Read() {
    state_->StartRead(&state_->message);
    co_return co_await state_->read.Wait();
  }
  auto& message() { return state_->message; }

  // After Read said false.
  Task<absl::Status> Finish() {
    open_ = false;
    state_->RemoveHold();
    const grpc::Status status = co_await state_->done.Wait();
    co_return FromGrpc(status);
  }

 protected:
  const std::shared_ptr<State> state_;
  bool open_ = false;
};

template <typename Request, typename Response>
class DuplexState : public StreamState<grpc::ClientBidiReactor<Request, Response>, Response> {
 public:
  void OnWriteDone(bool ok) override { this->written.Set(ok); }
  void OnWritesDoneDone(bool ok) override { this->written.Set(ok); }
  Request request;
};

}  // namespace internal

template <typename Response>
class ReadStream
    : public internal::StreamHandle<internal::StreamState<grpc::ClientReadReactor<Response>, Response>> {};

template <typename Request, typename Response>
class DuplexStream : public internal::StreamHandle<internal::DuplexState<Request, Response>> {
 public:
  // To be filled in before Write; stays untouched until Write has returned.
  Request& request() { return this->state_->request; }
  // False: the call has ended, Finish tells why.
  Task<bool> Write() {
    this->state_->StartWrite(&this->state_->request);
    co_return co_await this->state_->written.Wait();
  }
  Task<bool> WritesDone() {
    this->state_->StartWritesDone();
    co_return co_await this->state_->written.Wait();
  }
};

}  // namespace imgfleet::gateway
