#include "tests/simulation/promises.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/blob.h"
#include "common/status.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::simulation {
namespace {

std::string Name(const core::ShardKey& key) { return absl::StrCat(key.job_id, "/", key.shard); }

bool SameCounts(const core::Counts& a, const core::Counts& b) {
  return a.succeeded == b.succeeded && a.failed == b.failed && a.fetched_bytes == b.fetched_bytes &&
         a.reasons == b.reasons;
}

}  // namespace

Promises::Promises(const Plan& plan, Trace& trace, Holds holds)
    : plan_(plan), trace_(trace), holds_(std::move(holds)) {
  for (const JobPlan& job : plan.jobs) {
    JobTruth& truth = jobs_[job.id];
    truth.plan = &job;
    truth.starts.resize(job.items.size());
    for (const uint32_t items : job.shards) largest_shard_ = std::max(largest_shard_, items);
  }
}

void Promises::SetBroken(std::string what) {
  broken_ = std::move(what);
  trace_("BROKEN: %s", broken_);
}

// --- What the store did ---------------------------------------------------------------------------------------

absl::Status Promises::Look(store::Transaction& transaction) {
  store_now_ = transaction.Now();
  for (auto& [id, job] : jobs_) {
    if (job.final) continue;
    ASSIGN_OR_RETURN(job.found, transaction.GetJob(id));
    job.rows.clear();
    if (!job.found) continue;
    for (uint32_t number = 0; number < job.found->job.shards; ++number) {
      ASSIGN_OR_RETURN(std::optional<core::Shard> shard, transaction.GetShard({id, number}));
      if (!shard) {
        Break("%s has %d shards, and not number %d", id, job.found->job.shards, number);
        return absl::OkStatus();
      }
      job.rows.push_back(*std::move(shard));
    }
  }
  return absl::OkStatus();
}

void Promises::Committed(store::Store& store) {
  for (auto& [id, job] : jobs_) {
    if (!job.final && job.found) CheckJob(id, job, store);
  }
}

void Promises::CheckJob(const std::string& id, JobTruth& job, store::Store& store) {
  job.shards.resize(job.rows.size());
  for (const core::Shard& row : job.rows) {
    ShardTruth& shard = job.shards[row.key.shard];
    if (shard.has.empty()) shard.has.resize(row.items);
  }
  const auto chunks = store.ReadByCommit(id, job.seq, 1 << 30);
  if (!chunks.ok()) return Break("chunks of %s cannot be read: %s", id, chunks.status().ToString());
  for (const core::StoredChunk& chunk : *chunks) TakeChunk(id, job, chunk);
  if (!broken_.empty()) return;
  if (job.found->job.paused) CheckPaused(job);
  job.was_paused = job.found->job.paused;
  for (const core::Shard& row : job.rows) CheckRow(job, row);
  CheckCounters(id, job);
  CheckEnd(id, job);
}

