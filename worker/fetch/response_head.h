// The head of one HTTP answer, read line by line as libcurl hands it over: what fetching acts on, and what
// results report. Sources: RFC 9110 (Content-Range 14.4, Retry-After 10.2.3), RFC 9112 (message framing).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace imgfleet::fetch {

// Of all header lines of one answer, interim answers and trailers included. Lines are counted as well since libcurl
// keeps each with a hundred bytes of its own.
inline constexpr size_t kMaxHeadBytes = 64 << 10, kMaxHeadLines = 1000;
inline constexpr char kHeadTooLarge[] = "the answer's header is larger than 64 KiB";
// No file is larger, and a larger number would not survive JSON.
inline constexpr uint64_t kMaxSize = (uint64_t{1} << 53) - 1;

// "bytes 0-99/1234", "bytes 0-99/*" or "bytes */1234" (then `satisfied` is false).
struct ContentRange {
  bool satisfied = false;
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> total;

  static std::optional<ContentRange> Parse(absl::string_view value);
};

// Statuses whose Location is to be followed.
inline bool IsRedirect(uint32_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

enum class Coding : uint8_t { kIdentity, kGzip, kDeflate, kOther };

struct ResponseHead {
  uint32_t status = 0;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  bool multiplexed = false;  // HTTP/2.
  Coding coding = Coding::kIdentity;
  // With a Content-Range header that cannot be read, `range_broken`.
  std::optional<ContentRange> range;
  bool range_broken = false;
  std::string content_encoding, content_type, etag, last_modified, location, retry_after;

  // Forgets the answer, keeps the memory.
  void Clear();

  enum class Line : uint8_t {
    kMore,
    kEnd,      // The blank line of a final answer. What follows are trailers: counted, and not looked at.
    kRefused,  // See refusal().
  };
  Line Add(absl::string_view line);
  // What is wrong with it, for a person.
  const std::string& refusal() const { return refusal_; }

  // The wait that Retry-After asks for at wall time `now`; nullopt where there is none or it cannot be read.
  std::optional<absl::Duration> RetryAfter(absl::Time now) const;

 private:
  Line StatusLine(absl::string_view line);
  Line Field(absl::string_view name, absl::string_view value);
  Line AddLength(absl::string_view value);
  Line AddRange(absl::string_view value);
  Line AddLocation(absl::string_view value);
  Line Refuse(std::string refusal);

  size_t bytes_ = 0, lines_ = 0;
  bool complete_ = false;
  bool matters_ = false;  // The last line was of a header that fetching acts on.
  std::string content_range_, refusal_;
};

}  // namespace imgfleet::fetch
