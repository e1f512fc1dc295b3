// What the unary calls of the Jobs service have in common: answers and page tokens.
#pragma once

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"
#include "common/status.h"
#include "coordinator/service/job_proto.h"
#include "grpcpp/support/server_callback.h"

namespace imgfleet::service {

inline constexpr uint32_t kDefaultPage = 100;
inline constexpr uint32_t kMaxPage = 1000;
inline constexpr char kTokenPrefix[] = "after:";

inline uint32_t PageSize(uint32_t wanted) { return wanted == 0 ? kDefaultPage : std::min(wanted, kMaxPage); }

// Answers a unary call with a status.
inline grpc::ServerUnaryReactor* Answered(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Ends one with a job or a schedule, or with why there is none.
template <typename Response, typename Row>
void FinishWith(grpc::ServerUnaryReactor* reactor, Response* response, const absl::StatusOr<Row>& row) {
  if (row.ok()) *response = ToProto(*row);
  reactor->Finish(ToGrpc(row.status()));
}

// The page after the one that ended with this id, and back.
inline std::string TokenAfter(absl::string_view id) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenPrefix, id));
}

inline absl::StatusOr<std::string> IdOfToken(absl::string_view token) {
  if (token.empty()) return std::string();
  std::string text;
  if (!absl::WebSafeBase64Unescape(token, &text) || !absl::StartsWith(text, kTokenPrefix) ||
      !IsUuid(absl::string_view(text).substr(sizeof(kTokenPrefix) - 1))) {
    return absl::InvalidArgumentError("page_token: not one that a page before gave");
  }
  return text.substr(sizeof(kTokenPrefix) - 1);
}

}  // namespace imgfleet::service