void Promises::TakeChunk(const std::string& id, JobTruth& job, const core::StoredChunk& chunk) {
  if (chunk.commit_seq != ++job.seq) {
    return Break("%s: chunk %d follows %d", id, chunk.commit_seq, job.seq - 1);
  }
  job.payloads.push_back(std::hash<std::string>()(chunk.payload));
  if (chunk.shard >= job.shards.size())
    return Break("%s: a chunk of shard %d, which is not there", id, chunk.shard);
  ShardTruth& shard = job.shards[chunk.shard];
  CheckOrigin(id, job, shard, chunk);
  for (const uint32_t offset : chunk.offsets) {
    if (offset >= shard.has.size()) return Break("%s/%d: offset %d is none of it", id, chunk.shard, offset);
    if (shard.has[offset]) return Break("%s/%d: offset %d has two outcomes", id, chunk.shard, offset);
    shard.has[offset] = true;
    ++shard.outcomes;
  }
  const absl::StatusOr<std::string> raw = UnpackBlob(chunk.payload);
  v1::OutcomeChunk outcomes;
  if (!raw.ok() || !outcomes.ParseFromString(*raw))
    return Break("%s: chunk %d cannot be read", id, chunk.commit_seq);
  if (static_cast<size_t>(outcomes.outcomes_size()) != chunk.offsets.size()) {
    return Break("%s: chunk %d has %d offsets and %d outcomes", id, chunk.commit_seq, chunk.offsets.size(),
                 outcomes.outcomes_size());
  }
  for (int i = 0; i < outcomes.outcomes_size(); ++i) {
    const v1::Outcome& outcome = outcomes.outcomes(i);
    const uint64_t index = job.rows[chunk.shard].first_index + chunk.offsets[static_cast<size_t>(i)];
    if (outcome.index() != index)
      return Break("%s: the outcome of %d is where %d belongs", id, outcome.index(), index);
    job.counts.fetched_bytes += outcome.fetch().fetched_bytes();
    if (!outcome.has_error()) {
      ++job.counts.succeeded;
    } else {
      ++job.counts.failed;
      ++job.counts.reasons[outcome.error().reason()];
    }
    const ItemKind kind = job.plan->items.at(index).kind;
    const bool given_up = outcome.has_error() && outcome.error().reason() == v1::ItemError::INTERNAL;
    if (!given_up && kind == ItemKind::kPoison) return Break("%s: poison %d has an outcome", id, index);
    if (given_up && kind != ItemKind::kPoison)
      return Break("%s: item %d is given up, and innocent", id, index);
    if (!given_up && outcome.has_error() != (kind == ItemKind::kFails || kind == ItemKind::kBadRow)) {
      return Break("%s: item %d has another's outcome", id, index);
    }
  }
}

// Where a stored chunk came from: a worker, under the right epoch; the list; or the coordinator itself.
void Promises::CheckOrigin(const std::string& id, JobTruth& job, ShardTruth& shard,
                           const core::StoredChunk& chunk) {
  const auto found = sent_.find(chunk.payload);
  if (found == sent_.end()) {
    const uint64_t first = job.rows[chunk.shard].first_index;
    const bool bad_rows = std::all_of(chunk.offsets.begin(), chunk.offsets.end(), [&](uint32_t offset) {
      return job.plan->items.at(first + offset).kind == ItemKind::kBadRow;
    });
    if (bad_rows) return;
    if (chunk.offsets.size() != 1) return Break("%s: nobody has sent chunk %d", id, chunk.commit_seq);
    // The lease that is judged ran out before this transaction or in it.
    if (shard.lost_alone + 1 < core::kMaxLosses) {
      return Break("%s/%d: offset %d was given up after %d leases of it alone", id, chunk.shard,
                   chunk.offsets[0], shard.lost_alone + 1);
    }
    return;
  }
  if (job.was_paused && job.found->job.paused) {
    return Break("%s: chunk %d is stored while the job is paused", id, chunk.commit_seq);
  }
  const SentChunk& sent = found->second;
  if (sent.shard != core::ShardKey{id, chunk.shard} || sent.offsets != chunk.offsets) {
    return Break("%s: chunk %d is stored as another than was sent", id, chunk.commit_seq);
  }
  const uint64_t before = std::max(shard.row.epoch, shard.committed_epoch);
  const uint64_t after = job.rows[chunk.shard].epoch;
  if (sent.epoch < before || sent.epoch > after) {
    return Break("%s/%d: a chunk under epoch %d was stored when it had %d to %d", id, chunk.shard, sent.epoch,
                 before, after);
  }
  shard.committed_epoch = sent.epoch;
  const auto grant = shard.grants.find(sent.epoch);
  if (grant == shard.grants.end())
    return Break("%s/%d: epoch %d was never sent", id, chunk.shard, sent.epoch);
  if (grant->second.worker != sent.worker) {
    return Break("%s/%d: %s wrote under epoch %d, which is %s's", id, chunk.shard, sent.worker, sent.epoch,
                 grant->second.worker);
  }
  for (const uint32_t offset : chunk.offsets) {
    if (offset >= grant->second.covers.size() || !grant->second.covers[offset]) {
      return Break("%s/%d: offset %d was not leased under epoch %d", id, chunk.shard, offset, sent.epoch);
    }
  }
}

