#include "coordinator/lists/id_set.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/hash/hash.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kFirstTable = 1024;
constexpr size_t kFirstFilterBytes = 8 << 20;
constexpr int kFirstFilterProbes = 6;
constexpr size_t kSecondFilterBytes = 36 << 20;
constexpr int kSecondFilterProbes = 2;

// The number that `id` is the one way of writing of.
std::optional<uint64_t> Decimal(absl::string_view id) {
  if (id.empty() || (id.front() == '0' && id.size() > 1)) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

// Spreads what a hash tells over all its bits, one to one (MurmurHash3's finalizer): slots, blocks of the filters and
// places in a run are taken from different ones.
uint64_t Spread(uint64_t hash) {
  hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
  hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
  hash ^= hash >> 33;
  return hash == 0 ? 1 : hash;
}

}  // namespace

IdSet::IdSet(uint64_t seed, std::string folder, Limits limits)
    : seed_(seed),
      limits_(limits),
      table_(std::min(kFirstTable, limits.table)),
      spilled_(std::move(folder)) {}

absl::StatusOr<bool> IdSet::Insert(absl::string_view id) {
  if (const std::optional<uint64_t> number = Decimal(id); number.has_value()) {
    const bool full = runs_.size() >= limits_.runs;
    if (!full && (runs_.empty() || *number > runs_.back().last)) {
      if (!runs_.empty() && *number == runs_.back().last + 1) {
        runs_.back().last = *number;
      } else {
        runs_.push_back({*number, *number});
      }
      return true;
    }
    if (InRuns(*number)) return false;
  }
  return InsertHash(Spread(absl::Hash<std::pair<uint64_t, absl::string_view>>()({seed_, id})));
}

bool IdSet::InRuns(uint64_t number) const {
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), number,
                                      [](uint64_t wanted, const Run& run) { return wanted < run.first; });
  return after != runs_.begin() && number <= std::prev(after)->last;
}

absl::StatusOr<bool> IdSet::InsertHash(uint64_t hash) {
  size_t slot = SlotOf(hash);
  if (table_[slot] == hash) return false;
  if ((first_filter_.has_value() && first_filter_->MayHave(hash)) ||
      (second_filter_.has_value() && second_filter_->MayHave(hash))) {
    ASSIGN_OR_RETURN(const bool there, spilled_.Contains(hash));
    if (there) return false;
  }
  if (used_ >= table_.size() / 4 * 3) {
    if (table_.size() < limits_.table) {
      Grow();
    } else {
      RETURN_IF_ERROR(Spill());
    }
    slot = SlotOf(hash);
  }
  table_[slot] = hash;
  ++used_;
  return true;
}

size_t IdSet::SlotOf(uint64_t hash) const {
  const size_t mask = table_.size() - 1;
  size_t slot = hash & mask;
  while (table_[slot] != 0 && table_[slot] != hash) slot = (slot + 1) & mask;
  return slot;
}

void IdSet::Grow() {
  const std::vector<uint64_t> old = std::exchange(table_, std::vector<uint64_t>(table_.size() * 2));
  for (const uint64_t hash : old) {
    if (hash != 0) table_[SlotOf(hash)] = hash;
  }
}

absl::Status IdSet::Spill() {
  // In place: a copy would be another 6 MiB.
  std::sort(table_.begin(), table_.end());
  const auto first = table_.end() - static_cast<ptrdiff_t>(used_);
  const absl::Status added = spilled_.Add(absl::MakeConstSpan(&*first, used_));
  if (!added.ok()) {
    const std::vector<uint64_t> hashes(first, table_.end());
    std::fill(table_.begin(), table_.end(), 0);
    for (const uint64_t hash : hashes) table_[SlotOf(hash)] = hash;
    return added;
  }
  std::optional<Bloom>& filter = spilled_hashes_ < limits_.first_filter ? first_filter_ : second_filter_;
  if (!filter.has_value()) {
    const bool is_first = &filter == &first_filter_;
    filter.emplace(is_first ? kFirstFilterBytes : kSecondFilterBytes,
                   is_first ? kFirstFilterProbes : kSecondFilterProbes);
  }
  for (auto hash = first; hash != table_.end(); ++hash) filter->Add(*hash);
  spilled_hashes_ += used_;
  std::fill(table_.begin(), table_.end(), 0);
  used_ = 0;
  return absl::OkStatus();
}

}  // namespace imgfleet::lists
