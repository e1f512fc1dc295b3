#include "coordinator/service/work_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace imgfleet::service {
namespace {

// Before a shard is leased again of which a worker sent what cannot be: time for others to take its place, and a bound
// on the turns of one that stays broken.
constexpr absl::Duration kInvalidDelay = absl::Seconds(5);
constexpr size_t kMaxIdBytes = 128;
// Of the credit, for jobs of which the worker holds less than an eighth of that.
constexpr uint64_t kSpareShare = 8;
// Of a worker that says how many items it works on at a time: how much it may hold besides.
constexpr uint64_t kIntervalsOfWork = 4;
constexpr uint64_t kFewItems = 16;
// What waits for an answer ends rather than wait for an origin that asks for time.
constexpr uint32_t kNeverPutOff = 1'000'000;
constexpr int kMaxChunkOutcomes = 256;
constexpr uint64_t kMaxNotBeforeSeconds = 3600;

void ToProto(absl::Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

core::LeaseRef Ref(const v1::ShardKey& shard, uint64_t epoch) {
  return {{shard.job_id(), shard.shard()}, epoch};
}

void ToProto(const core::ShardKey& shard, v1::ShardKey* out) {
  out->set_job_id(shard.job_id);
  out->set_shard(shard.shard);
}

v1::Ack::Code ToProto(core::CommitCode code) {
  switch (code) {
    case core::CommitCode::kCommitted:
      return v1::Ack::COMMITTED;
    case core::CommitCode::kStale:
      return v1::Ack::STALE;
    case core::CommitCode::kInvalid:
      return v1::Ack::INVALID;
    case core::CommitCode::kRetry:
      return v1::Ack::RETRY;
  }
  return v1::Ack::RETRY;
}

// What is wrong with a chunk whatever the shard; empty if nothing is.
std::string FaultOf(const v1::Chunk& chunk) {
  if (chunk.offsets_size() == 0) return "chunk without an outcome";
  if (chunk.offsets_size() > kMaxChunkOutcomes) {
    return absl::StrCat("chunk of ", chunk.offsets_size(), " outcomes, at most ", kMaxChunkOutcomes,
                        " are taken");
  }
  if (chunk.payload().empty()) return "chunk without a payload";
  uint64_t counted = chunk.succeeded();
  for (const v1::ReasonCount& failure : chunk.failures()) counted += failure.count();
  if (counted != static_cast<uint64_t>(chunk.offsets_size())) {
    return absl::StrCat("chunk of ", chunk.offsets_size(), " outcomes counts ", counted);
  }
  return "";
}

}  // namespace

WorkSession::Output WorkSession::Take() {
  if (!ended_) AcquireIfRoom();
  return std::exchange(output_, Output());
}

void WorkSession::End(absl::Status status) {
  if (std::exchange(ended_, true)) return;
  output_.end = std::move(status);
}

void WorkSession::Received(const v1::WorkerMessage& message) {
  if (ended_) return;
  if (message.has_hello()) return OnHello(message.hello());
  if (worker_id_.empty()) return End(absl::FailedPreconditionError("the first message must be a Hello"));
  if (message.has_report()) return OnReport(message.report());
  if (message.has_chunk()) return OnChunk(message.chunk());
  if (message.has_hand_back()) return OnHandBack(message.hand_back());
}

void WorkSession::OnHello(const v1::Hello& hello) {
  if (!worker_id_.empty()) return End(absl::FailedPreconditionError("a second Hello on one stream"));
  if (hello.protocol_min() > kProtocolVersion || hello.protocol_max() < kProtocolVersion) {
    return End(absl::FailedPreconditionError(absl::StrCat(
        "this coordinator speaks lease protocol ", kProtocolVersion, ", worker ", hello.display_name(), " (",
        hello.version(), ") speaks ", hello.protocol_min(), " to ", hello.protocol_max())));
  }
  if (hello.worker_id().empty() || hello.worker_id().size() > kMaxIdBytes) {
    return End(
        absl::InvalidArgumentError(absl::StrCat("hello.worker_id must have 1 to ", kMaxIdBytes, " bytes")));
  }
  worker_id_ = hello.worker_id();
  display_name_ = hello.display_name();
  v1::Welcome* welcome = output_.send.emplace_back().mutable_welcome();
  welcome->set_protocol(kProtocolVersion);
  ToProto(options_.lease_period, welcome->mutable_lease_period());
  ToProto(options_.report_interval, welcome->mutable_report_interval());
  welcome->set_deals_origins(options_.deals_origins);
}

void WorkSession::OnReport(const v1::Report& report) {
  HeldLeases held;
  held_items_ = held_bytes_ = 0;
  held_of_.clear();
  RenewCall renew, renew_express{Lane::kExpress, {}};
  renew.first = !std::exchange(reported_, true);
  for (const v1::HeldLease& lease : report.held()) {
    const core::LeaseRef ref = Ref(lease.shard(), lease.lease_epoch());
    Held now;
    if (const auto known = held_.find(ref.shard); known != held_.end() && known->second.epoch == ref.epoch) {
      now = known->second;
    }
    now.epoch = ref.epoch;
    now.items = lease.items();
    now.bytes = lease.bytes();
    Hold(held, ref.shard, now);
    (LaneOf(ref.shard.job_id) == Lane::kExpress ? renew_express : renew).held.push_back(ref);
  }
  for (auto& [shard, lease] : held_) {
    const auto reported = held.find(shard);
    if (reported != held.end() && reported->second.epoch >= lease.epoch) continue;
    if (lease.number > report.last_lease_number()) {
      Hold(held, shard, lease);  // Still on its way.
    } else if (lease.number > 0 && lease.committed < lease.leased) {
      // It reached the worker and is gone from there: given up without a word that reached us.
      output_.calls.push_back(HandBackCall{{shard, lease.epoch}, absl::ZeroDuration(), false});
    }
  }
  held_ = std::move(held);
  if (std::exchange(durable_.failed, false) || suspects_) durable_.work = spare_work_ = true;
  if (std::exchange(express_.failed, false)) express_.work = true;
  draining_ = report.draining();
  settling_ = (renew.first || settling_) && !renew.held.empty();
  capacity_items_ = report.draining() ? 0 : report.capacity_items();
  capacity_bytes_ = report.draining() ? 0 : report.capacity_bytes();
  concurrency_ = report.concurrency();
  committed_before_ = std::exchange(committed_, 0);
  for (RenewCall* call : {&renew, &renew_express}) {
    if (call->first || !call->held.empty()) output_.calls.push_back(std::move(*call));
  }
}

void WorkSession::Hold(HeldLeases& leases, const core::ShardKey& shard, const Held& lease) {
  // One that a worker names twice counts twice, until its next report.
  leases[shard] = lease;
  held_items_ += lease.items;
  held_bytes_ += lease.bytes;
  if (LaneOf(shard.job_id) == Lane::kDurable) held_of_[shard.job_id] += lease.items;
}

WorkSession::HeldLeases::iterator WorkSession::Release(HeldLeases::iterator lease) {
  Reduce(lease, lease->second.items);
  held_bytes_ -= std::min(held_bytes_, lease->second.bytes);
  // Its job may fit into the spare part again, if it has more.
  if (durable_.work) spare_work_ = true;
  const auto next = held_.erase(lease);
  if (held_.empty() && suspects_) durable_.work = true;
  return next;
}

void WorkSession::Reduce(HeldLeases::iterator lease, uint64_t items) {
  items = std::min(items, lease->second.items);
  lease->second.items -= items;
  held_items_ -= std::min(held_items_, items);
  const auto of = held_of_.find(lease->first.job_id);
  if (of == held_of_.end()) return;
  of->second -= std::min(of->second, items);
  if (of->second == 0) held_of_.erase(of);
}

void WorkSession::Renewed(const absl::StatusOr<core::VoidLeases>& void_leases, Lane lane) {
  if (ended_) return;
  if (!void_leases.ok()) {
    log::Warning("leases of worker %s could not be renewed: %s", display_name_,
                 void_leases.status().ToString());
    return;
  }
  if (lane == Lane::kDurable) settling_ = false;
  for (const core::LeaseRef& lease : void_leases->alone) {
    const auto held = held_.find(lease.shard);
    if (held != held_.end() && held->second.epoch == lease.epoch) alone_ = lease.shard;
  }
  for (const core::LeaseRef& lease : *void_leases) {
    const auto held = held_.find(lease.shard);
    if (held != held_.end() && held->second.epoch == lease.epoch) Release(held);
    SendRevoke(lease);
  }
}

bool WorkSession::Closed() const {
  // What runs dry ends with the leases of the durable ledger; then the express one waits as well.
  const bool dry = run_dry_ && held_of_.empty();
  return settling_ || HoldsAlone() || dry;
}

uint64_t WorkSession::Enough() const {
  if (concurrency_ == 0) return capacity_items_;
  // Half as many as it works on are to be on their way or wait there, lest it stands still between two leases.
  const uint64_t least = std::max<uint64_t>(concurrency_ + concurrency_ / 2, kFewItems);
  return std::max(least, kIntervalsOfWork * std::max(committed_, committed_before_));
}

void WorkSession::AcquireIfRoom() {
  if (capacity_items_ == 0 || capacity_bytes_ == 0 || settling_ || HoldsAlone()) return;
  AcquireExpress();
  AcquireDurable();
}

void WorkSession::AcquireExpress() {
  if (Closed() || express_.acquiring || !express_.work || room() == 0 || held_bytes_ >= capacity_bytes_)
    return;
  express_.acquiring = true;
  express_.work = false;
  AcquireCall call{Lane::kExpress, {}};
  call.credit.spare_items = call.credit.spare_items_of_job = room();
  call.credit.spare_bytes = capacity_bytes_ - held_bytes_;
  output_.calls.push_back(std::move(call));
}

void WorkSession::AcquireDurable() {
  if (durable_.acquiring) return;
  const bool idle = held_.empty() && !express_.acquiring;
  if (run_dry_) {
    if (!idle) return;
    durable_.work = true;
  }
  const uint64_t spare_items = capacity_items_ / kSpareShare, spare_bytes = capacity_bytes_ / kSpareShare;
  const uint64_t items = std::min(capacity_items_ - spare_items, Enough()),
                 bytes = capacity_bytes_ - spare_bytes;
  const uint64_t slice = std::max<uint64_t>(items / 4, 1);
  core::Credit credit;
  if (durable_.work && held_items_ + slice <= items && held_bytes_ < bytes) {
    credit.items = slice;
    credit.bytes = bytes - held_bytes_;
  }
  if (credit.items > 0 || spare_work_) {
    credit.spare_items = std::min(spare_items, room());
    credit.spare_bytes = std::min(spare_bytes, capacity_bytes_ - std::min(held_bytes_, capacity_bytes_));
    credit.spare_items_of_job = std::max<uint64_t>(spare_items / kSpareShare, 1);
  }
  if (credit.items == 0 && credit.spare_items == 0) return;
  for (const auto& [job, held] : held_of_) {
    if (held >= credit.spare_items_of_job) credit.sated.insert(job);
  }
  credit.idle = idle;
  durable_.acquiring = true;
  if (credit.items > 0) durable_.work = false;
  spare_work_ = false;
  output_.calls.push_back(AcquireCall{Lane::kDurable, std::move(credit)});
}

void WorkSession::Acquired(absl::StatusOr<core::Leases> shards, Lane lane) {
  Source& source = lane == Lane::kExpress ? express_ : durable_;
  source.acquiring = false;
  if (!shards.ok()) {
    source.failed = true;  // The next report tries again.
    log::Warning("no shards could be leased to worker %s: %s", display_name_, shards.status().ToString());
    return;
  }
  if (ended_) {
    for (const core::LeasedShard& shard : *shards) {
      output_.calls.push_back(HandBackCall{shard.lease, absl::ZeroDuration(), false});
    }
    return;
  }
  if (lane == Lane::kDurable) {
    run_dry_ = shards->run_dry;
    suspects_ = shards->suspects;
  }
  if (!shards->empty()) WorkAvailable(lane);
  for (core::LeasedShard& shard : *shards) SendLease(std::move(shard), lane);
}

void WorkSession::SendLease(core::LeasedShard shard, Lane lane) {
  if (shard.alone) {
    // Something else was given meanwhile: another time.
    if (!held_.empty() || express_.acquiring) {
      output_.calls.push_back(HandBackCall{shard.lease, absl::ZeroDuration(), false});
      return;
    }
    alone_ = shard.lease.shard;
  }
  v1::Lease* lease = output_.send.emplace_back().mutable_lease();
  const uint64_t items = shard.offsets.size();
  if (const auto held = held_.find(shard.lease.shard); held != held_.end()) Release(held);
  Hold(held_, shard.lease.shard, {shard.lease.epoch, ++leases_sent_, items, shard.payload.size(), items, 0});
  ToProto(shard.lease.shard, lease->mutable_shard());
  lease->set_lease_epoch(shard.lease.epoch);
  if (!lease->mutable_spec()->ParseFromString(shard.spec)) {
    log::Error("spec of job %s cannot be read", shard.lease.shard.job_id);
  }
  lease->set_first_index(shard.first_index);
  lease->set_items(std::move(shard.payload));
  lease->mutable_offsets()->Add(shard.offsets.begin(), shard.offsets.end());
  lease->set_lease_number(leases_sent_);
  lease->set_urgent(lane == Lane::kExpress);
  lease->set_put_offs(lane == Lane::kExpress ? kNeverPutOff : shard.put_offs);
}

void WorkSession::OnChunk(const v1::Chunk& message) {
  const core::LeaseRef lease = Ref(message.shard(), message.lease_epoch());
  if (const std::string fault = FaultOf(message); !fault.empty()) {
    TakeAway(lease);
    return SendAck(lease, message.chunk_number(), v1::Ack::INVALID, fault);
  }
  CommitCall call;
  call.number = message.chunk_number();
  core::Chunk& chunk = call.chunk;
  chunk.lease = lease;
  chunk.offsets.assign(message.offsets().begin(), message.offsets().end());
  chunk.payload = message.payload();
  chunk.counts.succeeded = message.succeeded();
  chunk.counts.fetched_bytes = message.fetched_bytes();
  for (const v1::ReasonCount& failure : message.failures()) {
    chunk.counts.failed += failure.count();
    chunk.counts.reasons[failure.reason()] += failure.count();
  }
  output_.calls.push_back(std::move(call));
}

void WorkSession::Committed(const core::LeaseRef& lease, uint64_t number, uint32_t items,
                            const core::CommitAnswer& answer) {
  if (ended_) return;
  if (const auto held = held_.find(lease.shard); held != held_.end() && held->second.epoch == lease.epoch) {
    Held& now = held->second;
    // One that came twice makes room once.
    if (answer.code == core::CommitCode::kCommitted && now.counted.insert(number).second) {
      now.committed += items;
      Reduce(held, items);
      committed_ += items;
    }
    const bool finished = now.number > 0 && now.committed >= now.leased;
    if (finished || answer.code == core::CommitCode::kStale) Release(held);
  }
  if (answer.code == core::CommitCode::kInvalid) TakeAway(lease);
  SendAck(lease, number, ToProto(answer.code), answer.message);
}

// Only what this worker is known to hold: a made-up epoch may be that of another's lease.
void WorkSession::TakeAway(const core::LeaseRef& lease) {
  const auto held = held_.find(lease.shard);
  if (held == held_.end() || held->second.epoch != lease.epoch) return;
  Release(held);
  output_.calls.push_back(HandBackCall{lease, kInvalidDelay, false});
}

void WorkSession::OnHandBack(const v1::HandBack& back) {
  const core::LeaseRef lease = Ref(back.shard(), back.lease_epoch());
  if (const auto held = held_.find(lease.shard); held != held_.end() && held->second.epoch == lease.epoch) {
    Release(held);
  }
  const auto seconds = std::clamp<int64_t>(back.not_before().seconds(), 0, kMaxNotBeforeSeconds);
  output_.calls.push_back(
      HandBackCall{lease, absl::Seconds(seconds) + absl::Nanoseconds(back.not_before().nanos()), true});
}

void WorkSession::HandedBack(const core::LeaseRef& lease, const core::CommitAnswer& answer) {
  if (!ended_) SendAck(lease, 0, ToProto(answer.code), answer.message);
}

void WorkSession::WorkAvailable(Lane lane) {
  if (lane == Lane::kExpress) {
    express_.work = true;
  } else {
    durable_.work = spare_work_ = true;
  }
}

void WorkSession::JobEnded(absl::string_view job_id) {
  if (ended_) return;
  auto at = held_.lower_bound({std::string(job_id), 0});
  while (at != held_.end() && at->first.job_id == job_id) {
    SendRevoke({at->first, at->second.epoch});
    at = Release(at);
  }
}

void WorkSession::SendAck(const core::LeaseRef& lease, uint64_t number, v1::Ack::Code code,
                          absl::string_view message) {
  v1::Ack* ack = output_.send.emplace_back().mutable_ack();
  ToProto(lease.shard, ack->mutable_shard());
  ack->set_lease_epoch(lease.epoch);
  ack->set_code(code);
  ack->set_chunk_number(number);
  ack->set_message(std::string(message));
}

void WorkSession::SendRevoke(const core::LeaseRef& lease) {
  v1::Revoke* revoke = output_.send.emplace_back().mutable_revoke();
  ToProto(lease.shard, revoke->mutable_shard());
  revoke->set_lease_epoch(lease.epoch);
}

}  // namespace imgfleet::service
