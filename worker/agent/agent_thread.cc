#include "worker/agent/agent_thread.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>

#include "absl/random/random.h"
#include "common/log.h"
#include "common/outcome/reasons.h"

namespace imgfleet::agent {
namespace {

// How long outcomes may lie in the inbox while too few came to wake the thread.
constexpr absl::Duration kLook = absl::Milliseconds(10);
constexpr size_t kMaxWakeAt = 256;
// For the answers to the last hand backs.
constexpr absl::Duration kFarewell = absl::Seconds(2);
// Between reports of all origins in use, and before what is urgent goes, so that it goes together. Permits come with the
// number of a report, one of the last so many.
constexpr absl::Duration kReportOrigins = absl::Milliseconds(500), kReportUrgent = absl::Milliseconds(2);
constexpr size_t kOriginReports = 1024;

}  // namespace

struct AgentThread::Counters {
  explicit Counters(metrics::Registry& registry)
      : metrics(registry),
        measured(registry.Counter(kOutcomes, kOutcomesHelp, {{"reason", ""}})),
        in_flight(registry.Gauge("imgfleet_worker_items_in_flight", "Items given to the fetch engine.")),
        held(registry.Gauge("imgfleet_worker_items_held", "Leased items without an acknowledged outcome.")),
        leases(registry.Gauge("imgfleet_worker_leases", "Shards held.")),
        streams(registry.Counter("imgfleet_worker_connects_total", "Streams opened to the coordinator.")),
        put_off(registry.Counter("imgfleet_worker_items_put_off_total",
                                 "Items handed back because their origin asked to wait for long.")),
        fetched(registry.Counter("imgfleet_worker_fetched_bytes_total", "Body bytes fetched.")) {}

  static constexpr char kOutcomes[] = "imgfleet_worker_outcomes_total";
  static constexpr char kOutcomesHelp[] = "Outcomes, by reason of the failure.";

  void Count(const std::vector<FinishedItem>& items) {
    uint64_t bytes = 0, succeeded = 0;
    for (const FinishedItem& item : items) {
      bytes += item.outcome.fetched_bytes;
      if (!item.outcome.failed) ++succeeded;
      if (item.outcome.failed) CountFailure(item.outcome.reason);
    }
    fetched.Increment(static_cast<double>(bytes));
    measured.Increment(static_cast<double>(succeeded));
  }
  void CountFailure(v1::ItemError::Reason number) {
    prometheus::Counter*& counter = failed[number];
    if (counter == nullptr) {
      const std::string reason(outcome::ReasonName(number));
      counter = &metrics.Counter(kOutcomes, kOutcomesHelp, {{"reason", reason}});
    }
    counter->Increment();
  }

  metrics::Registry& metrics;
  prometheus::Counter& measured;
  prometheus::Gauge& in_flight;
  prometheus::Gauge& held;
  prometheus::Gauge& leases;
  prometheus::Counter& streams;
  prometheus::Counter& put_off;
  prometheus::Counter& fetched;
  absl::flat_hash_map<int, prometheus::Counter*> failed;
};

// What its items need to find their way back. They hold it until they are done.
struct AgentThread::RunningLease : task::Lease {
  std::shared_ptr<Inbox> inbox;
  uint64_t id = 0;
  bool urgent = false;
};

AgentThread::AgentThread(std::shared_ptr<grpc::Channel> channel, task::Runner& runner, const Clock& clock,
                         metrics::Registry& metrics, Agent::Options options)
    : channel_(std::move(channel)),
      stub_(v1::Workers::NewStub(channel_)),
      runner_(runner),
      clock_(clock),
      counters_(std::make_unique<Counters>(metrics)),
      agent_(std::move(options)),
      thread_([this] { Run(); }) {}

AgentThread::~AgentThread() {
  stopping_ = true;
  inbox_->Poke();
  thread_.join();
}

void AgentThread::Drain(absl::Duration timeout) {
  {
    absl::MutexLock lock(&mutex_);
    drain_ = timeout;
  }
  inbox_->Poke();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&drained_));
}

absl::Status AgentThread::Ready() const {
  absl::MutexLock lock(&mutex_);
  if (drain_ != absl::InfiniteDuration()) return absl::UnavailableError("draining");
  return ready_;
}

void AgentThread::SetReady(absl::Status ready) {
  absl::MutexLock lock(&mutex_);
  ready_ = std::move(ready);
}

