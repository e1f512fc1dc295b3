#include "common/outcome/summary.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/outcome/reasons.h"

namespace imgfleet::outcome {
namespace {

// More reasons than this make no sentence; the counts themselves are beside it.
constexpr size_t kReasonsNamed = 3;

// Rounded, but neither a whole nor a nothing that it is not.
std::string Share(uint64_t part, uint64_t whole) {
  if (part >= whole) return "100 %";
  const uint64_t percent =
      static_cast<uint64_t>(100.0 * static_cast<double>(part) / static_cast<double>(whole) + 0.5);
  if (percent == 0) return "under 1 %";
  if (percent == 100) return "over 99 %";
  return absl::StrCat(percent, " %");
}

}  // namespace

std::string Grouped(uint64_t number) {
  std::string text = absl::StrCat(number);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string Summary(const v1::Job& job) {
  if (job.failed() == 0) return "";
  std::vector<v1::ReasonCount> reasons(job.reasons().begin(), job.reasons().end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const v1::ReasonCount& a, const v1::ReasonCount& b) { return a.count() > b.count(); });
  std::string text =
      absl::StrCat(Grouped(job.failed()), " of ", Grouped(job.succeeded() + job.failed()), " items failed");
  for (size_t i = 0; i < std::min(reasons.size(), kReasonsNamed); ++i) {
    absl::StrAppend(&text, i == 0 ? "; " : ", ", Share(reasons[i].count(), job.failed()),
                    i == 0 ? " of failures: " : ": ", ReasonName(reasons[i].reason()));
  }
  return text;
}

}  // namespace imgfleet::outcome