void Promises::CheckRow(JobTruth& job, const core::Shard& row) {
  ShardTruth& shard = job.shards[row.key.shard];
  const core::Shard& old = shard.row;
  for (uint32_t offset = 0; offset < row.items; ++offset) {
    if (row.committed.Get(offset) != shard.has[offset]) {
      return Break("%s: offset %d %s an outcome, and its row says otherwise", Name(row.key), offset,
                   shard.has[offset] ? "has" : "lacks");
    }
  }
  if ((row.state == core::ShardState::kDone) != (shard.outcomes == row.items)) {
    return Break("%s: %d of %d outcomes in state %d", Name(row.key), shard.outcomes, row.items,
                 static_cast<int>(row.state));
  }
  if (row.epoch < old.epoch) return Break("%s: epoch %d after %d", Name(row.key), row.epoch, old.epoch);
  const core::Shard& lease = shard.lease;
  if (row.epoch > lease.epoch && !lease.holder.empty()) {
    const auto grant = shard.grants.find(lease.epoch);
    const bool known = grant != shard.grants.end();
    // A pause and its end may be one transaction, of which nothing is seen but what it took back.
    bool over = known && (grant->second.handed_back || job.pause_asked);
    if (known && !over) {
      over = true;
      for (uint32_t offset = 0; offset < row.items; ++offset) {
        if (grant->second.covers[offset] && !shard.has[offset]) over = false;
      }
    }
    const bool lapsed = shard.lapsed || lease.due <= store_now_;
    if (!over && (!lapsed || plan_.Orderly()) && holds_(lease.holder, {row.key, lease.epoch})) {
      return Break("%s: given away under epoch %d while %s holds it under %d%s", Name(row.key), row.epoch,
                   lease.holder, lease.epoch, lapsed ? "" : ", before it lapsed");
    }
  }
  // What the store said last of a lease counts, also once its row is empty again.
  if (!row.holder.empty()) {
    // Judged when it is seen first: the next coordinator may have another clock.
    const bool known = shard.lapsed && shard.lease.epoch == row.epoch;
    shard.lapsed = row.state == core::ShardState::kReady && (known || row.due <= store_now_);
    shard.lease = row;
  }
  CheckLost(shard, row);
  shard.row = row;
}

void Promises::CheckPaused(const JobTruth& job) {
  for (const core::Shard& row : job.rows) {
    if (row.state == core::ShardState::kLeased) {
      return Break("%s is leased to %s, and its job is paused", Name(row.key), row.holder);
    }
  }
}

// Counts leases of a single item that ended without its outcome, from the rows alone.
void Promises::CheckLost(ShardTruth& shard, const core::Shard& row) {
  const core::Shard& old = shard.row;
  if (row.committed.Count() != old.committed.Count()) shard.lost_alone = 0;
  if (row.epoch == old.epoch) return;
  const uint32_t open = old.lease_end - old.committed.CountBelow(old.lease_end);
  if (old.epoch > 0 && open == 1 && !old.holder.empty() && row.committed == old.committed) {
    ++shard.lost_alone;
  }
}

