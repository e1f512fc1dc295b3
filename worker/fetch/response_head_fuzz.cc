// Fuzzes the reading of heads: the input's lines go in as libcurl hands them over. What must hold whatever the bytes:
// memory stays bounded, a refusal says why, what is acted on makes sense, and a head that is over stays as it is.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "worker/fetch/response_head.h"

namespace imgfleet::fetch {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void CheckRange(const ContentRange& range) {
  Require(range.satisfied || range.total.has_value(), "a range says something");
  if (!range.satisfied) return;
  Require(range.first <= range.last, "a range goes forward");
  Require(!range.total.has_value() || range.last < *range.total, "a range lies within the body");
  Require(range.last <= kMaxSize && range.total.value_or(0) <= kMaxSize, "sizes that can be");
}

void Check(const ResponseHead& head) {
  Require(head.status == 0 || (head.status >= 100 && head.status <= 999 && head.status != 101), "a status");
  Require(head.content_length.value_or(0) <= kMaxSize, "a length that can be");
  if (head.range.has_value()) CheckRange(*head.range);
  Require(!(head.range.has_value() && head.range_broken), "a range is read or not");
  Require(head.location.size() <= kMaxHeadBytes && head.etag.size() <= 512, "bounded memory");
  for (const unsigned char c : head.etag + head.last_modified) {
    Require((c >= ' ' && c != 0x7f) || c == '\t', "nothing that ends a header in what is sent back");
  }
  const auto wait = head.RetryAfter(absl::FromUnixSeconds(1'700'000'000));
  Require(!wait.has_value() || (*wait >= absl::ZeroDuration() && *wait != absl::InfiniteDuration()),
          "a wait");
}

}  // namespace
}  // namespace imgfleet::fetch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::fetch;
  absl::string_view rest(reinterpret_cast<const char*>(data), size);
  ResponseHead head;
  head.Clear();
  bool ended = false;
  uint32_t status = 0;
  std::string location;
  for (size_t lines = 0; !rest.empty(); ++lines) {
    const size_t end = rest.find('\n');
    const absl::string_view line = rest.substr(0, end == absl::string_view::npos ? rest.size() : end + 1);
    rest.remove_prefix(line.size());
    const ResponseHead::Line said = head.Add(line);
    if (said == ResponseHead::Line::kRefused) {
      Require(!head.refusal().empty(), "a refusal says why");
      break;
    }
    Require(head.refusal().empty() && lines < kMaxHeadLines, "a head is bounded");
    if (ended) Require(head.status == status && head.location == location, "trailers change nothing");
    if (said == ResponseHead::Line::kEnd) {
      Require(!ended && head.status >= 200, "one end, of a final answer");
      ended = true;
      status = head.status;
      location = head.location;
    }
    Check(head);
  }
  if (const auto range = ContentRange::Parse(absl::string_view(reinterpret_cast<const char*>(data), size))) {
    CheckRange(*range);
  }
  return 0;
}
