// The promises about what was answered, what passes the network, and what a worker does.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/promises.h"

namespace imgfleet::simulation {
namespace {

std::string Name(const core::ShardKey& key) { return absl::StrCat(key.job_id, "/", key.shard); }

}  // namespace

// --- What was answered ----------------------------------------------------------------------------------------

void Promises::JobAcknowledged(const std::string& id, store::Store& store) {
  jobs_[id].acknowledged = true;
  const auto stored = store.GetJob(id);
  if (!stored.ok() || !*stored) Break("%s was acknowledged and is not stored", id);
}

void Promises::ShardAcknowledged(const std::string& id, uint64_t items_then, store::Store& store) {
  JobTruth& job = jobs_[id];
  job.acknowledged_items = std::max(job.acknowledged_items, items_then);
  const auto stored = store.GetJob(id);
  if (!stored.ok() || !*stored || (*stored)->items < items_then) {
    Break("%s: a shard was acknowledged and is not stored", id);
  }
}

void Promises::EndAcknowledged(const std::string& id, core::JobState state, store::Store& store) {
  jobs_[id].acknowledged_end = state;
  const auto stored = store.GetJob(id);
  if (!stored.ok() || !*stored || ((*stored)->state != state && !core::Ended((*stored)->state))) {
    Break("%s: state %d was acknowledged and is not stored", id, static_cast<int>(state));
  }
}

void Promises::PauseAcknowledged(const std::string& id, store::Store& store) {
  const auto stored = store.GetJob(id);
  if (!stored.ok() || !*stored || !((*stored)->paused || core::Ended((*stored)->state))) {
    Break("%s: its pause was acknowledged and is not stored", id);
  }
}

// --- What passed the network ----------------------------------------------------------------------------------

void Promises::LeaseSent(const std::string& worker, const v1::Lease& lease) {
  const std::string& id = lease.shard().job_id();
  JobTruth& job = jobs_[id];
  ++leases_;
  if (lease.shard().shard() >= job.shards.size())
    return Break("%s/%d is leased and not stored", id, lease.shard().shard());
  ShardTruth& shard = job.shards[lease.shard().shard()];
  if (!shard.grants.empty() && shard.grants.rbegin()->first >= lease.lease_epoch()) {
    return Break("%s/%d: leased to %s under epoch %d, and to %s under %d", id, lease.shard().shard(), worker,
                 lease.lease_epoch(), shard.grants.rbegin()->second.worker, shard.grants.rbegin()->first);
  }
  Grant& grant = shard.grants[lease.lease_epoch()];
  grant.worker = worker;
  grant.covers.resize(shard.has.size());
  for (const uint32_t offset : lease.offsets()) {
    if (offset >= shard.has.size())
      return Break("%s/%d: offset %d is leased", id, lease.shard().shard(), offset);
    grant.covers[offset] = true;
  }
}

void Promises::LeaseTaken(const std::string& worker, const v1::Lease& lease) {
  const core::ShardKey key{lease.shard().job_id(), lease.shard().shard()};
  if (!holds_(worker, {key, lease.lease_epoch()})) return;
  for (const auto& [id, job] : jobs_) {
    if (job.final) continue;
    for (const core::Shard& row : job.rows) {
      if (row.key == key || row.state != core::ShardState::kLeased || row.holder != worker) continue;
      if (!holds_(worker, {row.key, row.epoch})) continue;
      const core::Shard& taken = jobs_[key.job_id].rows[key.shard];
      const bool given_on_trial = taken.epoch == lease.lease_epoch() && core::OnTrial(taken);
      if (core::OnTrial(row) || given_on_trial) {
        return Break("%s holds %s%s, and is given %s%s", worker, Name(row.key),
                     core::OnTrial(row) ? " on trial" : "", Name(key), given_on_trial ? " on trial" : "");
      }
    }
  }
}

void Promises::ChunkSent(const std::string& worker, const v1::Chunk& chunk) {
  const auto [known, fresh] = by_number_.try_emplace({worker, chunk.chunk_number()}, nullptr);
  if (!fresh) {
    if (*known->second != chunk.payload()) Break("%s has sent two chunks %d", worker, chunk.chunk_number());
    return;
  }
  SentChunk sent;
  sent.worker = worker;
  sent.shard = {chunk.shard().job_id(), chunk.shard().shard()};
  sent.epoch = chunk.lease_epoch();
  sent.offsets.assign(chunk.offsets().begin(), chunk.offsets().end());
  known->second = &sent_.try_emplace(chunk.payload(), std::move(sent)).first->first;
}

void Promises::HandBackSent(const v1::HandBack& back) {
  JobTruth& job = jobs_[back.shard().job_id()];
  if (back.shard().shard() >= job.shards.size()) return;
  auto& grants = job.shards[back.shard().shard()].grants;
  if (const auto grant = grants.find(back.lease_epoch()); grant != grants.end())
    grant->second.handed_back = true;
}

void Promises::AckSent(const std::string& worker, const v1::Ack& ack) {
  if (ack.code() == v1::Ack::INVALID) {
    return Break("%s: %s/%d epoch %d is answered INVALID: %s", worker, ack.shard().job_id(),
                 ack.shard().shard(), ack.lease_epoch(), ack.message());
  }
  if (ack.code() != v1::Ack::COMMITTED || ack.chunk_number() == 0) return;
  const auto known = by_number_.find({worker, ack.chunk_number()});
  if (known == by_number_.end())
    return Break("%s was told of chunk %d, which it never sent", worker, ack.chunk_number());
  const std::string& payload = *known->second;
  const SentChunk& sent = sent_.at(payload);
  const JobTruth& job = jobs_[sent.shard.job_id];
  const size_t hash = std::hash<std::string>()(payload);
  if (std::find(job.payloads.begin(), job.payloads.end(), hash) == job.payloads.end()) {
    Break("%s: chunk %d of %s was acknowledged and is not stored", worker, ack.chunk_number(),
          Name(sent.shard));
  }
}

// --- What a worker does ---------------------------------------------------------------------------------------

void Promises::Holding(const std::string& worker, uint64_t outstanding, uint32_t running) {
  if (outstanding > plan_.capacity_items + largest_shard_) {
    Break("%s holds %d items, its credit is %d", worker, outstanding, plan_.capacity_items);
  }
  if (running > plan_.capacity_items) Break("%s runs %d items of %d", worker, running, plan_.capacity_items);
}

void Promises::Started(const std::string& id, uint64_t index) {
  JobTruth& job = jobs_[id];
  ++starts_;
  const ItemPlan& item = job.plan->items.at(index);
  if (item.kind == ItemKind::kBadRow) Break("%s: item %d is fetched and a bad row", id, index);
  if (++job.starts[index] > 1 && plan_.Calm() && item.kind != ItemKind::kPutOff) {
    Break("%s: item %d is fetched twice", id, index);
  }
}

}  // namespace imgfleet::simulation
