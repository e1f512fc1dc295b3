// Cuts a JSON array that comes in pieces into its elements, each of which is then read as a row (json_row.h).
//
// What an element's members hold in their turn is passed over and left out of its record, whatever its size: of
// {"url": "u", "faces": [{...}, ...]} the record is {"url": "u", "faces": []}. There only strings and brackets are looked
// at, so that a mistake inside shows if it breaks one of those.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "coordinator/lists/records.h"

namespace imgfleet::lists {

// Memory is bounded by `max_bytes` and kMaxDepth: of an element whose own text is longer the beginning is handed on, as
// overlong. Not thread-safe.
class JsonArraySplitter {
 public:
  static constexpr size_t kMaxDepth = 1024;

  // The text to come begins with the array's '['.
  JsonArraySplitter(size_t max_bytes, uint64_t first_line)
      : max_bytes_(max_bytes), line_(first_line), begun_line_(first_line) {}

  // INVALID_ARGUMENT where the array itself is broken: brackets that do not match, a comma too many, nesting beyond
  // kMaxDepth, text behind its end; line() tells where. A status other than OK from the sink ends the call with it.
  absl::Status Feed(absl::string_view text, RecordSplitter::Sink sink);
  // INVALID_ARGUMENT where the array is not closed.
  absl::Status Finish() const;

  // Of the byte that was looked at last.
  uint64_t line() const { return line_; }

 private:
  absl::Status TakeByte(char c, RecordSplitter::Sink sink);
  absl::Status TakeBracket(char c, RecordSplitter::Sink sink);
  absl::Status EndElement(bool at_comma, RecordSplitter::Sink sink);
  // Adds to the element what is its own text.
  void Keep(char c);

  const size_t max_bytes_;
  uint64_t line_;
  uint64_t begun_line_;     // Of the element.
  std::vector<char> open_;  // The closing brackets that are owed, the array's own first.
  bool ended_ = false;
  bool after_comma_ = false;
  bool in_string_ = false, escaped_ = false;
  bool overlong_ = false;
  std::string element_;
};

}  // namespace imgfleet::lists