void AgentThread::Run() {
  while (!stopping_) {
    absl::Time now = clock_.Boot();
    // The fewer items run, the sooner somebody waits for just this one.
    const size_t wake_at = std::clamp<size_t>(agent_.running() / 8, 1, kMaxWakeAt);
    inbox_->Wait(Rest(now), wake_at, &content_);
    now = clock_.Boot();
    if (!open_ && !finished_ && connect_at_ <= now) Connect(now);
    agent_.SetLoad(runner_.concurrency(), runner_.WaitsForOrigins(agent_.outstanding()));
    Take(content_, now);
    agent_.Tick(now);
    DrainOn(now);
    Do(agent_.Take());
    ReportOrigins(now);
    counters_->in_flight.Set(agent_.running());
    counters_->held.Set(static_cast<double>(agent_.outstanding()));
    counters_->leases.Set(static_cast<double>(agent_.leases()));
  }
  for (auto& [id, lease] : leases_) lease->abandoned = true;
  if (!leases_.empty()) runner_.DropAbandoned();
  if (open_) stream_->Cancel();
  runner_.HearOrigins(nullptr);
  absl::MutexLock lock(&mutex_);
  drained_ = true;
}

absl::Duration AgentThread::Rest(absl::Time now) const {
  absl::Time until = std::min({agent_.NextWake(), give_up_at_, farewell_at_});
  if (!open_ && !finished_) until = std::min(until, connect_at_);
  if (deals_ && agent_.welcomed()) {
    until = std::min(until, report_origins_at_);
    if (*origins_rang_) until = std::min(until, OriginsReported() + kReportUrgent);
  }
  if (agent_.running() > 0) until = std::min(until, now + kLook);
  return std::max(until - now, absl::ZeroDuration());
}

void AgentThread::Connect(absl::Time now) {
  ++stream_number_;
  open_ = true;
  worked_ = false;
  counters_->streams.Increment();
  // When to try again is ours to say: gRPC's own wait goes by the wall clock, which may have been set back meanwhile.
  if (failures_ > 0) grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
  stream_ = Stream::Open(*stub_, stream_number_, inbox_);
  agent_.Connected(now);
}

void AgentThread::Take(Inbox::Content& content, absl::Time now) {
  const auto put_off = std::partition(
      content.finished.begin(), content.finished.end(),
      [&](const FinishedItem& item) { return agent_.Finished(item.lease, item.offset, item.outcome, now); });
  counters_->put_off.Increment(static_cast<double>(content.finished.end() - put_off));
  content.finished.erase(put_off, content.finished.end());
  if (!content.finished.empty()) counters_->Count(content.finished);
  for (const uint64_t lease : content.not_begun) agent_.NotBegun(lease, now);
  for (auto& event : content.stream) {
    if (auto* message = std::get_if<StreamMessage>(&event)) {
      Take(std::move(*message), now);
    } else {
      Take(std::get<StreamEnd>(event), now);
    }
  }
}

void AgentThread::Take(StreamMessage message, absl::Time now) {
  if (message.stream != stream_number_) return;
  agent_.Received(message.message, now);
  TakeOrigins(message.message, now);
  if (worked_ || !agent_.welcomed()) return;
  worked_ = true;
  if (failures_ > 0) log::Info("connected to the coordinator again");
  failures_ = 0;
  SetReady(absl::OkStatus());
}

void AgentThread::Take(const StreamEnd& end, absl::Time now) {
  if (end.stream != stream_number_) return;
  open_ = false;
  stream_ = nullptr;
  agent_.Disconnected();
  if (deals_) runner_.LosePermits(now);
  if (agent_.draining() && agent_.idle()) {
    finished_ = true;
    return;
  }
  absl::BitGen random;
  if (worked_) {
    // A stream that has reached its age, most often.
    log::Debug("the stream ended (%s), connecting again", std::string(end.status.message()));
    connect_at_ = now;
    worked_ = false;
    failures_ = 0;
    SetReady(absl::UnavailableError("reconnecting to the coordinator"));
    return;
  }
  connect_at_ = now + backoff_.Wait(++failures_, absl::Uniform(random, 0.0, 1.0));
  SetReady(end.status);
  if (failures_ == 1 || end.status.code() == absl::StatusCode::kFailedPrecondition) {
    log::Warning("the coordinator does not take this worker, trying on: %s", end.status.ToString());
  }
}

