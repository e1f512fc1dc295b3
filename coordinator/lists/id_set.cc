#include "coordinator/lists/id_set.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/hash/hash.h"

namespace imgfleet::lists {
namespace {

// The number that `id` is the one way of writing of.
std::optional<uint64_t> Decimal(absl::string_view id) {
  if (id.empty() || (id.front() == '0' && id.size() > 1)) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

}  // namespace

bool IdSet::Insert(absl::string_view id) {
  if (const std::optional<uint64_t> number = Decimal(id); number.has_value()) {
    if (runs_.empty() || *number > runs_.back().last) {
      if (!runs_.empty() && *number == runs_.back().last + 1) {
        runs_.back().last = *number;
      } else {
        runs_.push_back({*number, *number});
      }
      return true;
    }
    if (InRuns(*number)) return false;
  }
  return hashes_.insert(absl::Hash<std::pair<uint64_t, absl::string_view>>()({seed_, id})).second;
}

bool IdSet::InRuns(uint64_t number) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), number,
                                      [](uint64_t wanted, const Run& run) { return wanted < run.first; });
  return after != runs_.begin() && number <= std::prev(after)->last;
}

}  // namespace imgfleet::lists
