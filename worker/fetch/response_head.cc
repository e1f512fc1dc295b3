#include "worker/fetch/response_head.h"

#include <curl/curl.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace imgfleet::fetch {
namespace {

// Of a header that is kept only to be reported; longer values are cut.
constexpr size_t kMaxReportedBytes = 512;

std::optional<uint64_t> Number(absl::string_view text) {
  uint64_t number;
  if (text.empty() || !absl::ascii_isdigit(text[0]) || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

void Keep(absl::string_view value, std::string* field, size_t limit = kMaxReportedBytes) {
  field->assign(value.data(), std::min(value.size(), limit));
}

Coding ReadCoding(absl::string_view value) {
  if (value.empty() || absl::EqualsIgnoreCase(value, "identity")) return Coding::kIdentity;
  if (absl::EqualsIgnoreCase(value, "gzip") || absl::EqualsIgnoreCase(value, "x-gzip")) return Coding::kGzip;
  if (absl::EqualsIgnoreCase(value, "deflate")) return Coding::kDeflate;
  return Coding::kOther;
}

}  // namespace

std::optional<ContentRange> ContentRange::Parse(absl::string_view value) {
  if (value.size() < 6 || !absl::EqualsIgnoreCase(value.substr(0, 6), "bytes ")) return std::nullopt;
  value = absl::StripAsciiWhitespace(value.substr(6));
  const size_t slash = value.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const absl::string_view range = value.substr(0, slash), total = value.substr(slash + 1);
  ContentRange parsed;
  if (total != "*") {
    parsed.total = Number(total);
    if (!parsed.total.has_value()) return std::nullopt;
  }
  if (range == "*") return parsed.total.has_value() ? std::optional(parsed) : std::nullopt;
  const size_t dash = range.find('-');
  if (dash == absl::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> first = Number(range.substr(0, dash)), last = Number(range.substr(dash + 1));
  if (!first.has_value() || !last.has_value() || *last < *first) return std::nullopt;
  if (parsed.total.has_value() && *last >= *parsed.total) return std::nullopt;
  parsed.satisfied = true;
  parsed.first = *first;
  parsed.last = *last;
  return parsed;
}

void ResponseHead::Clear() {
  status = 0;
  content_length.reset();
  chunked = false;
  coding = Coding::kIdentity;
  range.reset();
  range_broken = false;
  for (std::string* field :
       {&content_encoding, &content_type, &etag, &last_modified, &location, &retry_after}) {
    field->clear();
  }
  bytes_ = 0;
}

ResponseHead::Line ResponseHead::Add(absl::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxHeadBytes) return Line::kTooLarge;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.empty()) return status >= 200 ? Line::kEnd : Line::kMore;
  if (absl::StartsWith(line, "HTTP/")) {
    const size_t bytes = bytes_;
    Clear();
    bytes_ = bytes;
    const size_t space = line.find(' ');
    uint32_t number = 0;
    if (space != absl::string_view::npos && absl::SimpleAtoi(line.substr(space + 1, 3), &number)) {
      status = number;
    }
    return Line::kMore;
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return Line::kMore;
  return Field(line.substr(0, colon), absl::StripAsciiWhitespace(line.substr(colon + 1)));
}

ResponseHead::Line ResponseHead::Field(absl::string_view name, absl::string_view value) {
  using absl::EqualsIgnoreCase;
  switch (name.size()) {
    case 4:
      if (EqualsIgnoreCase(name, "etag")) Keep(value, &etag);
      break;
    case 8:
      if (EqualsIgnoreCase(name, "location")) Keep(value, &location, kMaxHeadBytes);
      break;
    case 11:
      if (EqualsIgnoreCase(name, "retry-after")) Keep(value, &retry_after);
      break;
    case 12:
      if (EqualsIgnoreCase(name, "content-type")) Keep(value, &content_type);
      break;
    case 13:
      if (EqualsIgnoreCase(name, "last-modified")) {
        Keep(value, &last_modified);
      } else if (EqualsIgnoreCase(name, "content-range")) {
        range = ContentRange::Parse(value);
        range_broken = !range.has_value();
      }
      break;
    case 14:
      if (EqualsIgnoreCase(name, "content-length")) {
        for (const absl::string_view part : absl::StrSplit(value, ',')) {
          const std::optional<uint64_t> length = Number(absl::StripAsciiWhitespace(part));
          if (!length.has_value()) return Line::kConflict;
          if (content_length.has_value() && *content_length != *length) return Line::kConflict;
          content_length = length;
        }
      }
      break;
    case 16:
      if (EqualsIgnoreCase(name, "content-encoding")) {
        // Two headers, or a list of codings, is more than one coding: none that we undo.
        coding = content_encoding.empty() ? ReadCoding(value) : Coding::kOther;
        Keep(value, &content_encoding);
      }
      break;
    case 17:
      if (EqualsIgnoreCase(name, "transfer-encoding")) chunked = true;
      break;
    default:
      break;
  }
  return Line::kMore;
}

std::optional<absl::Duration> ResponseHead::RetryAfter(absl::Time now) const {
  if (const std::optional<uint64_t> seconds = Number(retry_after)) {
    return absl::Seconds(std::min<uint64_t>(*seconds, 1u << 30));
  }
  if (retry_after.empty()) return std::nullopt;
  const time_t date = curl_getdate(retry_after.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(absl::FromTimeT(date) - now, absl::ZeroDuration());
}

}  // namespace imgfleet::fetch
