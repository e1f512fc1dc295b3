// Fuzzes what the gateway reads of a request: the first line of the input is its target and an Accept header, the rest a
// submission. What must hold whatever the bytes:
//
// - A path that was taken has no way up, no NUL and no slash at its end.
// - A submission that was taken names one list, whose lines are JSON, and can be sent on (its strings are UTF-8).
// - What is refused says why, in UTF-8.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "boost/json.hpp"
#include "common/utf8.h"
#include "gateway/http.h"
#include "gateway/replies.h"
#include "gateway/submission.h"

namespace imgfleet::gateway {
namespace {

void Require(bool holds, const char* what, absl::string_view seen) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; \"%s\"\n", what, absl::CEscape(seen).c_str());
  std::abort();
}

bool IsJson(absl::string_view text) {
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse({text.data(), text.size()}, error);
  return !error;
}

void CheckTarget(absl::string_view target) {
  Request request;
  if (!ParseTarget(target, request)) return;
  const std::string& path = request.path;
  Require(!path.empty() && path[0] == '/' && (path.size() == 1 || path.back() != '/'), "a path", path);
  Require(path.find('\0') == std::string::npos, "no NUL", path);
  for (const absl::string_view segment : absl::StrSplit(path, '/'))
    Require(segment != "." && segment != "..", "no way up", path);
}

void CheckSubmission(absl::string_view body, Strangers strangers) {
  const absl::StatusOr<Submission> taken = ParseSubmission(body, strangers);
  if (!taken.ok()) {
    Require(!taken.status().message().empty() && IsUtf8(taken.status().message()), "a refusal says why",
            body);
    const Reply problem = Problem(taken.status());
    Require(problem.head.code >= 400 && IsJson(problem.body), "a problem", problem.body);
    Require(IsJson(V1Error("wrong", taken.status().message()).body), "a problem of API v1", body);
    return;
  }
  Require(taken->filepath.empty() != taken->list.empty(), "one list", body);
  v1::JobSpec arrived;
  Require(arrived.ParseFromString(taken->spec.SerializeAsString()), "it can be sent", body);
  Require(IsUtf8(taken->list) && IsUtf8(taken->filepath), "a list of text", body);
  if (taken->list.empty() || taken->list_format != v1::JSON_LINES) return;
  Require(taken->list.back() == '\n', "whole lines", taken->list);
  for (const absl::string_view line : absl::StrSplit(taken->list, '\n', absl::SkipEmpty()))
    Require(IsJson(line), "lines of JSON", line);
}

}  // namespace
}  // namespace imgfleet::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::gateway;
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  const absl::string_view line = input.substr(0, input.find('\n'));
  CheckTarget(line);
  (void)Accepts(line, kNdjson);
  const absl::string_view body = line.size() == size ? input : input.substr(line.size() + 1);
  CheckSubmission(body, Strangers::kRefuse);
  CheckSubmission(body, Strangers::kPass);
  return 0;
}
