// Which ids a list has had already, in little memory.
//
// Ids that are growing decimal numbers, which most lists have, are kept as runs of consecutive numbers: a
// list counted 0, 1, 2, ... costs 16 bytes in all. Each gap in the counting costs another 16. All other ids
// are kept as seeded 64-bit hashes: 10 to 30 MB a million. Two ids of one hash pass for the same, which among
// ten million happens to one list in 400,000 and gives that id a suffix it did not need.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace imgfleet::lists {

// Not thread-safe.
class IdSet {
 public:
  // `seed` makes the hashes unforeseeable for whoever writes lists.
  explicit IdSet(uint64_t seed) : seed_(seed) {}

  // Whether it was not there before.
  bool Insert(absl::string_view id);

 private:
  struct Run {
    uint64_t first, last;
  };
  bool InRuns(uint64_t number) const;

  const uint64_t seed_;
  std::vector<Run> runs_;  // Ascending, with gaps between.
  absl::flat_hash_set<uint64_t> hashes_;
};

}  // namespace imgfleet::lists
