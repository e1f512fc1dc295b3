// How much an owner may have going at a time.
//
// Pure functions over plain structs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/core/types.h"

namespace imgfleet::core {

// Of jobs that have not ended. 0: no limit.
struct Quota {
  uint64_t jobs = 0;
  uint64_t items = 0;  // Known and without an outcome.
  bool operator==(const Quota&) const = default;
};

struct Quotas {
  std::map<std::string, Quota> of;
  Quota otherwise;  // Of owners without one of their own.

  const Quota& Of(const std::string& owner) const {
    const auto found = of.find(owner);
    return found == of.end() ? otherwise : found->second;
  }
};

// "jobs:10,items:1000000", either of them alone, or "none".
absl::StatusOr<Quota> ParseQuota(absl::string_view text);
// "OWNER=" and what ParseQuota takes.
absl::Status AddQuota(absl::string_view text, Quotas& quotas);

// Whether `owner` may begin another job. RESOURCE_EXHAUSTED says what to do.
absl::Status CheckNewJob(const Quota& quota, const OwnerUse& use, absl::string_view owner);
// Whether so many items more may come in now. Whoever has none may always add some, or a list whose shards are larger
// than the quota would never be read.
absl::Status CheckMoreItems(const Quota& quota, const OwnerUse& use, uint64_t more, absl::string_view owner);

}  // namespace imgfleet::core