void Promises::CheckCounters(const std::string& id, const JobTruth& job) {
  const core::Job& stored = job.found->job;
  if (stored.last_commit_seq != job.seq) {
    return Break("%s: its last commit is %d, the last chunk %d", id, stored.last_commit_seq, job.seq);
  }
  if (!SameCounts(stored.counts, job.counts)) {
    return Break("%s counts %d + %d outcomes and %d bytes; its chunks have %d + %d and %d", id,
                 stored.counts.succeeded, stored.counts.failed, stored.counts.fetched_bytes,
                 job.counts.succeeded, job.counts.failed, job.counts.fetched_bytes);
  }
  uint64_t items = 0, leased = 0;
  uint32_t ready = 0;
  for (const core::Shard& row : job.rows) {
    items += row.items;
    leased += core::LeasedItems(row);
    ready += row.state == core::ShardState::kReady ? 1 : 0;
  }
  if (items != stored.items) return Break("%s: %d items, its shards have %d", id, stored.items, items);
  if (leased != job.found->leased_items || ready != job.found->ready_shards) {
    return Break("%s counts %d leased items and %d ready shards; there are %d and %d", id,
                 job.found->leased_items, job.found->ready_shards, leased, ready);
  }
}

void Promises::CheckEnd(const std::string& id, JobTruth& job) {
  const core::Job& stored = job.found->job;
  const bool all = stored.items == job.plan->items.size() && core::Outcomes(stored) == stored.items;
  if (stored.state == core::JobState::kCompleted && !all) {
    return Break("%s is COMPLETED with %d of %d outcomes", id, core::Outcomes(stored),
                 job.plan->items.size());
  }
  if (stored.state == core::JobState::kRunning && core::Outcomes(stored) == stored.items) {
    return Break("%s has all its outcomes and goes on", id);
  }
  if (core::Ended(stored.state)) {
    job.final = stored;
    trace_("%s has ended in state %d with %d of %d outcomes", id, static_cast<int>(stored.state),
           core::Outcomes(stored), stored.items);
  } else if (job.acknowledged_end && core::Ended(*job.acknowledged_end)) {
    Break("%s goes on after its end was acknowledged", id);
  }
}

void Promises::CheckAll(store::Store& store) {
  for (auto& [id, job] : jobs_) {
    const auto stored = store.GetJob(id);
    if (!stored.ok()) return Break("%s cannot be read: %s", id, stored.status().ToString());
    if (!*stored) {
      if (job.acknowledged) return Break("%s was acknowledged and is gone", id);
      continue;
    }
    const core::Job& now = **stored;
    if (now.items < job.acknowledged_items) {
      return Break("%s: %d items were acknowledged, %d are there", id, job.acknowledged_items, now.items);
    }
    if (job.final && (now.state != job.final->state || now.end_time != job.final->end_time ||
                      now.last_commit_seq != job.final->last_commit_seq || now.items != job.final->items ||
                      !SameCounts(now.counts, job.final->counts))) {
      return Break("%s has changed after its end", id);
    }
    const auto chunks = store.ReadByCommit(id, 0, 1 << 30);
    if (!chunks.ok() || chunks->size() != job.payloads.size())
      return Break("%s: chunks read twice differ", id);
    for (size_t i = 0; i < chunks->size(); ++i) {
      if (std::hash<std::string>()((*chunks)[i].payload) != job.payloads[i]) {
        return Break("%s: chunk %d has changed since it was read", id, i + 1);
      }
    }
  }
}

bool Promises::AllEnded() const {
  return std::all_of(jobs_.begin(), jobs_.end(),
                     [](const auto& job) { return job.second.final.has_value(); });
}

std::string Promises::Unfinished() const {
  std::vector<std::string> names;
  for (const auto& [id, job] : jobs_) {
    if (job.final) continue;
    names.push_back(absl::StrCat(id, ": ", core::Outcomes(job.found ? job.found->job : core::Job()), " of ",
                                 job.plan->items.size()));
    for (const core::Shard& row : job.rows) {
      if (row.state == core::ShardState::kDone) continue;
      absl::StrAppend(&names.back(), " [", row.key.shard, " state ", static_cast<int>(row.state), " epoch ",
                      row.epoch, " holder ", row.holder, " losses ", row.losses, "]");
    }
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace imgfleet::simulation
