#include "gateway/replies.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/json.h"
#include "common/status.h"

namespace imgfleet::gateway {

using outcome::AppendJsonString;

Reply Json(unsigned code, std::string body) { return Reply{{code, kJson, {}}, std::move(body)}; }

Head Streamed(absl::string_view content_type) {
  return {200, std::string(content_type), {{"Cache-Control", "no-store"}}};
}

Reply Problem(unsigned code, absl::string_view reason, absl::string_view detail) {
  std::string body = "{\"type\":\"about:blank\",\"title\":";
  AppendJsonString(ReasonPhrase(code), body);
  absl::StrAppend(&body, ",\"status\":", code, ",\"detail\":");
  AppendJsonString(detail, body);
  body += ",\"reason\":";
  AppendJsonString(reason, body);
  body += "}\n";
  return Reply{{code, "application/problem+json", {}}, std::move(body)};
}

Reply Problem(const absl::Status& status) {
  const unsigned code =
      absl::IsInvalidArgument(status) ? 422 : static_cast<unsigned>(HttpCode(status.code()));
  Reply reply = Problem(code, absl::StatusCodeToString(status.code()), status.message());
  if (code == 503) reply.head.headers.emplace_back("Retry-After", "2");
  return reply;
}

Reply V1Error(absl::string_view error, absl::string_view detail) {
  std::string body = "{\"error\": ";
  AppendJsonString(error, body);
  if (!detail.empty()) {
    body += ", \"detail\": ";
    AppendJsonString(detail, body);
  }
  body += "}\n";
  return Json(422, std::move(body));
}

}  // namespace imgfleet::gateway
