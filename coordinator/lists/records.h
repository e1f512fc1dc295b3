// Cuts a text that comes in pieces into its records: lines, or CSV records, which may hold line ends inside
// quotes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace imgfleet::lists {

struct Record {
  uint64_t line = 0;        // Where it begins, from 1.
  absl::string_view bytes;  // Without its line end, LF or CRLF. Holds during the sink's call only.
  bool overlong = false;    // Longer than allowed; `bytes` is its beginning.
};

// Memory is bounded by `max_bytes`: of an overlong record the beginning is handed on as soon as it is known
// to be one, and the rest is skipped. Not thread-safe.
class RecordSplitter {
 public:
  enum class Kind { kLines, kCsv };
  using Sink = absl::FunctionRef<absl::Status(const Record&)>;

  RecordSplitter(Kind kind, size_t max_bytes, uint64_t first_line)
      : kind_(kind), max_bytes_(max_bytes), begun_line_(first_line), line_(first_line) {}

  // A status other than OK from the sink ends the call with it.
  absl::Status Feed(absl::string_view text, Sink sink);
  // Hands on the last record if no line end followed it.
  absl::Status Finish(Sink sink);

  // The line on which the record being gathered begins.
  uint64_t line() const { return begun_line_; }
  // The text so far ends inside a quoted field.
  bool in_quotes() const { return quotes_ == Quotes::kInside; }

 private:
  enum class Quotes : uint8_t { kFieldStart, kOutside, kInside, kMaybeClosed };

  size_t FindEnd(absl::string_view text);
  size_t FindCsvEnd(absl::string_view text);
  absl::Status Gather(absl::string_view piece, bool ended, Sink sink);

  const Kind kind_;
  const size_t max_bytes_;
  uint64_t begun_line_;
  uint64_t line_;  // Of the byte that comes next.
  Quotes quotes_ = Quotes::kFieldStart;
  bool skipping_ = false;  // The record was handed on as overlong.
  std::string gathered_;   // The beginning of a record whose end has not come.
};

}  // namespace imgfleet::lists
