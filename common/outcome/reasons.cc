#include "common/outcome/reasons.h"

#include <array>
#include <string>

#include "google/protobuf/descriptor.h"

namespace imgfleet::outcome {
namespace {

struct Entry {
  absl::string_view name;
  bool may_retry = false;
  absl::string_view v1_text;
};

using Table = std::array<Entry, v1::ItemError::Reason_ARRAYSIZE>;

absl::string_view TextOf(v1::V1Text text) {
  switch (text) {
    case v1::V1_TIMEOUT:
      return "Timeout while requesting Image.";
    case v1::V1_NOT_OPENED:
      return "Image could not be opened.";
    default:
      return "Image could not be requested.";
  }
}

const Table& Reasons() {
  static const Table table = [] {
    Table made;
    made.fill({"REASON_UNSPECIFIED", false, TextOf(v1::V1_UNSPECIFIED)});
    const google::protobuf::EnumDescriptor& reasons = *v1::ItemError::Reason_descriptor();
    for (int i = 0; i < reasons.value_count(); ++i) {
      const google::protobuf::EnumValueDescriptor& value = *reasons.value(i);
      const std::string& name = value.name();
      made[value.number()] = {absl::string_view(name.data(), name.size()),
                              value.options().GetExtension(v1::may_retry),
                              TextOf(value.options().GetExtension(v1::v1))};
    }
    return made;
  }();
  return table;
}

const Entry& Find(v1::ItemError::Reason reason) {
  const Table& table = Reasons();
  const bool known = reason >= 0 && static_cast<size_t>(reason) < table.size();
  return table[known ? reason : v1::ItemError::REASON_UNSPECIFIED];
}

}  // namespace

absl::string_view ReasonName(v1::ItemError::Reason reason) { return Find(reason).name; }

std::optional<v1::ItemError::Reason> ReasonOf(absl::string_view name) {
  v1::ItemError::Reason reason;
  if (!v1::ItemError::Reason_Parse(std::string(name), &reason)) return std::nullopt;
  return reason;
}

bool MayRetry(v1::ItemError::Reason reason) { return Find(reason).may_retry; }

bool RetryableHttpStatus(int http_status) {
  return http_status == 408 || http_status == 425 || http_status == 429 ||
         (http_status >= 500 && http_status <= 599);
}

absl::string_view V1Text(v1::ItemError::Reason reason) { return Find(reason).v1_text; }

}  // namespace imgfleet::outcome