void AgentThread::DrainOn(absl::Time now) {
  absl::Duration timeout;
  {
    absl::MutexLock lock(&mutex_);
    timeout = drain_;
  }
  if (timeout == absl::InfiniteDuration() || finished_) {
    if (!finished_) return;
    absl::MutexLock lock(&mutex_);
    drained_ = true;
    return;
  }
  if (!agent_.draining()) {
    agent_.Drain(now);
    give_up_at_ = now + timeout;
    for (auto& [id, lease] : leases_) lease->closing = true;
    if (!leases_.empty()) runner_.DropAbandoned();
  }
  if (!agent_.idle() && give_up_at_ <= now) {
    log::Warning("the time to drain is over with %d items running; they are handed back", agent_.running());
    agent_.GiveUp(now);
    give_up_at_ = absl::InfiniteFuture();
  }
  if (!agent_.idle()) return;
  give_up_at_ = absl::InfiniteFuture();
  Do(agent_.Take());
  if (!open_) {
    finished_ = true;
  } else {
    // The end of the stream is all there is to wait for.
    stream_->CloseSending();
    if (farewell_at_ <= now) stream_->Cancel();
    if (farewell_at_ <= now || farewell_at_ == absl::InfiniteFuture()) farewell_at_ = now + kFarewell;
  }
  if (finished_) {
    absl::MutexLock lock(&mutex_);
    drained_ = true;
  }
}

void AgentThread::TakeOrigins(const v1::CoordinatorMessage& message, absl::Time now) {
  if (message.has_welcome()) {
    deals_ = message.welcome().deals_origins();
    origin_reports_ = 0;
    origins_reported_.clear();
    report_origins_at_ = now;
    runner_.HearOrigins(deals_ ? std::function<void()>([inbox = inbox_, rang = origins_rang_] {
      rang->store(true);
      inbox->Poke();
    })
                               : nullptr);
  } else if (message.has_permits()) {
    const uint64_t first = origin_reports_ - origins_reported_.size() + 1;
    const uint64_t report = message.permits().report();
    const bool known = report >= first && report <= origin_reports_;
    runner_.KeepPermits(message.permits(), known ? origins_reported_[report - first] : absl::InfinitePast(),
                        now);
  }
}

absl::Time AgentThread::OriginsReported() const {
  return origins_reported_.empty() ? absl::InfinitePast() : origins_reported_.back();
}

void AgentThread::ReportOrigins(absl::Time now) {
  if (!deals_ || !open_ || !agent_.welcomed()) return;
  const bool all = report_origins_at_ <= now;
  const bool rang = OriginsReported() + kReportUrgent <= now && origins_rang_->exchange(false);
  if (all) report_origins_at_ = now + kReportOrigins;
  if (!all && !rang) return;
  v1::WorkerMessage message;
  *message.mutable_origins() = runner_.ReportOrigins(all, now);
  if (message.origins().origins().empty()) return;
  message.mutable_origins()->set_number(++origin_reports_);
  origins_reported_.push_back(now);
  if (origins_reported_.size() > kOriginReports) origins_reported_.pop_front();
  stream_->Send(std::move(message));
}

void AgentThread::Do(Agent::Output output) {
  for (auto& message : output.send) {
    if (open_) stream_->Send(std::move(message));
  }
  for (auto& [id, first, spec, urgent] : output.leases) {
    auto lease = std::make_shared<RunningLease>();
    lease->spec = std::move(spec);
    lease->inbox = inbox_;
    lease->id = id;
    lease->urgent = urgent;
    lease->put_off = [running = lease.get(), first](uint64_t index, const v1::Outcome& outcome,
                                                    absl::Duration wait) {
      running->inbox->Push(running->id, static_cast<uint32_t>(index - first), outcome, running->urgent, wait);
    };
    lease->not_begun = [running = lease.get()] { running->inbox->PushNotBegun(running->id); };
    leases_[id] = std::move(lease);
  }
  bool drop = false;
  for (const uint64_t id : output.abandon) {
    if (const auto lease = leases_.find(id); lease != leases_.end()) {
      lease->second->abandoned = true;
      drop = true;
    }
  }
  std::vector<task::Item> items;
  items.reserve(output.start.size());
  for (Agent::StartItem& start : output.start) {
    const auto lease = leases_.find(start.lease);
    if (lease == leases_.end()) continue;
    items.push_back({start.index, std::move(*start.item.mutable_id()), std::move(*start.item.mutable_url()),
                     lease->second,
                     // Small enough to lie in the std::function itself.
                     [running = lease->second.get(), offset = start.offset](const v1::Outcome& outcome) {
                       running->inbox->Push(running->id, offset, outcome, running->urgent);
                     },
                     start.urgent});
  }
  for (const uint64_t id : output.closed) leases_.erase(id);
  if (!items.empty()) runner_.Start(std::move(items));
  if (drop) runner_.DropAbandoned();
}

}  // namespace imgfleet::agent
