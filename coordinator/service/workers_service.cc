#include "coordinator/service/workers_service.h"

#include <deque>
#include <utility>
#include <variant>
#include <vector>

#include "absl/random/random.h"
#include "common/log.h"
#include "common/status.h"
#include "grpcpp/alarm.h"

namespace imgfleet::service {
namespace {

// Commits that are under way and answers that were not yet sent: beyond so many the worker is not listened to.
constexpr size_t kMaxBacklog = 256;

}  // namespace

struct WorkersService::Counters {
  explicit Counters(metrics::Registry& metrics)
      : streams(metrics.Gauge("imgfleet_coordinator_worker_streams", "Workers that are connected.")),
        granted(metrics.Counter("imgfleet_coordinator_leases_total", "Shards leased.")),
        handed_back(
            metrics.Counter("imgfleet_coordinator_leases_handed_back_total",
                            "Leases that ended before all their items had an outcome, and not by lapsing.")),
        void_leases(metrics.Counter("imgfleet_coordinator_leases_void_total",
                                    "Leases that a worker reported and that had lapsed or were void.")),
        commit_seconds(metrics.Histogram("imgfleet_coordinator_chunk_commit_seconds",
                                         "From a chunk's coming in to its being durable.",
                                         metrics::LatencyBuckets())) {
    const char* const codes[] = {"COMMITTED", "STALE", "INVALID", "RETRY"};
    for (const char* code : codes) {
      chunks.push_back(&metrics.Counter("imgfleet_coordinator_chunks_total", "Chunks answered, by code.",
                                        {{"code", code}}));
    }
  }

  prometheus::Gauge& streams;
  prometheus::Counter& granted;
  prometheus::Counter& handed_back;
  prometheus::Counter& void_leases;
  prometheus::Histogram& commit_seconds;
  std::vector<prometheus::Counter*> chunks;  // By core::CommitCode.
};

// One worker's stream. Owns itself until gRPC is done with it; the ledger's callbacks hold it as well.
class WorkersService::Stream final
    : public grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>,
      public std::enable_shared_from_this<WorkersService::Stream> {
 public:
  explicit Stream(WorkersService& service) : service_(service), session_(service.options_.session) {}

  void Begin(absl::Duration age) {
    self_ = shared_from_this();
    // The alarm keeps its function as long as it lives itself, so this must not hold the stream.
    alarm_.Set(absl::ToChronoTime(absl::Now() + age), [weak = weak_from_this()](bool reached) {
      const auto stream = weak.lock();
      if (reached && stream)
        stream->End(absl::UnavailableError("the stream has reached its age; connect again"));
    });
    StartRead(&incoming_);
  }

  void End(absl::Status status) {
    Do([&](WorkSession& session) { session.End(std::move(status)); });
  }
  void WorkAvailable() {
    Do([](WorkSession& session) { session.WorkAvailable(); });
  }
  void JobEnded(absl::string_view job_id) {
    Do([&](WorkSession& session) { session.JobEnded(job_id); });
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      {
        absl::MutexLock lock(&mutex_);
        reading_ = false;
        half_closed_ = true;
      }
      return Do([](WorkSession&) {});
    }
    const bool greeting = incoming_.has_hello();
    Do([&](WorkSession& session) { session.Received(incoming_); });
    if (greeting) Entered();
    absl::MutexLock lock(&mutex_);
    reading_ = !finished_ && !Stuffed();
    if (reading_) StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) broken_ = true;
    }
    Do([](WorkSession&) {});
  }

  void OnCancel() override { End(absl::CancelledError("the worker left")); }

  void OnDone() override {
    alarm_.Cancel();
    std::string worker_id;
    {
      absl::MutexLock lock(&mutex_);
      session_.End(absl::CancelledError("the stream is over"));
      finished_ = true;
      worker_id = session_.worker_id();
    }
    service_.Leave(worker_id, self_);
    self_.reset();
  }

  // The Hello was taken: leases of an older stream lapse unless this one renews them, which it can only do after this.
  void Entered() {
    std::string worker_id;
    {
      absl::MutexLock lock(&mutex_);
      if (session_.ended()) return;
      worker_id = session_.worker_id();
    }
    service_.Enter(worker_id, self_);
  }

  // Feeds the session, then does what it wants: queues its messages in their order, starts what gRPC can take now (which
  // waits for nothing), and calls the ledger after the lock.
  template <typename Feed>
  void Do(Feed feed) {
    std::vector<LedgerCall> calls;
    {
      absl::MutexLock lock(&mutex_);
      feed(session_);
      WorkSession::Output output = session_.Take();
      for (const LedgerCall& call : output.calls)
        committing_ += std::holds_alternative<CommitCall>(call) ? 1 : 0;
      for (auto& message : output.send) outgoing_.push_back(std::move(message));
      if (output.end) end_ = std::move(output.end);
      calls = std::move(output.calls);
      StartWhatIsDue();
    }
    for (LedgerCall& call : calls) Call(std::move(call));
  }

  void StartWhatIsDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_) return;
    // The worker has said all it will: what it is still owed are the answers.
    if (half_closed_ && !end_ && committing_ == 0 && outgoing_.empty()) end_ = absl::OkStatus();
    if (broken_ && !end_) end_ = absl::CancelledError("the worker left");
    // A stream that ends in the middle needs no answers: the worker asks for them again on its next one.
    if (end_ && (!end_->ok() || outgoing_.empty())) {
      finished_ = true;
      Finish(ToGrpc(*end_));
    } else if (!outgoing_.empty()) {
      current_ = std::move(outgoing_.front());
      outgoing_.pop_front();
      writing_ = true;
      StartWrite(&current_);
    }
    if (!finished_ && !reading_ && !half_closed_ && !Stuffed()) {
      reading_ = true;
      StartRead(&incoming_);
    }
  }

  bool Stuffed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return committing_ + outgoing_.size() > kMaxBacklog;
  }

  void Call(LedgerCall call);

  WorkersService& service_;

  std::shared_ptr<Stream> self_;    // Until OnDone.
  v1::WorkerMessage incoming_;      // Of the read in flight.
  v1::CoordinatorMessage current_;  // Of the write in flight.
  grpc::Alarm alarm_;

  absl::Mutex mutex_;
  WorkSession session_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::CoordinatorMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  size_t committing_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

