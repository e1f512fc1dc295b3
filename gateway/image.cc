// GET /api/v1/image?url=...&depth=header|full|pixels: one image, now.
//
// 200 and the outcome, as …/results has it, where it was measured; otherwise application/problem+json with the item's
// reason and the whole outcome beside it as "outcome":
//   400  the URL is none                              422  what came is no image that can be measured
//   403  its address is not to be reached             502  its origin did not give it, or not as HTTP says
//   503  no worker had room for long, or no coordinator was there             504  its origin was not in time
// Where no worker has room at once it is a job of one item, which is waited for; so is a coordinator that is away.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/outcome/json.h"
#include "common/outcome/reasons.h"
#include "gateway/answer_few.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

unsigned CodeOf(v1::ItemError::Reason reason) {
  switch (reason) {
    case v1::ItemError::BAD_URL:
    case v1::ItemError::BAD_ROW:
      return 400;
    case v1::ItemError::BLOCKED_ADDRESS:
    case v1::ItemError::ROBOTS_DISALLOWED:
      return 403;
    case v1::ItemError::NOT_AN_IMAGE:
    case v1::ItemError::UNSUPPORTED_FORMAT:
    case v1::ItemError::CORRUPT:
    case v1::ItemError::TRUNCATED:
    case v1::ItemError::EMPTY_BODY:
    case v1::ItemError::TOO_MANY_PIXELS:
    case v1::ItemError::BODY_TOO_LARGE:
      return 422;
    case v1::ItemError::TIMEOUT:
    case v1::ItemError::STALLED:
      return 504;
    case v1::ItemError::CANCELLED:
      return 503;
    case v1::ItemError::INTERNAL:
    case v1::ItemError::STORE_FAILED:
      return 500;
    default:
      return 502;
  }
}

Reply ReplyOf(const v1::Outcome& outcome) {
  std::string json;
  outcome::AppendOutcomeJson(outcome, json);
  Reply reply;
  if (outcome.has_error()) {
    const v1::ItemError& error = outcome.error();
    reply = Problem(CodeOf(error.reason()), outcome::ReasonName(error.reason()), error.message());
    reply.body.resize(reply.body.rfind('}'));
    absl::StrAppend(&reply.body, ",\"outcome\":", json, "}\n");
  } else {
    reply = Json(200, json + "\n");
  }
  reply.head.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

absl::StatusOr<v1::JobSpec> SpecOf(const Request& request) {
  v1::JobSpec spec;
  const absl::string_view depth = request.Parameter("depth");
  if (depth.empty() || depth == "header") {
    spec.mutable_measure()->set_depth(v1::HEADER);
  } else if (depth == "full") {
    spec.mutable_measure()->set_depth(v1::FULL);
  } else if (depth == "pixels") {
    spec.mutable_measure()->set_depth(v1::PIXELS);
  } else {
    return absl::InvalidArgumentError("depth is to be header, full or pixels");
  }
  return spec;
}

Task<absl::Status> GetImage(const Backend& backend, const Request& request, Response& response) {
  if (IsCrossSite(request))
    co_return co_await response.Send(Problem(403, "PERMISSION_DENIED", "not from another site"));
  const absl::string_view url = request.Parameter("url");
  if (url.empty()) {
    co_return co_await response.Send(
        Problem(400, "INVALID_ARGUMENT", "say which image: ?url=, with its URL percent-encoded"));
  }
  const absl::StatusOr<v1::JobSpec> spec = SpecOf(request);
  if (!spec.ok()) {
    co_return co_await response.Send(Problem(400, "INVALID_ARGUMENT", std::string(spec.status().message())));
  }
  v1::Item item;
  item.set_url(std::string(url));
  std::vector<v1::Item> items;
  items.push_back(std::move(item));
  FewItems few(std::move(items));
  v1::Outcome found;
  const FewSink sink = [&found](const v1::OutcomeChunk& chunk) -> Task<absl::Status> {
    found = chunk.outcomes(0);
    co_return absl::OkStatus();
  };
  Submission submission;
  submission.spec = *spec;
  const absl::Status status =
      co_await AnswerFew(backend, submission, few, response.client_gone(), sink, backend.patience);
  if (response.client_gone().gone()) co_return status;
  Reply reply = status.ok() ? ReplyOf(found) : Problem(status);
  co_return co_await response.Send(std::move(reply));
}

}  // namespace

void AddImageRoute(const Backend& backend, Router& router) {
  router.Add("GET", "/api/v1/image", [&backend](const Request& request, Response& response) {
    return GetImage(backend, request, response);
  });
}

}  // namespace imgfleet::gateway
