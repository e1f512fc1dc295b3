// What OriginHomes reads.
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "coordinator/core/origin_homes.h"

namespace imgfleet::core {
namespace {

// False for what another release has written otherwise.
bool Numbers(absl::string_view text, size_t count, std::vector<int64_t>& numbers) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(' ', count));
  if (parts.size() < count) return false;
  numbers.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (!absl::SimpleAtoi(parts[i], &numbers[i]) || numbers[i] < 0) return false;
  }
  return true;
}

}  // namespace

void OriginHomes::Read(const OriginNews& news) {
  for (const std::string& name : asked_) {
    Origin& origin = origins_[name];
    origin.others.clear();
    origin.state = State();
    origin.mine = Claim();
    origin.known = true;
  }
  std::vector<int64_t> numbers;
  for (const OriginRow& row : news.rows) {
    if (row.origin.empty()) {
      const auto [member, inserted] = members_.try_emplace(row.coordinator);
      member->second.fresh |= inserted;
      member->second.until = row.until;
      member->second.number = row.number;
      continue;
    }
    const auto found = origins_.find(row.origin);
    if (found == origins_.end() || !found->second.known) continue;
    Origin& origin = found->second;
    const bool gone = row.until <= news.now || row.value.empty();
    if (row.coordinator.empty()) {
      if (gone || !Numbers(row.value, 3, numbers)) continue;
      const size_t by = row.value.rfind(' ');
      origin.state = {numbers[0] != 0, static_cast<uint32_t>(numbers[1]), absl::FromUnixMicros(numbers[2]),
                      row.value.substr(by + 1), row.learned};
      origin.state_written = news.now;
      continue;
    }
    Claim claim;
    if (!gone && Numbers(row.value, 9, numbers)) {
      claim.share = static_cast<uint32_t>(numbers[0]);
      claim.users = static_cast<uint32_t>(numbers[1]);
      claim.waits = numbers[2] != 0;
      claim.wants = numbers[3];
      claim.in_flight = numbers[4];
      claim.wanted = numbers[5];
      claim.strays_accepted = numbers[6];
      claim.strays_refused = numbers[7];
      claim.since = absl::FromUnixMicros(numbers[8]);
    }
    if (row.coordinator == standing_.id) {
      origin.mine = claim;
      origin.mine_written = news.now;
    } else if (gone) {
      origin.others.erase(row.coordinator);
    } else {
      origin.others[row.coordinator] = claim;
    }
  }
  std::erase_if(members_, [&](const auto& entry) { return entry.second.until + kKept <= news.now; });
}

}  // namespace imgfleet::core
