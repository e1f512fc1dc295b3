#include "coordinator/store/columns.h"

#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace imgfleet::store {

std::string EncodeOffsets(const std::vector<uint32_t>& offsets) {
  std::string bytes;
  bytes.reserve(offsets.size());
  int64_t last = 0;
  for (const uint32_t offset : offsets) {
    const int64_t delta = offset - last;
    uint64_t rest = (static_cast<uint64_t>(delta) << 1) ^ static_cast<uint64_t>(delta >> 63);
    for (; rest >= 0x80; rest >>= 7) bytes.push_back(static_cast<char>(rest | 0x80));
    bytes.push_back(static_cast<char>(rest));
    last = offset;
  }
  return bytes;
}

absl::StatusOr<std::vector<uint32_t>> DecodeOffsets(absl::string_view bytes) {
  std::vector<uint32_t> offsets;
  int64_t last = 0;
  uint64_t value = 0;
  int shift = 0;
  for (const char byte : bytes) {
    if (shift > 35) return absl::DataLossError("stored offsets: a number is too long");
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) != 0) continue;
    last += static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
    if (last < 0 || last > std::numeric_limits<uint32_t>::max()) {
      return absl::DataLossError(absl::StrCat("stored offsets: ", last, " is none"));
    }
    offsets.push_back(static_cast<uint32_t>(last));
    value = 0;
    shift = 0;
  }
  if (shift != 0) return absl::DataLossError("stored offsets: cut off in the middle of a number");
  return offsets;
}

std::string EncodeReasons(const core::ReasonCounts& reasons) {
  return absl::StrJoin(reasons, ",", absl::PairFormatter("="));
}

absl::StatusOr<core::ReasonCounts> DecodeReasons(absl::string_view text) {
  core::ReasonCounts reasons;
  if (text.empty()) return reasons;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    int32_t reason = 0;
    uint64_t count = 0;
    if (!absl::SimpleAtoi(pair.first, &reason) || !absl::SimpleAtoi(pair.second, &count)) {
      return absl::DataLossError(absl::StrCat("stored reasons: \"", part, "\" is no REASON=COUNT"));
    }
    reasons[reason] = count;
  }
  return reasons;
}

}  // namespace imgfleet::store
