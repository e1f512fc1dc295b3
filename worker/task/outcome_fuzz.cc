// Fuzzes the way from what an origin sent to an outcome: its texts, which may hold any bytes, beside a file's. Byte 0:
// how the fetch ended; then lines: the message, the content type, ETag, Last-Modified and final URL; the rest is the file.
// What must hold whatever the bytes: an outcome is an image or an error, never both; it can be sent (its strings are
// UTF-8) and arrives as it was; text that was UTF-8 stays as it is; an error says why.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "common/utf8.h"
#include "worker/image/probe.h"
#include "worker/task/outcome.h"

namespace imgfleet::task {
namespace {

void Require(bool holds, const char* what, const v1::Outcome& outcome) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; %s\n", what, outcome.ShortDebugString().c_str());
  std::abort();
}

std::string Line(absl::string_view* rest) {
  const size_t end = rest->find('\n');
  const std::string line(rest->substr(0, end));
  rest->remove_prefix(end == absl::string_view::npos ? rest->size() : end + 1);
  return line;
}

void CheckText(const std::string& sent, const std::string& told, const v1::Outcome& outcome) {
  Require(IsUtf8(told), "text is UTF-8", outcome);
  Require(IsUtf8(sent) ? told == sent : told != sent, "good text stays", outcome);
  Require(told.empty() == sent.empty() && told.size() <= 3 * sent.size(), "bounded text", outcome);
}

void Check(uint8_t end, absl::string_view rest) {
  fetch::Report report;
  constexpr int kFailures = static_cast<int>(fetch::Failure::kInternal) + 1;
  report.failure = static_cast<fetch::Failure>(end % kFailures);
  report.message = Line(&rest);
  report.attempts = 1;
  report.content_type = Line(&rest);
  report.etag = Line(&rest);
  report.last_modified = Line(&rest);
  report.final_url = Line(&rest);
  report.size_bytes = rest.size();
  const std::string message = report.message, content_type = report.content_type, etag = report.etag,
                    modified = report.last_modified, url = report.final_url;
  v1::Outcome outcome;
  if (report.failure == fetch::Failure::kNone) {
    image::Bytes bytes;
    bytes.prefix = rest;
    bytes.total = rest.size();
    FillImage(image::Probe(bytes), report, &outcome);
    Require(outcome.has_image() || !outcome.error().message().empty(), "an error says why", outcome);
  } else {
    FillFailure(&report, &outcome);
    CheckText(message, outcome.error().message(), outcome);
  }
  FillFetch(&report, &outcome);
  Require(outcome.has_image() != outcome.has_error(), "an image or an error", outcome);
  CheckText(content_type, outcome.fetch().content_type(), outcome);
  CheckText(etag, outcome.fetch().etag(), outcome);
  CheckText(modified, outcome.fetch().last_modified(), outcome);
  CheckText(url, outcome.fetch().final_url(), outcome);
  // Who receives a message whose strings are no UTF-8 refuses it.
  v1::Outcome arrived;
  Require(arrived.ParseFromString(outcome.SerializeAsString()), "it can be sent", outcome);
  Require(arrived.SerializeAsString() == outcome.SerializeAsString(), "it arrives as it was", outcome);
}

}  // namespace
}  // namespace imgfleet::task

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  imgfleet::task::Check(data[0], absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
