#include "worker/fetch/response_head.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace imgfleet::fetch {
namespace {

// Of a header that is kept only to be reported; longer values are cut.
constexpr size_t kMaxReportedBytes = 512;
// Seconds: a wait that is none.
constexpr uint64_t kLongest = 1u << 30;

// Digits alone: neither sign nor space.
std::optional<uint64_t> Number(absl::string_view text) {
  uint64_t number;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

// Of a body or a place in it.
std::optional<uint64_t> Size(absl::string_view text) {
  const std::optional<uint64_t> number = Number(text);
  return number.has_value() && *number <= kMaxSize ? number : std::nullopt;
}

absl::string_view Trim(absl::string_view text) {
  while (!text.empty() && absl::ascii_isspace(text.front())) text.remove_prefix(1);
  while (!text.empty() && absl::ascii_isspace(text.back())) text.remove_suffix(1);
  return text;
}

// Control characters become spaces (RFC 9110 section 5.5): libcurl lets a return within a line pass, and a validator that
// is sent back with it reads like two headers to some.
void Keep(absl::string_view value, std::string* field) {
  field->assign(value.data(), std::min(value.size(), kMaxReportedBytes));
  for (char& c : *field) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t') c = ' ';
  }
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
  value = Trim(value.substr(6));
  const size_t slash = value.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const absl::string_view range = value.substr(0, slash), total = value.substr(slash + 1);
  ContentRange parsed;
  if (total != "*") {
    parsed.total = Size(total);
    if (!parsed.total.has_value()) return std::nullopt;
  }
  if (range == "*") return parsed.total.has_value() ? std::optional(parsed) : std::nullopt;
  const size_t dash = range.find('-');
  if (dash == absl::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> first = Size(range.substr(0, dash)), last = Size(range.substr(dash + 1));
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
  chunked = multiplexed = false;
  coding = Coding::kIdentity;
  range.reset();
  range_broken = false;
  for (std::string* field : {&content_encoding, &content_type, &etag, &last_modified, &location, &retry_after,
                             &content_range_, &refusal_}) {
    field->clear();
  }
  bytes_ = lines_ = 0;
  complete_ = matters_ = false;
}

ResponseHead::Line ResponseHead::Refuse(std::string refusal) {
  refusal_ = std::move(refusal);
  return Line::kRefused;
}

ResponseHead::Line ResponseHead::Add(absl::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxHeadBytes) return Refuse(kHeadTooLarge);
  if (++lines_ > kMaxHeadLines) {
    return Refuse(absl::StrCat("the answer has more than ", kMaxHeadLines, " headers"));
  }
  if (complete_) return Line::kMore;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.empty()) {
    if (status >= 200) {
      complete_ = true;
      return Line::kEnd;
    }
    status = 0;  // The end of an interim answer: another status line follows.
    return Line::kMore;
  }
  if (absl::StartsWith(line, "HTTP/")) return StatusLine(line);
  if (line[0] == ' ' || line[0] == '\t') {
    // RFC 9112 section 5.2: obsolete. What nothing depends on may be folded.
    return matters_ ? Refuse("a header of the answer that matters is folded over two lines") : Line::kMore;
  }
  matters_ = false;
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return Line::kMore;
  return Field(line.substr(0, colon), Trim(line.substr(colon + 1)));
}

ResponseHead::Line ResponseHead::StatusLine(absl::string_view line) {
  if (status != 0) return Refuse("the answer has a second status line within its head");
  const size_t bytes = bytes_, lines = lines_;
  Clear();
  bytes_ = bytes;
  lines_ = lines;
  const size_t space = line.find(' ');
  const absl::string_view digits = space == absl::string_view::npos ? "" : line.substr(space + 1, 3);
  const std::optional<uint64_t> number = Number(digits);
  if (!number.has_value()) return Refuse("the answer's status line cannot be read");
  if (*number < 100) return Refuse(absl::StrCat("the answer's status is ", digits));
  if (*number == 101) return Refuse("the origin switched to another protocol though nobody asked for one");
  status = static_cast<uint32_t>(*number);
  multiplexed = absl::StartsWith(line, "HTTP/2 ");
  return Line::kMore;
}

ResponseHead::Line ResponseHead::Field(absl::string_view name, absl::string_view value) {
  using absl::EqualsIgnoreCase;
  switch (name.size()) {
    case 4:
      if (EqualsIgnoreCase(name, "etag")) Keep(value, &etag);
      break;
    case 8:
      if (EqualsIgnoreCase(name, "location")) return AddLocation(value);
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
        return AddRange(value);
      }
      break;
    case 14:
      if (EqualsIgnoreCase(name, "content-length")) return AddLength(value);
      break;
    case 16:
      if (EqualsIgnoreCase(name, "content-encoding")) {
        // Two headers, or a list of codings, is more than one coding: none that we undo.
        coding = content_encoding.empty() ? ReadCoding(value) : Coding::kOther;
        Keep(value, &content_encoding);
        matters_ = true;
      }
      break;
    case 17:
      if (EqualsIgnoreCase(name, "transfer-encoding")) chunked = matters_ = true;
      break;
    default:
      break;
  }
  return Line::kMore;
}

// A list of one number again and again counts as that number (RFC 9110 section 8.6).
ResponseHead::Line ResponseHead::AddLength(absl::string_view value) {
  matters_ = true;
  for (const absl::string_view part : absl::StrSplit(value, ',')) {
    const std::optional<uint64_t> length = Size(Trim(part));
    if (!length.has_value()) return Refuse("the answer's Content-Length cannot be read");
    if (content_length.has_value() && *content_length != *length) {
      return Refuse("the answer's Content-Length headers contradict each other");
    }
    content_length = length;
  }
  return Line::kMore;
}

ResponseHead::Line ResponseHead::AddRange(absl::string_view value) {
  matters_ = true;
  if ((range.has_value() || range_broken) && content_range_ != value) {
    return Refuse("the answer's Content-Range headers contradict each other");
  }
  Keep(value, &content_range_);
  range = ContentRange::Parse(content_range_);
  range_broken = !range.has_value();
  return Line::kMore;
}

ResponseHead::Line ResponseHead::AddLocation(absl::string_view value) {
  matters_ = true;
  if (!location.empty() && location != value) {
    return Refuse("the answer's Location headers contradict each other");
  }
  location.assign(value.data(), value.size());
  return Line::kMore;
}

std::optional<absl::Duration> ResponseHead::RetryAfter(absl::Time now) const {
  if (retry_after.empty()) return std::nullopt;
  if (std::all_of(retry_after.begin(), retry_after.end(), absl::ascii_isdigit)) {
    return absl::Seconds(std::min<uint64_t>(Number(retry_after).value_or(kLongest), kLongest));
  }
  // Every form of date begins with the day's name; libcurl would read dates out of less.
  if (!absl::ascii_isalpha(retry_after[0])) return std::nullopt;
  const time_t date = curl_getdate(retry_after.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(absl::FromTimeT(date) - now, absl::ZeroDuration());
}

}  // namespace imgfleet::fetch
