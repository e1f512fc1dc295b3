#include "coordinator/service/work_streams.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace imgfleet::service {
namespace {

// Commits that are under way and answers that were not yet sent: beyond so many the worker is not listened to.
constexpr size_t kMaxBacklog = 256;

}  // namespace

struct WorkStreams::Counters {
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

// --- One stream -----------------------------------------------------------------------------------------------

WorkStream::WorkStream(WorkStreams& streams, Wire& wire, uint64_t number)
    : streams_(streams), wire_(wire), number_(number), session_(streams.options_) {}

void WorkStream::Begin() {
  absl::MutexLock lock(&mutex_);
  if (!finished_) wire_.StartRead();
}

void WorkStream::End(absl::Status status) {
  Do([&](WorkSession& session) { session.End(std::move(status)); });
}

void WorkStream::WorkAvailable(Lane lane) {
  Do([&](WorkSession& session) { session.WorkAvailable(lane); });
}

void WorkStream::JobEnded(absl::string_view job_id) {
  Do([&](WorkSession& session) { session.JobEnded(job_id); });
}

uint64_t WorkStream::room() const {
  absl::MutexLock lock(&mutex_);
  return session_.ended() ? 0 : session_.room();
}

size_t WorkStream::leases() const {
  absl::MutexLock lock(&mutex_);
  return session_.leases();
}

std::string WorkStream::worker_id() const {
  absl::MutexLock lock(&mutex_);
  return session_.worker_id();
}

bool WorkStream::draining() const {
  absl::MutexLock lock(&mutex_);
  return session_.draining();
}

void WorkStream::Send(v1::CoordinatorMessage message) {
  {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    outgoing_.push_back(std::move(message));
  }
  Do([](WorkSession&) {});
}

void WorkStream::OnRead(const v1::WorkerMessage& message) {
  Do([&](WorkSession& session) { session.Received(message); });
  if (message.has_origins() && streams_.origins_ != nullptr) {
    if (const std::string worker = worker_id(); !worker.empty())
      streams_.origins_->Report(worker, message.origins());
  }
  if (message.has_hello()) Entered();
  absl::MutexLock lock(&mutex_);
  reading_ = !finished_ && !Stuffed();
  if (reading_) wire_.StartRead();
}

void WorkStream::OnReadsDone() {
  {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    half_closed_ = true;
  }
  Do([](WorkSession&) {});
}

void WorkStream::OnWritten(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) broken_ = true;
  }
  Do([](WorkSession&) {});
}

void WorkStream::OnDone() {
  std::string worker_id;
  {
    absl::MutexLock lock(&mutex_);
    session_.End(absl::CancelledError("the stream is over"));
    finished_ = true;
    worker_id = session_.worker_id();
  }
  streams_.Leave(worker_id, shared_from_this());
}

void WorkStream::Entered() {
  std::string worker_id;
  {
    absl::MutexLock lock(&mutex_);
    if (session_.ended()) return;
    worker_id = session_.worker_id();
  }
  streams_.Enter(worker_id, shared_from_this());
}

