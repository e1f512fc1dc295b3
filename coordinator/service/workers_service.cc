#include "coordinator/service/workers_service.h"

#include <memory>
#include <utility>

#include "absl/random/random.h"
#include "common/status.h"
#include "grpcpp/alarm.h"

namespace imgfleet::service {
namespace {

// One stream as gRPC has it. Owns itself until gRPC is done with it.
class Reactor final : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>, public Wire {
 public:
  Reactor(WorkStreams& streams, absl::Duration age) : stream_(streams.Open(*this)) {
    // The alarm's function may outlive this.
    alarm_.Set(absl::ToChronoTime(absl::Now() + age), [stream = stream_](bool reached) {
      if (reached) stream->End(absl::UnavailableError("the stream has reached its age; connect again"));
    });
    stream_->Begin();
  }

  void StartRead() override { ServerBidiReactor::StartRead(&incoming_); }
  void StartWrite(const v1::CoordinatorMessage& message) override { ServerBidiReactor::StartWrite(&message); }
  void Finish(const absl::Status& status) override { ServerBidiReactor::Finish(ToGrpc(status)); }

 private:
  void OnReadDone(bool ok) override { ok ? stream_->OnRead(incoming_) : stream_->OnReadsDone(); }
  void OnWriteDone(bool ok) override { stream_->OnWritten(ok); }
  void OnCancel() override { stream_->End(absl::CancelledError("the worker left")); }
  void OnDone() override {
    alarm_.Cancel();
    stream_->OnDone();
    delete this;
  }

  const std::shared_ptr<WorkStream> stream_;
  v1::WorkerMessage incoming_;  // Of the read in flight.
  grpc::Alarm alarm_;
};

WorkSession::Options WithOrigins(WorkSession::Options session) {
  session.deals_origins = true;
  return session;
}

}  // namespace

WorkersService::WorkersService(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics,
                               Options options, store::Ledger* express, OriginDesk::Cluster cluster)
    : options_(std::move(options)),
      streams_(ledger, clock, metrics, WithOrigins(options_.session), express),
      origins_(
          clock, options_.origins,
          [this](const std::string& worker, v1::CoordinatorMessage message) {
            streams_.Send(worker, std::move(message));
          },
          std::move(cluster)) {
  streams_.SetOrigins(&origins_);
}

grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* WorkersService::Work(
    grpc::CallbackServerContext*) {
  absl::BitGen random;
  return new Reactor(streams_, options_.max_stream_age * absl::Uniform(random, 0.9, 1.0));
}

}  // namespace imgfleet::service
