// Reads a list of URLs, in whatever pieces its bytes come, and hands on its rows one by one.
//
//   ListParser parser({.name = "images.tsv"});
//   while (read some bytes) RETURN_IF_ERROR(parser.Feed(bytes, sink));
//   RETURN_IF_ERROR(parser.Finish(sink));
//
// Formats (see v1.ListFormat): tab-separated and comma-separated with a header line, plain text, JSON lines;
// each may be gzipped, which is recognised by its first bytes. A UTF-8 BOM and CRLF line ends are taken as
// well as none; the last line needs no line end; blank lines are skipped.
//   TSV    no quoting: a field is what stands between tabs
//   CSV    RFC 4180; a quote inside an unquoted field stands for itself
//   TEXT   one URL a line, spaces around it dropped; lines that begin with '#' are skipped
//   JSON LINES  one object with the url and id members, or one string, a line; an id may be a number, and is taken
//   as written
//   JSON   one array of such objects and strings over the whole text, or JSON lines. What members hold besides is
//   passed over, whatever its size
// Columns are found by their exact names, in any order, among any others. A list without ids is fine.
//
//   PARQUET  no text: the bytes are those that lists/parquet_list.h makes of such a file; `line` counts rows
//
// A format left unspecified is told by the name's ending (.tsv .tab .csv .txt .jsonl .ndjson .json, before
// .gz), else by the first line that is not blank: '{' or a JSON string: JSON lines; '[': JSON; a tab: TSV; the
// URL column's name alone: TSV;
// "://" or '#' at the front: plain text; a comma: CSV; anything else: plain text.
//
// A row that cannot be used is handed on with `error` set, and the reading goes on: one longer than
// kMaxRowBytes, with too few or too many fields, without a URL, not UTF-8, with a NUL byte, with text after a
// closing quote, or not the JSON asked for. The list as a whole is refused with INVALID_ARGUMENT, "name:line:
// what was seen; what to do", where it is empty or binary, where a JSON array is broken or not closed, where its header is too long, has no URL column or
// has it twice, where gzip data is damaged or cut off, and where the last quoted field is never closed. After
// such a failure every call returns it again.
//
// Memory: two rows' length and zlib's window, whatever the list holds; a gzip bomb costs time only. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// Longest row, in bytes before its line end. Longer ones are bad rows.
inline constexpr size_t kMaxRowBytes = 64 << 10;

// One row of a list. The views hold during the call of the sink only.
struct Row {
  uint64_t line = 0;      // Where the row begins, from 1.
  absl::string_view id;   // Empty: the list has none here.
  absl::string_view url;  // Not empty unless the row is bad.
  absl::string_view
      error;  // Not empty: a BAD_ROW, "name:line: what". id and url then hold what could be read.
};

// What a row is handed to. It may take its time: that is what slows the reading down. A status other than OK
// ends the call of Feed or Finish with it.
using RowSink = absl::FunctionRef<absl::Status(const Row&)>;

class ListParser {
 public:
  struct Options {
    // Stands in messages, and tells the format by its ending.
    std::string name = "";
    v1::ListFormat format = v1::LIST_FORMAT_UNSPECIFIED;
    // Columns of TSV and CSV, members of JSON objects. Empty: "url" and "id". An id column named here, other
    // than "id", must be there.
    std::string url_column = "";
    std::string id_column = "";
  };

  explicit ListParser(Options options);
  ~ListParser();

  // The next bytes, any number of them.
  absl::Status Feed(absl::string_view bytes, RowSink sink);
  // There are no more bytes. Once.
  absl::Status Finish(RowSink sink);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace imgfleet::lists
