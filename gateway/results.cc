#include "gateway/results.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/outcome/csv.h"
#include "common/outcome/json.h"
#include "common/outcome/result_reader.h"
#include "gateway/grpc_call.h"
#include "gateway/replies.h"

namespace imgfleet::gateway {
namespace {

// Rendered outcomes are written in pieces of about this size.
constexpr size_t kPieceBytes = 64 << 10;

const char* MediaType(ResultFormat format) {
  switch (format) {
    case ResultFormat::kNdjson:
      return kNdjson;
    case ResultFormat::kCsv:
      return kCsv;
    case ResultFormat::kJson:
      return kJson;
  }
  return kNdjson;
}

// Outcomes as text of one format.
class Renderer {
 public:
  explicit Renderer(ResultFormat format) : format_(format) {
    if (format_ == ResultFormat::kCsv) outcome::AppendCsvHeader(text);
    if (format_ == ResultFormat::kJson) text = "[";
  }
  void Add(const v1::Outcome& outcome) {
    if (format_ == ResultFormat::kCsv) return outcome::AppendOutcomeCsv(outcome, text);
    if (format_ == ResultFormat::kJson && std::exchange(any_, true)) text += ",\n";
    outcome::AppendOutcomeJson(outcome, text);
    if (format_ == ResultFormat::kNdjson) text += '\n';
  }
  void End() {
    if (format_ == ResultFormat::kJson) text += "]\n";
  }

  std::string text;  // To be written and cleared.

 private:
  const ResultFormat format_;
  bool any_ = false;
};

absl::StatusOr<ResultFormat> Format(const Request& request) {
  const absl::string_view asked = request.Parameter("format");
  if (asked == "ndjson") return ResultFormat::kNdjson;
  if (asked == "csv") return ResultFormat::kCsv;
  if (asked == "json") return ResultFormat::kJson;
  if (!asked.empty()) return absl::InvalidArgumentError("format is to be ndjson, csv or json");
  if (Accepts(request.accept, kNdjson)) return ResultFormat::kNdjson;
  if (Accepts(request.accept, "text/csv")) return ResultFormat::kCsv;
  if (Accepts(request.accept, kJson)) return ResultFormat::kJson;
  return ResultFormat::kNdjson;
}

}  // namespace

absl::StatusOr<ResultsRequest> ParseResultsRequest(const Request& request) {
  ResultsRequest wanted;
  const absl::StatusOr<ResultFormat> format = Format(request);
  if (!format.ok()) return format.status();
  wanted.format = *format;
  if (const absl::string_view from = request.Parameter("from");
      !from.empty() && !absl::SimpleAtoi(from, &wanted.from_index)) {
    return absl::InvalidArgumentError("from is to be an index, a whole number from 0");
  }
  if (const absl::string_view follow = request.Parameter("follow");
      !follow.empty() && !absl::SimpleAtob(follow, &wanted.follow)) {
    return absl::InvalidArgumentError("follow is to be true or false");
  }
  return wanted;
}

Task<absl::Status> StreamResults(v1::Jobs::Stub& jobs, std::string job_id, ResultsRequest wanted,
                                 bool head_only, Response& response) {
  absl::Status status = co_await response.Begin(Streamed(MediaType(wanted.format)));
  if (!status.ok()) co_return status;
  if (head_only) co_return co_await response.End();

  v1::ReadResultsRequest request;
  request.set_job_id(job_id);
  request.set_from_index(wanted.from_index);
  request.set_follow(wanted.follow);
  request.set_encoding(v1::PACKED);
  ReadStream<v1::Outcomes> stream;
  response.client_gone().Set([&stream] { stream.Cancel(); });
  const absl::Cleanup forget = [&response] { response.client_gone().Set(nullptr); };
  jobs.async()->ReadResults(stream.context(), &request, stream.reactor());
  stream.Start();

  const outcome::Gaps gaps = wanted.gaps ? outcome::Gaps::kMayBe : outcome::Gaps::kNone;
  outcome::ResultReader reader(wanted.from_index, gaps);
  Renderer out(wanted.format);
  for (;;) {
    const bool more = co_await stream.Read();
    if (!more) break;
    status = reader.Take(stream.message(), [&out](const v1::Outcome& outcome) { out.Add(outcome); });
    if (!status.ok()) co_return status;
    // A follower wants what there is; anybody else is served in larger pieces.
    if (out.text.empty() || (!wanted.follow && out.text.size() < kPieceBytes)) continue;
    status = co_await response.Write(out.text);
    if (!status.ok()) co_return status;
    out.text.clear();
  }
  status = co_await stream.Finish();
  if (!status.ok()) co_return status;
  out.End();
  if (!out.text.empty()) {
    status = co_await response.Write(out.text);
    if (!status.ok()) co_return status;
  }
  co_return co_await response.End();
}

}  // namespace imgfleet::gateway
