#include "coordinator/core/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace imgfleet::core {
namespace {

uint32_t OpenBelow(const Shard& shard, uint32_t end) { return end - shard.committed.CountBelow(end); }

uint32_t Open(const Shard& shard) { return shard.items - shard.committed.Count(); }

bool Void(const Shard& shard, uint64_t epoch) { return shard.epoch != epoch || shard.holder.empty(); }

ChunkCheck Invalid(std::string message) { return {ChunkVerdict::kInvalid, std::move(message)}; }

// Empty where the chunk agrees with itself.
std::string Contradiction(const Shard& shard, const Chunk& chunk) {
  if (chunk.offsets.empty()) return "chunk without outcomes";
  Bitmap seen(shard.items);
  for (const uint32_t offset : chunk.offsets) {
    if (offset >= shard.items)
      return absl::StrCat("offset ", offset, " in a shard of ", shard.items, " items");
    if (shard.absent.Get(offset)) return absl::StrCat("offset ", offset, " is no item of the job");
    if (seen.Get(offset)) return absl::StrCat("offset ", offset, " twice in one chunk");
    seen.Set(offset);
  }
  uint64_t failures = 0;
  for (const auto& [reason, count] : chunk.counts.reasons) failures += count;
  if (chunk.counts.succeeded + chunk.counts.failed != chunk.offsets.size() ||
      failures != chunk.counts.failed) {
    return absl::StrCat(chunk.offsets.size(), " outcomes, but counts of ", chunk.counts.succeeded, " + ",
                        chunk.counts.failed, " and ", failures, " by reason");
  }
  return "";
}

}  // namespace

Shard MakeShard(ShardKey key, const NewShard& from) {
  Shard shard;
  shard.key = std::move(key);
  shard.first_index = from.first_index;
  shard.items = from.items;
  shard.payload_bytes = from.payload.size();
  shard.committed = Bitmap(from.items);
  if (!from.absent.empty()) shard.absent = Bitmap(from.items);
  for (const uint32_t offset : from.absent) {
    shard.absent.Set(offset);
    shard.committed.Set(offset);
  }
  CommitOffsets(shard, from.known.offsets);
  return shard;
}

uint32_t LeasedItems(const Shard& shard) {
  return shard.state == ShardState::kLeased ? OpenBelow(shard, shard.lease_end) : 0;
}

uint32_t LeasableItems(const Shard& shard) {
  const uint32_t suspects = OpenBelow(shard, shard.suspects_end);
  return suspects == 0 ? Open(shard) : std::max(suspects / 2, 1u);
}

bool OnTrial(const Shard& shard) { return OpenBelow(shard, shard.suspects_end) > 0; }

bool NeedsTrial(const Shard& shard) {
  if (shard.suspects_end == 0 && shard.losses + 1 < kMaxLosses) return false;
  Shard settled = shard;
  return !SettleLoss(settled) && OnTrial(settled);
}

std::optional<uint32_t> SettleLoss(Shard& shard) {
  const bool lost = !shard.holder.empty() && !shard.excused;
  shard.holder.clear();
  if (lost) ++shard.losses;
  const uint32_t suspects = OpenBelow(shard, shard.suspects_end);
  const uint32_t enough = suspects > 1 ? 1 : kMaxLosses;
  if (shard.losses < enough) return std::nullopt;
  shard.losses = 0;
  if (suspects != 1) {
    shard.suspects_end = shard.lease_end;
    return std::nullopt;
  }
  uint32_t guilty = 0;
  while (shard.committed.Get(guilty)) ++guilty;
  shard.suspects_end = 0;
  // Or an outcome that comes late all the same would pass for a repetition of the one that the item gets now.
  ++shard.epoch;
  return guilty;
}

std::vector<uint32_t> Lease(Shard& shard, std::string holder, absl::Time until) {
  const uint32_t count = LeasableItems(shard);
  std::vector<uint32_t> offsets;
  offsets.reserve(count);
  for (uint32_t offset = 0; offsets.size() < count; ++offset) {
    if (!shard.committed.Get(offset)) offsets.push_back(offset);
  }
  shard.state = ShardState::kLeased;
  ++shard.epoch;
  shard.holder = std::move(holder);
  shard.due = until;
  shard.lease_end = offsets.back() + 1;
  shard.excused = false;
  return offsets;
}