void WorkersService::Stream::Call(LedgerCall call) {
  auto self = shared_from_this();
  store::Ledger& ledger = service_.ledger_;
  Counters& counters = *service_.counters_;
  if (auto* acquire = std::get_if<AcquireCall>(&call)) {
    std::string holder;
    {
      absl::MutexLock lock(&mutex_);
      holder = session_.worker_id();
    }
    ledger.Acquire(std::move(holder), acquire->max_items, acquire->max_bytes, [self, &counters](auto shards) {
      if (shards.ok()) counters.granted.Increment(static_cast<double>(shards->size()));
      self->Do([&](WorkSession& session) { session.Acquired(std::move(shards)); });
    });
  } else if (auto* renew = std::get_if<RenewCall>(&call)) {
    std::string holder;
    {
      absl::MutexLock lock(&mutex_);
      holder = session_.worker_id();
    }
    ledger.Renew(std::move(holder), std::move(renew->held), [self, &counters](auto void_leases) {
      if (void_leases.ok()) counters.void_leases.Increment(static_cast<double>(void_leases->size()));
      self->Do([&](WorkSession& session) { session.Renewed(void_leases); });
    });
  } else if (auto* commit = std::get_if<CommitCall>(&call)) {
    const core::LeaseRef lease = commit->chunk.lease;
    const auto items = static_cast<uint32_t>(commit->chunk.offsets.size());
    const Clock& clock = service_.clock_;
    ledger.CommitChunk(std::move(commit->chunk),
                       [self, &counters, &clock, lease, number = commit->number, items,
                        begun = clock.Boot()](const core::CommitAnswer& answer) {
                         counters.commit_seconds.Observe(absl::ToDoubleSeconds(clock.Boot() - begun));
                         counters.chunks[static_cast<size_t>(answer.code)]->Increment();
                         self->Do([&](WorkSession& session) {
                           // At one go with queueing the answer, or a stream that ends just now would end without it.
                           --self->committing_;
                           session.Committed(lease, number, items, answer);
                         });
                       });
  } else if (auto* back = std::get_if<HandBackCall>(&call)) {
    counters.handed_back.Increment();
    ledger.HandBack(back->lease, back->not_before,
                    [self, lease = back->lease, answered = back->answer](const core::CommitAnswer& answer) {
                      if (!answered) return;
                      self->Do([&](WorkSession& session) { session.HandedBack(lease, answer); });
                    });
  }
}

WorkersService::WorkersService(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics,
                               Options options)
    : ledger_(ledger), clock_(clock), options_(options), counters_(std::make_unique<Counters>(metrics)) {}

WorkersService::~WorkersService() = default;

grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* WorkersService::Work(
    grpc::CallbackServerContext*) {
  auto stream = std::make_shared<Stream>(*this);
  bool closed;
  {
    absl::MutexLock lock(&mutex_);
    closed = closed_;
    if (!closed) streams_.insert(stream);
  }
  absl::BitGen random;
  stream->Begin(options_.max_stream_age * absl::Uniform(random, 0.9, 1.0));
  if (closed) stream->End(absl::UnavailableError("the coordinator is stopping; connect to another"));
  return stream.get();
}

void WorkersService::Enter(const std::string& worker_id, const std::shared_ptr<Stream>& stream) {
  std::shared_ptr<Stream> older;
  {
    absl::MutexLock lock(&mutex_);
    older = std::exchange(by_worker_[worker_id], stream);
    counters_->streams.Set(static_cast<double>(by_worker_.size()));
  }
  if (older == nullptr || older == stream) return;
  ledger_.Disconnected(worker_id);
  older->End(absl::AbortedError("a newer stream of this worker came"));
}

void WorkersService::Leave(const std::string& worker_id, const std::shared_ptr<Stream>& stream) {
  bool current = false;
  {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
    const auto found = by_worker_.find(worker_id);
    if (found != by_worker_.end() && found->second == stream) {
      current = true;
      by_worker_.erase(found);
    }
    counters_->streams.Set(static_cast<double>(by_worker_.size()));
  }
  if (current) ledger_.Disconnected(worker_id);
}

std::vector<std::shared_ptr<WorkersService::Stream>> WorkersService::Streams() const {
  absl::MutexLock lock(&mutex_);
  return {streams_.begin(), streams_.end()};
}

void WorkersService::WorkAvailable() {
  for (const auto& stream : Streams()) stream->WorkAvailable();
}

void WorkersService::JobEnded(absl::string_view job_id) {
  for (const auto& stream : Streams()) stream->JobEnded(job_id);
}

void WorkersService::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (const auto& stream : Streams()) stream->End(absl::UnavailableError("the coordinator is stopping"));
}

size_t WorkersService::workers() const {
  absl::MutexLock lock(&mutex_);
  return by_worker_.size();
}

}  // namespace imgfleet::service
