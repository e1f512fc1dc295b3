#include "coordinator/lists/json_array.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

absl::Status JsonArraySplitter::Feed(absl::string_view text, RecordSplitter::Sink sink) {
  for (const char c : text) {
    if (c == '\n') ++line_;
    RETURN_IF_ERROR(TakeByte(c, sink));
  }
  return absl::OkStatus();
}

absl::Status JsonArraySplitter::Finish() const {
  if (ended_) return absl::OkStatus();
  return absl::InvalidArgumentError("the JSON array is never closed; the list may be cut off");
}

void JsonArraySplitter::Keep(char c) {
  // 1: the array alone is open, 2: the element. What lies deeper is nobody's row.
  if (open_.size() > 2) return;
  if (element_.empty()) {
    if (IsSpace(c)) return;
    begun_line_ = line_;
  }
  if (element_.size() < max_bytes_) {
    element_ += c;
  } else {
    overlong_ = true;
  }
}

absl::Status JsonArraySplitter::TakeByte(char c, RecordSplitter::Sink sink) {
  if (in_string_) {
    Keep(c);
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return absl::OkStatus();
  }
  if (ended_) {
    if (IsSpace(c)) return absl::OkStatus();
    return absl::InvalidArgumentError("there is text after the end of the JSON array; make it one array");
  }
  switch (c) {
    case '[':
    case '{':
    case ']':
    case '}':
      return TakeBracket(c, sink);
    case ',':
      if (open_.size() == 1) return EndElement(true, sink);
      break;
    case '"':
      in_string_ = true;
      break;
    default:
      break;
  }
  Keep(c);
  return absl::OkStatus();
}

absl::Status JsonArraySplitter::TakeBracket(char c, RecordSplitter::Sink sink) {
  if (c == '[' || c == '{') {
    if (open_.size() == kMaxDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("the JSON is nested deeper than ", kMaxDepth, " levels"));
    }
    if (!open_.empty()) Keep(c);
    open_.push_back(c == '[' ? ']' : '}');
    return absl::OkStatus();
  }
  if (open_.back() != c) {
    return absl::InvalidArgumentError(absl::StrCat("there is a \"", std::string(1, c), "\" where a \"",
                                                   std::string(1, open_.back()),
                                                   "\" is owed; is this JSON?"));
  }
  open_.pop_back();
  if (!open_.empty()) {
    Keep(c);
    return absl::OkStatus();
  }
  ended_ = true;
  return EndElement(false, sink);
}

absl::Status JsonArraySplitter::EndElement(bool at_comma, RecordSplitter::Sink sink) {
  if (element_.empty()) {
    // Only an array without any element may have nothing here.
    if (!at_comma && !after_comma_) return absl::OkStatus();
    return absl::InvalidArgumentError("the JSON array has a comma with no element beside it");
  }
  after_comma_ = at_comma;
  const absl::Status status = sink(Record{begun_line_, element_, overlong_});
  element_.clear();
  overlong_ = false;
  return status;
}

}  // namespace imgfleet::lists
