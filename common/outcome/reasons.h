// The table of reasons, as the enum's options in image.proto have it. Thread-safe; all text is of static
// storage.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/image.pb.h"

namespace imgfleet::outcome {

// The word that proto, JSON, metrics and docs share: "DNS_FAILURE". A number that this release does not know
// reads "REASON_UNSPECIFIED".
absl::string_view ReasonName(v1::ItemError::Reason reason);

// The reason of that name, exactly as written; nullopt for any other word.
std::optional<v1::ItemError::Reason> ReasonOf(absl::string_view name);

// Whether a failure of this reason is worth another try, where nothing more exact is known (HTTP_STATUS: see
// RetryableHttpStatus).
bool MayRetry(v1::ItemError::Reason reason);

// 408, 425, 429 and 5xx.
bool RetryableHttpStatus(int http_status);

// One of the three error texts of API v1 that clients match on, e.g. "Timeout while requesting Image."
absl::string_view V1Text(v1::ItemError::Reason reason);

}  // namespace imgfleet::outcome
