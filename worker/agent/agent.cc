#include "worker/agent/agent.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::agent {
namespace {

// A lease whose bytes this worker cannot read goes to others; here it would only come back at once.
constexpr absl::Duration kUnreadableDelay = absl::Seconds(10);

// Parts of a job's share of the room. The items that go before all others are few, so that a large job that is new cannot
// take all the slots that the engine keeps for them.
constexpr uint32_t kLittle = 8;
constexpr uint32_t kNextToNothing = 128;

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

Agent::Agent(Options options) : options_(std::move(options)) { IMGFLEET_CHECK(options_.capacity_items > 0); }

Agent::Output Agent::Take() {
  for (const uint64_t id : std::exchange(urgent_due_, {})) {
    if (const auto found = held_.find(id); found != held_.end()) Flush(*found->second);
  }
  StartWaiting();
  return std::exchange(output_, Output());
}

void Agent::Connected(absl::Time now) {
  stream_ = Stream::kGreeting;
  last_lease_number_ = 0;
  last_report_ = now;
  output_.send.clear();
  v1::Hello* hello = output_.send.emplace_back().mutable_hello();
  hello->set_protocol_min(kProtocolVersion);
  hello->set_protocol_max(kProtocolVersion);
  hello->set_worker_id(options_.worker_id);
  hello->set_display_name(options_.display_name);
  hello->set_version(options_.version);
}

void Agent::Disconnected() {
  stream_ = Stream::kDown;
  output_.send.clear();
}

void Agent::Received(const v1::CoordinatorMessage& message, absl::Time now) {
  if (message.has_welcome()) return OnWelcome(message.welcome(), now);
  if (stream_ != Stream::kWelcomed) return;
  if (message.has_lease()) return OnLease(message.lease(), now);
  if (message.has_ack()) return OnAck(message.ack(), now);
  if (message.has_revoke()) return OnRevoke(message.revoke());
}

void Agent::OnWelcome(const v1::Welcome& welcome, absl::Time now) {
  if (stream_ != Stream::kGreeting) return;
  stream_ = Stream::kWelcomed;
  lease_period_ = std::max(FromProto(welcome.lease_period()), absl::Milliseconds(10));
  // Never so rarely that one late report loses a lease.
  report_interval_ =
      std::clamp(FromProto(welcome.report_interval()), absl::Milliseconds(1), lease_period_ / 2);
  SendReport(now);
  for (auto& [id, lease] : held_) {
    for (SentChunk& sent : lease->unacknowledged) {
      sent.retry_at = absl::InfiniteFuture();
      *output_.send.emplace_back().mutable_chunk() = sent.chunk;
    }
  }
}

void Agent::OnLease(const v1::Lease& lease, absl::Time now) {
  // One that comes again may have been let go since.
  if (lease.lease_number() <= last_lease_number_) return;
  last_lease_number_ = lease.lease_number();
  const Shard key(lease.shard().job_id(), lease.shard().shard());
  if (const auto known = by_shard_.find(key); known != by_shard_.end()) {
    if (held_.at(known->second)->epoch >= lease.lease_epoch()) return;
    Close(known->second);
  }
  if (draining_) return SendHandBack(lease.shard(), lease.lease_epoch(), absl::ZeroDuration());
  auto opened = OpenLease(lease);
  if (!opened.ok()) {
    log::Error("lease of shard %d of job %s cannot be used, handing it back: %s", lease.shard().shard(),
               lease.shard().job_id(), opened.status().ToString());
    return SendHandBack(lease.shard(), lease.lease_epoch(), kUnreadableDelay);
  }
  HeldLease& held = **opened;
  held.id = next_lease_++;
  held.renewed = std::min(last_report_, now);
  outstanding_ += held.outstanding;
  by_shard_[key] = held.id;
  std::unique_ptr<HeldJob>& job = jobs_[key.first];
  if (job == nullptr) job = std::make_unique<HeldJob>();
  held.job = job.get();
  ++job->leases;
  job->waiting.push_back(held.id);
  if (!std::exchange(job->listed, true)) waiting_.push_back(job.get());
  held_[held.id] = *std::move(opened);
}

void Agent::OnAck(const v1::Ack& ack, absl::Time now) {
  HeldLease* lease = Find(ack.shard(), ack.lease_epoch());
  if (lease == nullptr || ack.chunk_number() == 0) return;
  const auto sent =
      std::find_if(lease->unacknowledged.begin(), lease->unacknowledged.end(),
                   [&](const SentChunk& s) { return s.chunk.chunk_number() == ack.chunk_number(); });
  if (sent == lease->unacknowledged.end()) return;  // A second answer to what was sent twice.
  switch (ack.code()) {
    case v1::Ack::COMMITTED: {
      const auto items = static_cast<uint32_t>(sent->chunk.offsets_size());
      lease->outstanding -= items;
      outstanding_ -= items;
      acknowledged_since_report_ += items;
      lease->unacknowledged.erase(sent);
      CloseIfDone(*lease, now);
      if (acknowledged_since_report_ * 4 >= options_.capacity_items) SendReport(now);
      return;
    }
    case v1::Ack::RETRY:
      sent->retry_at = now + options_.retry_delay * std::min(1 << std::min(sent->retries, 4), 10);
      ++sent->retries;
      return;
    case v1::Ack::INVALID:
      log::Error("chunk of shard %d of job %s was refused: %s", ack.shard().shard(), ack.shard().job_id(),
                 ack.message());
      return Close(lease->id);
    default:
      return Close(lease->id);
  }
}

void Agent::OnRevoke(const v1::Revoke& revoke) {
  if (const HeldLease* lease = Find(revoke.shard(), revoke.lease_epoch())) Close(lease->id);
}

HeldLease* Agent::Find(const v1::ShardKey& shard, uint64_t epoch) {
  const auto known = by_shard_.find(Shard(shard.job_id(), shard.shard()));
  if (known == by_shard_.end()) return nullptr;
  HeldLease* lease = held_.at(known->second).get();
  return lease->epoch == epoch ? lease : nullptr;
}

HeldLease* Agent::NextWaiting(HeldJob& job) {
  for (; !job.waiting.empty(); job.waiting.pop_front()) {
    const auto found = held_.find(job.waiting.front());
    if (found != held_.end() && found->second->waiting()) return found->second.get();
  }
  return nullptr;
}

bool Agent::HasLessThan(const HeldJob& job, uint32_t part) const {
  return uint64_t{job.running} * part * jobs_.size() < options_.capacity_items;
}

bool Agent::Holds(const v1::ShardKey& shard, uint64_t epoch) const {
  const auto known = by_shard_.find(Shard(shard.job_id(), shard.shard()));
  return known != by_shard_.end() && held_.at(known->second)->epoch == epoch;
}

void Agent::StartWaiting() {
  std::vector<std::pair<HeldJob*, HeldLease*>> turns;
  for (HeldJob* job : waiting_) {
    HeldLease* lease = NextWaiting(*job);
    job->listed = lease != nullptr;
    if (lease != nullptr) turns.emplace_back(job, lease);
  }
  std::erase_if(waiting_, [](const HeldJob* job) { return !job->listed; });
  const auto later = [](const auto& a, const auto& b) {
    if (a.second->urgent != b.second->urgent) return b.second->urgent;
    return std::pair(a.first->running, a.second->id) > std::pair(b.first->running, b.second->id);
  };
  std::make_heap(turns.begin(), turns.end(), later);
  while (!turns.empty() && running_ < options_.capacity_items) {
    std::pop_heap(turns.begin(), turns.end(), later);
    auto& [job, lease] = turns.back();
    const bool last_eighth = running_ >= options_.capacity_items - options_.capacity_items / 8;
    if (last_eighth && !lease->urgent && !HasLessThan(*job, kLittle)) {
      turns.pop_back();
      continue;
    }
    StartNext(*job, *lease);
    if (!lease->waiting()) lease = NextWaiting(*job);
    if (lease == nullptr) {
      turns.pop_back();
    } else {
      std::push_heap(turns.begin(), turns.end(), later);
    }
  }
}

void Agent::StartNext(HeldJob& job, HeldLease& lease) {
  if (!std::exchange(lease.announced, true))
    output_.leases.push_back({lease.id, lease.first_index, lease.spec, lease.urgent});
  const uint32_t offset = lease.offsets[lease.next++];
  output_.start.push_back({lease.id, offset, lease.first_index + offset,
                           std::move(*lease.batch.mutable_items(static_cast<int>(offset))),
                           lease.urgent || (jobs_.size() > 1 && HasLessThan(job, kNextToNothing))});
  ++running_;
  ++lease.running;
  ++job.running;
}

bool Agent::Finished(uint64_t id, uint32_t offset, const PackedOutcome& outcome, absl::Time now) {
  const auto found = held_.find(id);
  if (found == held_.end()) return true;
  HeldLease& lease = *found->second;
  IMGFLEET_CHECK(lease.running > 0 && running_ > 0);
  --lease.running;
  --lease.job->running;
  --running_;
  const bool put_off = outcome.put_off > absl::ZeroDuration() && lease.put_offs < options_.max_put_offs;
  if (put_off) {
    lease.not_before = std::min(lease.not_before, now + outcome.put_off);
  } else {
    lease.gathering.Add(offset, outcome, now);
    if (lease.urgent) urgent_due_.push_back(id);
  }
  if (lease.gathering.items() >= options_.chunk_items || lease.gathering.bytes() >= options_.chunk_bytes ||
      (lease.running == 0 && !lease.waiting())) {
    Flush(lease);
  }
  if (put_off) CloseIfDone(lease, now);
  return !put_off;
}

void Agent::NotBegun(uint64_t id, absl::Time now) {
  const auto found = held_.find(id);
  if (found == held_.end()) return;
  HeldLease& lease = *found->second;
  IMGFLEET_CHECK(lease.running > 0 && running_ > 0);
  --lease.running;
  --lease.job->running;
  --running_;
  if (lease.urgent) return GiveBack(lease, now);
  if (lease.running == 0) Flush(lease);
  CloseIfDone(lease, now);
}

void Agent::Flush(HeldLease& lease) {
  if (lease.gathering.empty()) return;
  v1::Chunk chunk = lease.gathering.Pack();
  *chunk.mutable_shard() = lease.shard;
  chunk.set_lease_epoch(lease.epoch);
  chunk.set_chunk_number(next_chunk_++);
  if (welcomed()) *output_.send.emplace_back().mutable_chunk() = chunk;
  lease.unacknowledged.push_back({std::move(chunk)});
}

void Agent::FlushAged(absl::Time now) {
  bool due = false;
  for (const auto& [id, lease] : held_) due |= lease->gathering.since() + options_.chunk_age <= now;
  if (!due) return;
  // With the one that is due go those that soon will be: the coordinator commits what comes together at one
  // go.
  for (const auto& [id, lease] : held_) {
    if (lease->gathering.since() + options_.chunk_age / 2 <= now) Flush(*lease);
  }
}

void Agent::Tick(absl::Time now) {
  std::vector<uint64_t> lapsed;
  for (const auto& [id, lease] : held_) {
    if (lease->renewed + lease_period_ <= now) lapsed.push_back(id);
  }
  for (const uint64_t id : lapsed) Close(id);
  FlushAged(now);
  if (!welcomed()) return;
  for (const auto& [id, lease] : held_) {
    for (SentChunk& sent : lease->unacknowledged) {
      if (sent.retry_at > now) continue;
      sent.retry_at = absl::InfiniteFuture();
      *output_.send.emplace_back().mutable_chunk() = sent.chunk;
    }
  }
  if (last_report_ + report_interval_ <= now) SendReport(now);
}

absl::Time Agent::NextWake() const {
  absl::Time wake = welcomed() ? last_report_ + report_interval_ : absl::InfiniteFuture();
  for (const auto& [id, lease] : held_) {
    wake = std::min({wake, lease->renewed + lease_period_, lease->gathering.since() + options_.chunk_age});
    if (!welcomed()) continue;
    for (const SentChunk& sent : lease->unacknowledged) wake = std::min(wake, sent.retry_at);
  }
  return wake;
}

void Agent::SendReport(absl::Time now) {
  v1::Report* report = output_.send.emplace_back().mutable_report();
  for (const auto& [id, lease] : held_) {
    v1::HeldLease* held = report->add_held();
    *held->mutable_shard() = lease->shard;
    held->set_lease_epoch(lease->epoch);
    held->set_items(lease->outstanding);
    held->set_bytes(lease->bytes);
    lease->renewed = now;
  }
  report->set_capacity_items(draining_ ? 0 : options_.capacity_items);
  report->set_capacity_bytes(draining_ ? 0 : options_.capacity_bytes);
  const bool waited = std::exchange(waited_for_origins_, waits_for_origins_);
  report->set_concurrency(waited && waits_for_origins_ ? 0 : concurrency_);
  report->set_draining(draining_);
  report->set_last_lease_number(last_lease_number_);
  last_report_ = now;
  acknowledged_since_report_ = 0;
}

void Agent::SendHandBack(const v1::ShardKey& shard, uint64_t epoch, absl::Duration not_before) {
  // Without a stream the lease lapses by itself.
  if (!welcomed()) return;
  v1::HandBack* back = output_.send.emplace_back().mutable_hand_back();
  *back->mutable_shard() = shard;
  back->set_lease_epoch(epoch);
  back->mutable_not_before()->set_seconds(absl::ToInt64Seconds(absl::Ceil(not_before, absl::Seconds(1))));
}

void Agent::HandBack(const HeldLease& lease, absl::Time now) {
  const bool put_off = lease.not_before != absl::InfiniteFuture();
  SendHandBack(lease.shard, lease.epoch,
               put_off ? std::max(lease.not_before - now, absl::Seconds(1)) : absl::ZeroDuration());
}

void Agent::Drain(absl::Time now) {
  if (std::exchange(draining_, true)) return;
  // First of all: what is handed back is not to be leased to this worker again.
  if (welcomed()) SendReport(now);
  std::vector<HeldLease*> leases;
  for (const auto& [id, lease] : held_) leases.push_back(lease.get());
  for (HeldLease* lease : leases) {
    const bool unstarted = lease->waiting();
    lease->closing = true;
    if (unstarted && lease->urgent) {
      GiveBack(*lease, now);
      continue;
    }
    if (lease->running == 0) Flush(*lease);
    CloseIfDone(*lease, now);
  }
}

void Agent::GiveUp(absl::Time now) {
  Drain(now);
  std::vector<uint64_t> ids;
  for (const auto& [id, lease] : held_) ids.push_back(id);
  for (const uint64_t id : ids) GiveBack(*held_.at(id), now);
}

void Agent::GiveBack(HeldLease& lease, absl::Time now) {
  Flush(lease);
  HandBack(lease, now);
  Close(lease.id);
}

void Agent::CloseIfDone(HeldLease& lease, absl::Time now) {
  if (lease.running > 0 || lease.waiting() || !lease.gathering.empty() || !lease.unacknowledged.empty())
    return;
  if (lease.outstanding > 0) HandBack(lease, now);
  Close(lease.id);
}

void Agent::Close(uint64_t id) {
  const auto found = held_.find(id);
  const HeldLease& lease = *found->second;
  running_ -= lease.running;
  lease.job->running -= lease.running;
  outstanding_ -= lease.outstanding;
  // Room that came back without an acknowledgement counts as well.
  acknowledged_since_report_ += lease.outstanding;
  if (lease.running > 0) output_.abandon.push_back(id);
  output_.closed.push_back(id);
  by_shard_.erase(Shard(lease.shard.job_id(), lease.shard.shard()));
  if (--lease.job->leases == 0) {
    if (lease.job->listed) std::erase(waiting_, lease.job);
    jobs_.erase(lease.shard.job_id());
  }
  held_.erase(found);
}

}  // namespace imgfleet::agent
