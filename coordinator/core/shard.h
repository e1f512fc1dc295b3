// The life of one shard: who may work on it, until when, and what of it has an outcome.
//
//   READY ──lease──▶ LEASED ──every leased item committed──▶ READY, or DONE with the shard's last one
//     ▲                │ lapse, hand-back
//     ├────────────────┤
//     └──due── DELAYED ◀── hand-back with not_before
//
// Every lease raises `epoch`; whoever writes must name it. A lapsed lease keeps its holder and its epoch and
// is still good until somebody else gets the shard, so a worker that was merely late loses nothing.
//
// Poison. An item that takes its worker with it is found and given up, and no other item is ever given up for it:
//
//   1. A lease that lapsed without one committed chunk is lost; it is judged when the shard is leased next. After
//      kMaxLosses in a row what it covered is suspect. That proves nothing: something else on that worker may be guilty.
//   2. From then on the shard is on trial: it is leased to a worker that holds nothing else, of whatever job, and that
//      is given nothing else until this lease has ended (trials.h says which worker, and when). So what kills the
//      worker is in the lease. A lease covers half of the suspects that are left; one that is lost narrows them to
//      that half, one that is committed leaves the other half.
//   3. The last suspect must be lost kMaxLosses times, each time for certain. Its lease, when it lapses, is in question
//      for a while: a worker that comes back was merely cut off, and nothing counts. Nor does it if other workers went at
//      the same time and none stayed (trials.h). After that it is given up: it gets an outcome of its own, and its
//      neighbours go on.
//
// So the guilty one of n costs kMaxLosses leases beside others, and at most log2 n + kMaxLosses alone. A committed
// chunk forgives the losses; a hand-back, a coordinator's own restart or a worker that lives count nothing.
//
// Pure functions over plain structs; time comes in as an argument. A precondition that does not hold is a
// mistake of the caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "coordinator/core/bitmap.h"
#include "coordinator/core/types.h"

namespace imgfleet::core {

enum class ShardState : uint8_t { kReady = 1, kLeased = 2, kDelayed = 3, kDone = 4 };

inline constexpr uint32_t kMaxLosses = 3;

struct Shard {
  ShardKey key;
  uint64_t first_index = 0;
  uint32_t items = 0;
  uint64_t payload_bytes = 0;  // Of the stored items.
  ShardState state = ShardState::kReady;
  uint64_t epoch =
      0;  // Of the last lease given, or one more if an item was given up since; 0 before the first.
  // Whose lease `epoch` is, also after it lapsed. Empty once that lease is finished or handed back.
  std::string holder;
  // LEASED: when the lease lapses. DELAYED: when the shard becomes READY. Otherwise without meaning.
  absl::Time due = absl::InfinitePast();
  uint32_t lease_end = 0;     // The lease covers every offset below without an outcome.
  uint32_t suspects_end = 0;  // Of the open offsets below, one kills workers; 0 where nothing is suspected.
  uint32_t losses = 0;        // Lost leases in a row.
  // Losing the current lease says nothing, or nothing more, against its items.
  bool excused = false;
  uint32_t put_offs = 0;  // Hand-backs with not_before since the last committed chunk.
  Bitmap committed;       // Which offsets have an outcome, or are absent.
  Bitmap absent;          // Which offsets are no items of the job; without a byte where there are none.
};

// A shard as it is appended: what is known at birth has its outcome already, and what is absent never gets one.
Shard MakeShard(ShardKey key, const NewShard& from);

// Items of a current lease without an outcome; 0 where nothing is leased.
uint32_t LeasedItems(const Shard& shard);

// Items that Lease() would cover.
uint32_t LeasableItems(const Shard& shard);

// Whether some of its open items are suspect: a LEASED shard is leased alone then.
bool OnTrial(const Shard& shard);

// Whether the next lease of a READY shard must be given alone.
bool NeedsTrial(const Shard& shard);

// To be called on a READY shard before Lease(): judges the lease that lapsed before, if any. The result is
// the offset of an item that has to be given up: the caller writes its outcome and calls CommitOffsets. What the last
// holder still sends of it is stale.
std::optional<uint32_t> SettleLoss(Shard& shard);

// Leases a READY, settled shard. Returns the offsets leased, ascending, at least one.
std::vector<uint32_t> Lease(Shard& shard, std::string holder, absl::Time until);

// Whether `epoch` still gives `holder` the shard; if so the lease holds (again) until `until`.
bool Renew(Shard& shard, absl::string_view holder, uint64_t epoch, absl::Time until);

// The holder of a LEASED shard may be gone: its lease ends at `until` at the latest.
void Shorten(Shard& shard, absl::Time until);

enum class ChunkVerdict : uint8_t { kFresh, kRepeated, kStale, kInvalid };

struct ChunkCheck {
  ChunkVerdict verdict = ChunkVerdict::kFresh;
  std::string message;  // With kInvalid.
};

// What is to become of a chunk. A repetition is recognised whatever happened to the lease since, as long as
// no other was given.
ChunkCheck CheckChunk(const Shard& shard, const Chunk& chunk);

// Gives the offsets, none of which may have one, their outcome. Ends the lease that has nothing left.
void CommitOffsets(Shard& shard, const std::vector<uint32_t>& offsets);

// Ends the lease `epoch`; nothing counts as lost. The shard is READY at once where `not_before` is not after
// `now`. False, and nothing changed, where another lease was given since.
bool HandBack(Shard& shard, uint64_t epoch, absl::Time now, absl::Time not_before);

// The time of a LEASED or DELAYED shard has come: it becomes READY. What was in question stands if the shard is leased again.
void ComeDue(Shard& shard);

// Whether the lease of a shard whose time has come covers the last suspect, so that losing it has to be certain: then
// Question() instead of ComeDue().
bool MustBeCertain(const Shard& shard);

// The loss will count, unless the holder or a better witness is heard of by `until`: still LEASED, it may be renewed.
void Question(Shard& shard, absl::Time until);
bool InQuestion(const Shard& shard);

// Not guilty: the loss that was in question does not count, and the shard is READY.
void Acquit(Shard& shard);

// The holder of a LEASED shard on trial lives and says that it does not hold it: nothing will count, and it is READY
// when its time has come or, where that was past, now.
void Forgo(Shard& shard);

// Its coordinator went away and came back with a clock that means nothing to `due`: a LEASED or DELAYED shard
// waits until `until`, in which time its holder may renew; no loss counts against it.
void Orphan(Shard& shard, absl::Time until);

}  // namespace imgfleet::core
