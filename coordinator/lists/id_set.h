// Which ids a list has had already, in bounded memory: at most 64 MiB, whatever the list.
//
// Ids that are growing decimal numbers, which most lists have, are kept as runs of consecutive numbers: a
// list counted 0, 1, 2, ... costs 16 bytes in all, each gap in the counting another 16, up to 128 Ki of them. All
// other ids are kept as seeded 64-bit hashes. Two ids of one hash pass for the same, which among ten million happens
// to one list in 400,000, among a hundred million to one in 4,000, and gives that id a suffix it did not need.
//
// The newest hashes, up to 786,432 of them, are in a table (8 MiB). When it is full they are sorted and written as a run
// to a temporary file (id_runs.h), and Bloom filters tell of most ids at once that no run has them: the first (8 MiB)
// is for the 6 million that spill first, the second (36 MiB) for all others. What the filters cannot tell is looked
// up with a read of 4 KiB in each run, of which there are few. With a hundred million random ids that is one id in four
// at the end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/lists/bloom.h"
#include "coordinator/lists/id_runs.h"

namespace imgfleet::lists {

// Not thread-safe.
class IdSet {
 public:
  struct Limits {
    size_t table = 1 << 20;         // Slots, a power of two.
    size_t first_filter = 6 << 20;  // Hashes.
    size_t runs = 128 << 10;        // Of consecutive numbers.
  };

  // `seed` makes the hashes unforeseeable for whoever writes lists. Temporary files lie in `folder`
  // (temporary_file.h); there are none below three quarters of a million hashes.
  IdSet(uint64_t seed, std::string folder) : IdSet(seed, std::move(folder), Limits()) {}
  IdSet(uint64_t seed, std::string folder, Limits limits);

  // Whether it was not there before. Fails where a temporary file can be neither written nor read, and says what
  // to do; the id counts as not inserted then.
  absl::StatusOr<bool> Insert(absl::string_view id);

 private:
  struct Run {
    uint64_t first, last;
  };
  bool InRuns(uint64_t number) const;
  absl::StatusOr<bool> InsertHash(uint64_t hash);
  // The slot that has the hash, or the one where it belongs.
  size_t SlotOf(uint64_t hash) const;
  void Grow();
  absl::Status Spill();

  const uint64_t seed_;
  const Limits limits_;
  std::vector<Run> runs_;  // Ascending, with gaps between. Once full, nothing is added any more.

  std::vector<uint64_t> table_;  // Open addressing; 0 is a free slot.
  size_t used_ = 0;              // Slots.

  IdRuns spilled_;
  uint64_t spilled_hashes_ = 0;
  std::optional<Bloom> first_filter_, second_filter_;
};

}  // namespace imgfleet::lists