bool Renew(Shard& shard, absl::string_view holder, uint64_t epoch, absl::Time until) {
  if (Void(shard, epoch) || shard.holder != holder) return false;
  // Whatever excused it is over: here it is alive.
  if (OpenBelow(shard, shard.suspects_end) == 1) shard.excused = false;
  shard.state = ShardState::kLeased;
  shard.due = until;
  return true;
}

void Shorten(Shard& shard, absl::Time until) {
  if (!InQuestion(shard)) shard.due = std::min(shard.due, until);
}

ChunkCheck CheckChunk(const Shard& shard, const Chunk& chunk) {
  if (chunk.lease.epoch > shard.epoch) {
    return Invalid(absl::StrCat("epoch ", chunk.lease.epoch, " was never given"));
  }
  if (chunk.lease.epoch != shard.epoch) return {ChunkVerdict::kStale, ""};
  if (std::string what = Contradiction(shard, chunk); !what.empty()) return Invalid(std::move(what));
  size_t known = 0;
  for (const uint32_t offset : chunk.offsets) known += shard.committed.Get(offset) ? 1 : 0;
  if (known == chunk.offsets.size()) return {ChunkVerdict::kRepeated, ""};
  if (Void(shard, chunk.lease.epoch)) return {ChunkVerdict::kStale, ""};
  if (known > 0) {
    return Invalid(absl::StrCat(known, " of ", chunk.offsets.size(), " offsets have an outcome already"));
  }
  const uint32_t last = *std::max_element(chunk.offsets.begin(), chunk.offsets.end());
  if (last >= shard.lease_end) return Invalid(absl::StrCat("offset ", last, " is not leased"));
  return {};
}

void CommitOffsets(Shard& shard, const std::vector<uint32_t>& offsets) {
  for (const uint32_t offset : offsets) shard.committed.Set(offset);
  shard.losses = 0;
  shard.put_offs = 0;
  shard.excused = true;
  if (Open(shard) == 0) {
    shard.state = ShardState::kDone;
    shard.holder.clear();
  } else if (!shard.holder.empty() && OpenBelow(shard, shard.lease_end) == 0) {
    shard.state = ShardState::kReady;
    shard.holder.clear();
  }
}

bool HandBack(Shard& shard, uint64_t epoch, absl::Time now, absl::Time not_before) {
  if (shard.epoch != epoch) return false;
  if (Void(shard, epoch)) return true;  // A repetition.
  shard.holder.clear();
  shard.state = not_before > now ? ShardState::kDelayed : ShardState::kReady;
  if (not_before > now) ++shard.put_offs;
  shard.due = not_before;
  return true;
}

void ComeDue(Shard& shard) {
  // It is judged when it is leased next, as any loss: until then its holder may still renew.
  if (InQuestion(shard)) shard.excused = false;
  shard.state = ShardState::kReady;
}

bool MustBeCertain(const Shard& shard) {
  return shard.state == ShardState::kLeased && !shard.excused && OpenBelow(shard, shard.suspects_end) == 1;
}

void Question(Shard& shard, absl::Time until) {
  shard.excused = true;
  shard.due = until;
}

bool InQuestion(const Shard& shard) {
  return shard.state == ShardState::kLeased && shard.excused && OpenBelow(shard, shard.suspects_end) == 1;
}

void Acquit(Shard& shard) {
  shard.excused = true;
  shard.state = ShardState::kReady;
}

void Forgo(Shard& shard) {
  if (InQuestion(shard)) return Acquit(shard);
  shard.holder.clear();
  shard.state = ShardState::kDelayed;
}

void Orphan(Shard& shard, absl::Time until) {
  shard.state = ShardState::kDelayed;
  shard.due = until;
  shard.excused = true;
}

}  // namespace imgfleet::core
