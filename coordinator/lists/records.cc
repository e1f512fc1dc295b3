#include "coordinator/lists/records.h"

#include "absl/strings/strip.h"
#include "common/status.h"

namespace imgfleet::lists {
namespace {

constexpr size_t kNone = absl::string_view::npos;

}  // namespace

absl::Status RecordSplitter::Feed(absl::string_view text, Sink sink) {
  while (!text.empty()) {
    const size_t end = FindEnd(text);
    RETURN_IF_ERROR(Gather(text.substr(0, end), end != kNone, sink));
    if (end == kNone) break;
    begun_line_ = line_;
    text.remove_prefix(end + 1);
  }
  return absl::OkStatus();
}

absl::Status RecordSplitter::Finish(Sink sink) {
  if (gathered_.empty() || skipping_) return absl::OkStatus();
  return Gather("", true, sink);
}

// Adds a piece to the record; hands the record on where it has ended or grown too long.
absl::Status RecordSplitter::Gather(absl::string_view piece, bool ended, Sink sink) {
  if (skipping_) {
    skipping_ = !ended;
    return absl::OkStatus();
  }
  Record record{begun_line_, piece, false};
  if (gathered_.size() + piece.size() > max_bytes_) {
    gathered_.append(piece.data(), max_bytes_ - gathered_.size());
    record.bytes = gathered_;
    record.overlong = true;
    skipping_ = !ended;
  } else if (!ended) {
    gathered_.append(piece.data(), piece.size());
    return absl::OkStatus();
  } else if (!gathered_.empty()) {
    gathered_.append(piece.data(), piece.size());
    record.bytes = gathered_;
  }
  if (!record.overlong) record.bytes = absl::StripSuffix(record.bytes, "\r");
  const absl::Status status = sink(record);
  gathered_.clear();
  return status;
}

// The place of the line end that ends the record, or kNone.
size_t RecordSplitter::FindEnd(absl::string_view text) {
  if (kind_ == Kind::kCsv) return FindCsvEnd(text);
  const size_t end = text.find('\n');
  if (end != kNone) ++line_;
  return end;
}

size_t RecordSplitter::FindCsvEnd(absl::string_view text) {
  // Most records hold no quote: then the next line end is the record's.
  if (quotes_ == Quotes::kFieldStart || quotes_ == Quotes::kOutside) {
    const size_t end = text.find('\n');
    if (end != kNone && text.substr(0, end).find('"') == kNone) {
      quotes_ = Quotes::kFieldStart;
      ++line_;
      return end;
    }
  }
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line_;
    if (quotes_ == Quotes::kInside) {
      if (c == '"') quotes_ = Quotes::kMaybeClosed;
    } else if (c == '\n') {
      quotes_ = Quotes::kFieldStart;
      return i;
    } else if (c == ',') {
      quotes_ = Quotes::kFieldStart;
    } else if (c == '"' && quotes_ != Quotes::kOutside) {
      quotes_ = Quotes::kInside;
    } else {
      quotes_ = Quotes::kOutside;
    }
  }
  return kNone;
}

}  // namespace imgfleet::lists