// Feeds the session, then does what it wants: queues its messages in their order, starts what the wire can take now
// (which waits for nothing), and calls the ledger after the lock.
template <typename Feed>
void WorkStream::Do(Feed feed) {
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

void WorkStream::StartWhatIsDue() {
  if (finished_ || writing_) return;
  // The worker has said all it will: what it is still owed are the answers.
  if (half_closed_ && !end_ && committing_ == 0 && outgoing_.empty()) end_ = absl::OkStatus();
  if (broken_ && !end_) end_ = absl::CancelledError("the worker left");
  // A stream that ends in the middle needs no answers: the worker asks for them again on its next one.
  if (end_ && (!end_->ok() || outgoing_.empty())) {
    finished_ = true;
    wire_.Finish(*end_);
  } else if (!outgoing_.empty()) {
    current_ = std::move(outgoing_.front());
    outgoing_.pop_front();
    writing_ = true;
    wire_.StartWrite(current_);
  }
  if (!finished_ && !reading_ && !half_closed_ && !Stuffed()) {
    reading_ = true;
    wire_.StartRead();
  }
}

bool WorkStream::Stuffed() const { return committing_ + outgoing_.size() > kMaxBacklog; }

void WorkStream::Call(LedgerCall call) {
  auto self = shared_from_this();
  WorkStreams::Counters& counters = *streams_.counters_;
  if (auto* acquire = std::get_if<AcquireCall>(&call)) {
    const Lane lane = acquire->lane;
    auto answer = [self, &counters, lane](absl::StatusOr<core::Leases> shards) {
      if (shards.ok()) counters.granted.Increment(static_cast<double>(shards->size()));
      self->Do([&](WorkSession& session) { session.Acquired(std::move(shards), lane); });
    };
    streams_.LedgerOf(lane).Acquire(worker_id(), std::move(acquire->credit), std::move(answer));
  } else if (auto* renew = std::get_if<RenewCall>(&call)) {
    if (renew->first) streams_.ledger_.Returned(worker_id(), renew->held);
    if (renew->held.empty()) return;
    streams_.LedgerOf(renew->lane)
        .Renew(worker_id(), std::move(renew->held),
               [self, &counters, lane = renew->lane](const absl::StatusOr<core::VoidLeases>& void_leases) {
                 if (void_leases.ok())
                   counters.void_leases.Increment(static_cast<double>(void_leases->size()));
                 self->Do([&](WorkSession& session) { session.Renewed(void_leases, lane); });
               });
  } else if (auto* commit = std::get_if<CommitCall>(&call)) {
    const core::LeaseRef lease = commit->chunk.lease;
    const auto items = static_cast<uint32_t>(commit->chunk.offsets.size());
    const Clock& clock = streams_.clock_;
    streams_.LedgerOf(LaneOf(lease.shard.job_id))
        .CommitChunk(std::move(commit->chunk),
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
    streams_.LedgerOf(LaneOf(back->lease.shard.job_id))
        .HandBack(back->lease, back->not_before,
                  [self, lease = back->lease, answered = back->answer](const core::CommitAnswer& answer) {
                    if (!answered) return;
                    self->Do([&](WorkSession& session) { session.HandedBack(lease, answer); });
                  });
  }
}

// --- All of them ----------------------------------------------------------------------------------------------

WorkStreams::WorkStreams(store::Ledger& ledger, const Clock& clock, metrics::Registry& metrics,
                         WorkSession::Options options, store::Ledger* express)
    : ledger_(ledger),
      express_(express),
      clock_(clock),
      options_(options),
      counters_(std::make_unique<Counters>(metrics)) {}

WorkStreams::~WorkStreams() = default;

std::shared_ptr<WorkStream> WorkStreams::Open(Wire& wire) {
  std::shared_ptr<WorkStream> stream;
  bool closed;
  {
    absl::MutexLock lock(&mutex_);
    stream.reset(new WorkStream(*this, wire, ++opened_));
    closed = closed_;
    if (!closed) streams_[opened_] = stream;
  }
  if (closed) stream->End(absl::UnavailableError("the coordinator is stopping; connect to another"));
  return stream;
}

void WorkStreams::Enter(const std::string& worker_id, const std::shared_ptr<WorkStream>& stream) {
  std::shared_ptr<WorkStream> older;
  {
    absl::MutexLock lock(&mutex_);
    older = std::exchange(by_worker_[worker_id], stream);
    counters_->streams.Set(static_cast<double>(by_worker_.size()));
  }
  // It may be the first that can take what others have lost.
  if (express_ != nullptr) stream->WorkAvailable(Lane::kExpress);
  if (older == nullptr || older == stream) return;
  Disconnected(worker_id, true);
  older->End(absl::AbortedError("a newer stream of this worker came"));
}

void WorkStreams::Leave(const std::string& worker_id, const std::shared_ptr<WorkStream>& stream) {
  bool current = false;
  {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream->number_);
    const auto found = by_worker_.find(worker_id);
    if (found != by_worker_.end() && found->second == stream) {
      current = true;
      by_worker_.erase(found);
    }
    counters_->streams.Set(static_cast<double>(by_worker_.size()));
  }
  if (!current) return;
  if (origins_ != nullptr) origins_->Left(worker_id);
  Disconnected(worker_id, stream->draining());
  if (worker_left_ != nullptr) worker_left_();
}

void WorkStreams::Disconnected(const std::string& worker_id, bool in_peace) {
  ledger_.Disconnected(worker_id, in_peace);
  if (express_ != nullptr) express_->Disconnected(worker_id);
}

void WorkStreams::Send(const std::string& worker_id, v1::CoordinatorMessage message) {
  std::shared_ptr<WorkStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = by_worker_.find(worker_id);
    if (found != by_worker_.end()) stream = found->second;
  }
  if (stream != nullptr) stream->Send(std::move(message));
}

std::vector<std::shared_ptr<WorkStream>> WorkStreams::Streams() const {
  std::vector<std::shared_ptr<WorkStream>> streams;
  absl::MutexLock lock(&mutex_);
  for (const auto& [number, stream] : streams_) streams.push_back(stream);
  return streams;
}

void WorkStreams::WorkAvailable() {
  for (const auto& stream : Streams()) stream->WorkAvailable(Lane::kDurable);
}

bool WorkStreams::OfferExpress(uint64_t items) {
  const std::vector<std::shared_ptr<WorkStream>> streams = Streams();
  uint64_t most = 0, sum = 0;
  WorkStream* roomiest = nullptr;
  for (const auto& stream : streams) {
    const uint64_t room = stream->room();
    sum += room;
    if (room <= most) continue;
    most = room;
    roomiest = stream.get();
  }
  if (sum < std::max<uint64_t>(items, 1)) return false;
  if (most >= items) {
    roomiest->WorkAvailable(Lane::kExpress);
  } else {
    for (const auto& stream : streams) stream->WorkAvailable(Lane::kExpress);
  }
  return true;
}

void WorkStreams::JobEnded(absl::string_view job_id) {
  for (const auto& stream : Streams()) stream->JobEnded(job_id);
}

void WorkStreams::Close() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (const auto& stream : Streams()) stream->End(absl::UnavailableError("the coordinator is stopping"));
}

size_t WorkStreams::workers() const {
  absl::MutexLock lock(&mutex_);
  return by_worker_.size();
}

}  // namespace imgfleet::service
