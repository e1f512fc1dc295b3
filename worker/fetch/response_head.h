// The head of one HTTP answer, read line by line as libcurl hands it over: what fetching acts on, and what
// results report. Sources: RFC 9110 (Content-Range 14.4, Retry-After 10.2.3), RFC 9112 (message framing).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace imgfleet::fetch {

// Bytes of all header lines of one answer, interim answers and trailers included.
inline constexpr size_t kMaxHeadBytes = 64 << 10;

// "bytes 0-99/1234", "bytes 0-99/*" or "bytes */1234" (then `satisfied` is false).
struct ContentRange {
  bool satisfied = false;
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> total;

  static std::optional<ContentRange> Parse(absl::string_view value);
};

enum class Coding : uint8_t { kIdentity, kGzip, kDeflate, kOther };

struct ResponseHead {
  uint32_t status = 0;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  Coding coding = Coding::kIdentity;
  // With a Content-Range header that cannot be read, `range_broken`.
  std::optional<ContentRange> range;
  bool range_broken = false;
  std::string content_encoding, content_type, etag, last_modified, location, retry_after;

  // Forgets the answer, keeps the memory.
  void Clear();

  enum class Line : uint8_t {
    kMore,
    kEnd,       // The blank line of a final answer.
    kTooLarge,  // kMaxHeadBytes are passed.
    kConflict,  // Two Content-Length headers that differ.
  };
  Line Add(absl::string_view line);

  // The wait that Retry-After asks for at wall time `now`; nullopt where there is none or it cannot be read.
  std::optional<absl::Duration> RetryAfter(absl::Time now) const;

 private:
  Line Field(absl::string_view name, absl::string_view value);

  size_t bytes_ = 0;
};

}  // namespace imgfleet::fetch
