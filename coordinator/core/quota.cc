#include "coordinator/core/quota.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace imgfleet::core {
namespace {

std::string Named(absl::string_view owner) {
  return owner.empty() ? std::string("jobs without an owner") : absl::StrCat("owner \"", owner, "\"");
}

}  // namespace

absl::StatusOr<Quota> ParseQuota(absl::string_view text) {
  Quota quota;
  if (text == "none") return quota;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits(':', 1));
    uint64_t* limit = pair.first == "jobs" ? &quota.jobs : pair.first == "items" ? &quota.items : nullptr;
    if (limit == nullptr || *limit != 0 || !absl::SimpleAtoi(pair.second, limit) || *limit == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", text, "\" is no quota: write jobs:10,items:1000000, one of the two, or none"));
    }
  }
  return quota;
}

absl::Status AddQuota(absl::string_view text, Quotas& quotas) {
  const size_t at = text.rfind('=');
  if (at == absl::string_view::npos || at == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no OWNER=QUOTA, as in alice=jobs:10,items:1000000"));
  }
  ASSIGN_OR_RETURN(const Quota quota, ParseQuota(text.substr(at + 1)));
  quotas.of[std::string(text.substr(0, at))] = quota;
  return absl::OkStatus();
}

absl::Status CheckNewJob(const Quota& quota, const OwnerUse& use, absl::string_view owner) {
  if (quota.jobs == 0 || use.jobs < quota.jobs) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(Named(owner), " may have ", quota.jobs,
                                                   " jobs going at a time and has ", use.jobs,
                                                   "; wait until one has ended, or cancel one"));
}

absl::Status CheckMoreItems(const Quota& quota, const OwnerUse& use, uint64_t more, absl::string_view owner) {
  if (quota.items == 0 || use.items == 0 || use.items + more <= quota.items) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(Named(owner), " may have ", quota.items, " items going at a time and has ", use.items,
                   ", which leaves no room for ", more, " more; wait until some have ended"));
}

}  // namespace imgfleet::core
