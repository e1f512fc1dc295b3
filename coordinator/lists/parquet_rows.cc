#include "coordinator/lists/parquet_rows.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "common/utf8.h"
#include "coordinator/parquet/frames.h"

namespace imgfleet::lists {
namespace {

// More than any frame is.
constexpr size_t kMaxFrameBytes = parquet_list::kRowHeadBytes + parquet_list::kMaxRowBytes;

uint64_t Number(absl::string_view bytes, size_t at, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

absl::Status NoFrames() {
  return absl::InvalidArgumentError(
      "what reads Parquet answers nonsense; the file is damaged or made to do harm, write it anew");
}

}  // namespace

absl::Status ParquetRows::Feed(absl::string_view bytes, Sink sink) {
  size_t taken = 0;
  while (!begun_.empty() && !bytes.empty()) {
    // As much as makes it whole at the most, so that little is copied.
    const size_t had = begun_.size();
    const size_t more = std::min(bytes.size(), kMaxFrameBytes);
    begun_.append(bytes.data(), more);
    RETURN_IF_ERROR(Take(begun_, sink, taken));
    if (taken == 0) {
      bytes.remove_prefix(more);
      if (begun_.size() > kMaxFrameBytes) return NoFrames();
      continue;
    }
    bytes.remove_prefix(taken - had);
    begun_.clear();
  }
  while (!bytes.empty()) {
    RETURN_IF_ERROR(Take(bytes, sink, taken));
    if (taken == 0) {
      begun_ = std::string(bytes);
      return absl::OkStatus();
    }
    bytes.remove_prefix(taken);
  }
  return absl::OkStatus();
}

absl::Status ParquetRows::Take(absl::string_view bytes, Sink sink, size_t& taken) {
  taken = 0;
  if (ended_) return NoFrames();
  switch (bytes.front()) {
    case parquet_list::kRow:
      return TakeRow(bytes, sink, taken);
    case parquet_list::kEnd:
      return TakeEnd(bytes, taken);
    case parquet_list::kFailure:
      return TakeFailure(bytes, taken);
    default:
      return NoFrames();
  }
}

absl::Status ParquetRows::TakeRow(absl::string_view bytes, Sink sink, size_t& taken) {
  if (bytes.size() < parquet_list::kRowHeadBytes) return absl::OkStatus();
  const auto flags = static_cast<uint8_t>(bytes[1]);
  const uint64_t id_bytes = Number(bytes, 2, 4), url_bytes = Number(bytes, 6, 4);
  if (id_bytes + url_bytes > parquet_list::kMaxRowBytes) return NoFrames();
  const size_t whole = parquet_list::kRowHeadBytes + static_cast<size_t>(id_bytes + url_bytes);
  if (bytes.size() < whole) return absl::OkStatus();
  taken = whole;
  ParquetRow row;
  row.number = ++rows_;
  row.id = bytes.substr(parquet_list::kRowHeadBytes, static_cast<size_t>(id_bytes));
  row.url = bytes.substr(parquet_list::kRowHeadBytes + static_cast<size_t>(id_bytes),
                         static_cast<size_t>(url_bytes));
  row.url_is_null = (flags & parquet_list::kUrlIsNull) != 0;
  row.overlong = (flags & parquet_list::kOverlong) != 0;
  return sink(row);
}

absl::Status ParquetRows::TakeEnd(absl::string_view bytes, size_t& taken) {
  if (bytes.size() < parquet_list::kEndBytes) return absl::OkStatus();
  if (Number(bytes, 1, 8) != rows_) return NoFrames();
  ended_ = true;
  taken = parquet_list::kEndBytes;
  return absl::OkStatus();
}

absl::Status ParquetRows::TakeFailure(absl::string_view bytes, size_t& taken) const {
  if (bytes.size() < parquet_list::kFailureHeadBytes) return absl::OkStatus();
  const uint64_t message = Number(bytes, 1, 4);
  if (message > parquet_list::kMaxMessageBytes) return NoFrames();
  const size_t whole = parquet_list::kFailureHeadBytes + static_cast<size_t>(message);
  if (bytes.size() < whole) return absl::OkStatus();
  taken = whole;
  const absl::string_view text = bytes.substr(parquet_list::kFailureHeadBytes, static_cast<size_t>(message));
  // It may quote the file: no control characters, and nothing that is not UTF-8.
  std::string shown;
  for (const char c : IsUtf8(text) ? std::string(text) : absl::CHexEscape(text)) {
    shown += static_cast<unsigned char>(c) < ' ' || c == 0x7F ? ' ' : c;
  }
  return absl::InvalidArgumentError(shown);
}

absl::Status ParquetRows::Finish() const {
  if (ended_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "what reads Parquet ended before the list did; the file is damaged or made to do harm, write it anew");
}

}  // namespace imgfleet::lists
