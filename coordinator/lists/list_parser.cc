#include "coordinator/lists/list_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status.h"
#include "common/utf8.h"
#include "coordinator/lists/format.h"
#include "coordinator/lists/inflate.h"
#include "coordinator/lists/json_array.h"
#include "coordinator/lists/json_row.h"
#include "coordinator/lists/parquet_rows.h"
#include "coordinator/lists/records.h"
#include "coordinator/lists/table.h"

namespace imgfleet::lists {
namespace {

constexpr absl::string_view kBom = "\xEF\xBB\xBF";
constexpr absl::string_view kUtf16Boms[] = {"\xFF\xFE", "\xFE\xFF"};
constexpr absl::string_view kSpace = " \t\r\v\f";
constexpr absl::string_view kJsonSpace = " \t\r\n";

bool IsBlank(absl::string_view record) {
  // Tabs alone are fields of a TSV. Most lines are told by their first byte.
  if (!record.empty() && record.front() > ' ') return false;
  return record.find_first_not_of(" \r") == absl::string_view::npos;
}

bool HasNul(absl::string_view text) { return text.find('\0') != absl::string_view::npos; }

absl::string_view Trim(absl::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == absl::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

// The stages that bytes pass: gzip, the text's start, the format's detection, records, rows.
class ListParser::State {
 public:
  explicit State(Options options) : options_(std::move(options)), format_(options_.format) {
    id_required_ = !options_.id_column.empty() && options_.id_column != "id";
    if (options_.url_column.empty()) options_.url_column = "url";
    if (options_.id_column.empty()) options_.id_column = "id";
    if (format_ == v1::LIST_FORMAT_UNSPECIFIED) {
      format_ = FormatOfName(options_.name);
      // Text of that name, or a Parquet file as it is: what it is not, its first line shows.
      if (format_ == v1::PARQUET) format_ = v1::LIST_FORMAT_UNSPECIFIED;
    }
    if (format_ != v1::LIST_FORMAT_UNSPECIFIED) Begin(1);
  }

  absl::Status Feed(absl::string_view bytes, RowSink sink) {
    if (!failure_.ok()) return failure_;
    failure_ = FeedBytes(bytes, sink);
    return failure_;
  }

  absl::Status Finish(RowSink sink) {
    if (!failure_.ok()) return failure_;
    failure_ = FinishBytes(sink);
    return failure_;
  }

 private:
  absl::Status FeedBytes(absl::string_view bytes, RowSink sink);
  absl::Status FeedUnpacked(absl::string_view bytes, RowSink sink);
  absl::Status FeedText(absl::string_view text, RowSink sink);
  absl::Status Detect(bool at_end, RowSink sink);
  absl::Status FeedRecords(absl::string_view text, RowSink sink);
  bool TellArray(absl::string_view& text);
  absl::Status FinishBytes(RowSink sink);
  absl::Status FinishRecords(RowSink sink);
  absl::Status StartText(RowSink sink);
  void Begin(uint64_t first_line);

  absl::Status TakeRecord(const Record& record, RowSink sink);
  absl::Status TakeFirst(const Record& record);
  absl::Status TakeRow(const Record& record, RowSink sink);
  absl::Status TakeParquetRow(const ParquetRow& read, RowSink sink);
  // Hands it on, as a bad one where `what` or its URL says so.
  absl::Status HandOn(Row row, std::string what, RowSink sink);

  uint64_t line() const {
    if (array_.has_value()) return array_->line();
    return splitter_.has_value() ? splitter_->line() : 1 + blank_lines_;
  }
  absl::Status Refuse(uint64_t line, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(options_.name, ":", line, ": ", what));
  }

  absl::Status RefuseParquet(const absl::Status& why) const {
    // What is wrong before the first row is wrong with the file.
    if (parquet_->rows() > 0) return Refuse(parquet_->rows() + 1, why.message());
    return absl::InvalidArgumentError(absl::StrCat(options_.name, ": ", why.message()));
  }

  Options options_;
  v1::ListFormat format_;
  bool id_required_ = false;
  absl::Status failure_;

  std::string head_;  // The first bytes, until they tell whether this is gzip.
  bool head_read_ = false;
  std::optional<Inflater> inflater_;

  std::string start_;  // The first bytes of the text, until they tell whether a BOM is there.
  bool start_read_ = false;

  std::string undetected_;    // The text until its first line tells the format; blank lines left out.
  uint64_t blank_lines_ = 0;  // Left out of it.

  std::optional<RecordSplitter> splitter_;
  std::optional<JsonArraySplitter> array_;  // Instead, once JSON has turned out to be an array.
  std::optional<Table> table_;
  std::optional<JsonRowReader> json_;
  std::optional<ParquetRows> parquet_;  // Instead of all of these.
  bool first_read_ = false;             // The first record that is not blank was seen.
  std::string error_;                   // Of the row being handed on.
};

// The format is known.
void ListParser::State::Begin(uint64_t first_line) {
  if (format_ == v1::PARQUET) {
    parquet_.emplace();
    return;
  }
  if (format_ == v1::JSON) return;  // The first byte that is not blank tells which of its two kinds it is.
  const bool csv = format_ == v1::CSV;
  splitter_.emplace(csv ? RecordSplitter::Kind::kCsv : RecordSplitter::Kind::kLines, kMaxRowBytes,
                    first_line);
  if (csv || format_ == v1::TSV) {
    table_.emplace(csv ? Table::Kind::kCsv : Table::Kind::kTsv, options_.url_column, options_.id_column);
  } else if (format_ == v1::JSON_LINES) {
    json_.emplace(options_.url_column, options_.id_column);
  }
}

absl::Status ListParser::State::FeedBytes(absl::string_view bytes, RowSink sink) {
  if (parquet_.has_value()) {
    absl::Status row_status;
    const absl::Status status = parquet_->Feed(bytes, [&](const ParquetRow& row) {
      row_status = TakeParquetRow(row, sink);
      return row_status;
    });
    return status.ok() || !row_status.ok() ? status : RefuseParquet(status);
  }
  if (!head_read_) {
    const size_t wanted = std::min<size_t>(2 - head_.size(), bytes.size());
    absl::StrAppend(&head_, bytes.substr(0, wanted));
    bytes.remove_prefix(wanted);
    if (head_.size() < 2) return absl::OkStatus();
    head_read_ = true;
    if (Inflater::IsGzip(head_)) inflater_.emplace();
    RETURN_IF_ERROR(FeedUnpacked(head_, sink));
  }
  return FeedUnpacked(bytes, sink);
}

absl::Status ListParser::State::FeedUnpacked(absl::string_view bytes, RowSink sink) {
  if (!inflater_.has_value()) return FeedText(bytes, sink);
  absl::Status row_status;
  const absl::Status status = inflater_->Feed(bytes, [&](absl::string_view text) {
    row_status = FeedText(text, sink);
    return row_status;
  });
  if (!row_status.ok() || status.ok()) return status;
  return Refuse(line(), status.message());
}

// What stands before the first line: a BOM, or the marks of another encoding.
absl::Status ListParser::State::StartText(RowSink sink) {
  start_read_ = true;
  for (const absl::string_view bom : kUtf16Boms) {
    if (absl::StartsWith(start_, bom)) {
      return Refuse(1, "the list is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)");
    }
  }
  absl::string_view text = start_;
  absl::ConsumePrefix(&text, kBom);
  return FeedRecords(text, sink);
}

absl::Status ListParser::State::FeedText(absl::string_view text, RowSink sink) {
  if (!start_read_) {
    const size_t wanted = std::min(kBom.size() - start_.size(), text.size());
    absl::StrAppend(&start_, text.substr(0, wanted));
    text.remove_prefix(wanted);
    if (start_.size() < kBom.size()) return absl::OkStatus();
    RETURN_IF_ERROR(StartText(sink));
  }
  return FeedRecords(text, sink);
}

absl::Status ListParser::State::FeedRecords(absl::string_view text, RowSink sink) {
  if (format_ == v1::JSON && !TellArray(text)) return absl::OkStatus();
  const auto take = [&](const Record& record) { return TakeRecord(record, sink); };
  if (array_.has_value()) {
    absl::Status row_status;
    const absl::Status status = array_->Feed(text, [&](const Record& record) {
      row_status = take(record);
      return row_status;
    });
    return status.ok() || !row_status.ok() ? status : Refuse(line(), status.message());
  }
  if (splitter_.has_value()) return splitter_->Feed(text, take);
  absl::StrAppend(&undetected_, text);
  return Detect(false, sink);
}

// Takes blank lines away before the first byte that is none. False: it has not come yet.
bool ListParser::State::TellArray(absl::string_view& text) {
  if (array_.has_value() || splitter_.has_value()) return true;
  const size_t begin = std::min(text.find_first_not_of(kJsonSpace), text.size());
  blank_lines_ += static_cast<uint64_t>(std::count(text.begin(), text.begin() + begin, '\n'));
  text.remove_prefix(begin);
  if (text.empty()) return false;
  json_.emplace(options_.url_column, options_.id_column);
  if (text.front() == '[') {
    array_.emplace(kMaxRowBytes, 1 + blank_lines_);
  } else {
    splitter_.emplace(RecordSplitter::Kind::kLines, kMaxRowBytes, 1 + blank_lines_);
  }
  return true;
}

// Looks for the first line that is not blank; with it, the rows begin.
absl::Status ListParser::State::Detect(bool at_end, RowSink sink) {
  absl::string_view text = undetected_;
  for (;;) {
    const size_t end = text.find('\n');
    const absl::string_view first = text.substr(0, end);
    if (end != absl::string_view::npos && IsBlank(first)) {
      text.remove_prefix(end + 1);
      ++blank_lines_;
      continue;
    }
    if (end == absl::string_view::npos && !at_end && text.size() <= kMaxRowBytes) break;
    // No more of it than is certain to be there, so that it does not matter in which pieces a long line comes.
    format_ = FormatOfFirstLine(absl::StripSuffix(first.substr(0, kMaxRowBytes), "\r"), options_.url_column);
    Begin(1 + blank_lines_);
    const std::string rest(text);
    undetected_ = std::string();
    return FeedRecords(rest, sink);
  }
  undetected_.erase(0, undetected_.size() - text.size());
  return absl::OkStatus();
}

absl::Status ListParser::State::FinishBytes(RowSink sink) {
  if (parquet_.has_value()) {
    const absl::Status whole = parquet_->Finish();
    return whole.ok() ? whole : RefuseParquet(whole);
  }
  if (!head_read_) {
    head_read_ = true;
    RETURN_IF_ERROR(FeedText(head_, sink));
  }
  if (inflater_.has_value()) {
    const absl::Status whole = inflater_->Finish();
    if (!whole.ok()) return Refuse(line(), whole.message());
  }
  if (!start_read_) RETURN_IF_ERROR(StartText(sink));
  if (!splitter_.has_value() && format_ != v1::JSON) RETURN_IF_ERROR(Detect(true, sink));
  if (array_.has_value()) {
    const absl::Status closed = array_->Finish();
    if (!closed.ok()) return Refuse(line(), closed.message());
  } else if (splitter_.has_value()) {
    RETURN_IF_ERROR(FinishRecords(sink));
  }
  if (!first_read_) return Refuse(1, "the list is empty; give it a header line and rows, or one URL a line");
  return absl::OkStatus();
}

absl::Status ListParser::State::FinishRecords(RowSink sink) {
  if (splitter_->in_quotes()) {
    return Refuse(line(),
                  "a quoted field begins here and is never closed; close it, or double the quotes inside it");
  }
  return splitter_->Finish([&](const Record& record) { return TakeRecord(record, sink); });
}

absl::Status ListParser::State::TakeRecord(const Record& record, RowSink sink) {
  if (!record.overlong && IsBlank(record.bytes)) return absl::OkStatus();
  if (!first_read_) {
    first_read_ = true;
    RETURN_IF_ERROR(TakeFirst(record));
    if (table_.has_value()) return absl::OkStatus();
  }
  return TakeRow(record, sink);
}

// The first record shows whether this is a list at all; in a table it is the header.
absl::Status ListParser::State::TakeFirst(const Record& record) {
  const absl::string_view bytes = record.bytes;
  if (IsParquet(bytes) && HasNul(bytes)) {
    return Refuse(
        record.line,
        "the list is Parquet inside another packing or called something else; give the Parquet file "
        "itself, as format parquet");
  }
  if (HasNul(bytes)) {
    return Refuse(
        record.line,
        "the list is binary (there is a NUL byte); give a text file in UTF-8, or one packed with gzip");
  }
  if (record.overlong ? !IsUtf8SoFar(bytes) : !IsUtf8(bytes)) {
    return Refuse(record.line, absl::StrCat("the line is not UTF-8 at its byte ", ValidUtf8Prefix(bytes) + 1,
                                            "; convert the list to UTF-8"));
  }
  if (json_.has_value() && !array_.has_value() && absl::StartsWith(Trim(bytes), "[")) {
    return Refuse(record.line, "the list is a JSON array, not JSON lines; say that its format is json");
  }
  if (!table_.has_value()) return absl::OkStatus();
  if (record.overlong) {
    return Refuse(record.line, absl::StrCat("the header line is longer than ", kMaxRowBytes,
                                            " bytes; is this a ", FormatWord(format_), " list?"));
  }
  const absl::Status header = table_->ReadHeader(bytes, id_required_);
  return header.ok() ? header : Refuse(record.line, header.message());
}

absl::Status ListParser::State::TakeRow(const Record& record, RowSink sink) {
  Row row;
  row.line = record.line;
  std::string what;
  if (record.overlong) {
    what = absl::StrCat("the row is longer than ", kMaxRowBytes, " bytes");
  } else if (!IsUtf8(record.bytes)) {
    what = absl::StrCat("the row is not UTF-8 at its byte ", ValidUtf8Prefix(record.bytes) + 1);
  } else if (format_ == v1::TEXT) {
    row.url = Trim(record.bytes);
    if (row.url.empty() || row.url.front() == '#') return absl::OkStatus();
  } else if (table_.has_value()) {
    table_->ReadRow(record.bytes, row.id, row.url, what);
  } else {
    json_->ReadRow(record.bytes, row.id, row.url, what);
  }
  return HandOn(row, std::move(what), sink);
}

absl::Status ListParser::State::TakeParquetRow(const ParquetRow& read, RowSink sink) {
  Row row;
  row.line = read.number;
  std::string what;
  if (read.overlong) {
    what = absl::StrCat("the row is longer than ", kMaxRowBytes, " bytes");
  } else if (!IsUtf8(read.id)) {
    what = absl::StrCat("the id is not UTF-8 at its byte ", ValidUtf8Prefix(read.id) + 1);
  } else if (!IsUtf8(read.url)) {
    row.id = read.id;
    what = absl::StrCat("the URL is not UTF-8 at its byte ", ValidUtf8Prefix(read.url) + 1);
  } else {
    row.id = read.id;
    row.url = read.url;
    if (read.url_is_null) what = "the URL is null";
  }
  return HandOn(row, std::move(what), sink);
}

absl::Status ListParser::State::HandOn(Row row, std::string what, RowSink sink) {
  if (what.empty()) {
    if (row.url.empty() || (row.url.front() <= ' ' && Trim(row.url).empty())) what = "the URL is empty";
    if (HasNul(row.url) || HasNul(row.id)) what = "the row has a NUL byte";
  }
  if (!what.empty()) {
    error_ = absl::StrCat(options_.name, ":", row.line, ": ", what);
    row.error = error_;
  }
  return sink(row);
}

ListParser::ListParser(Options options) : state_(std::make_unique<State>(std::move(options))) {}

ListParser::~ListParser() = default;

absl::Status ListParser::Feed(absl::string_view bytes, RowSink sink) { return state_->Feed(bytes, sink); }

absl::Status ListParser::Finish(RowSink sink) { return state_->Finish(sink); }

}  // namespace imgfleet::lists
