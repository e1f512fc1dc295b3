#include "coordinator/lists/format.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace imgfleet::lists {

v1::ListFormat FormatOfName(absl::string_view name) {
  static constexpr std::pair<absl::string_view, v1::ListFormat> kEndings[] = {
      {".tsv", v1::TSV},   {".tab", v1::TSV},          {".csv", v1::CSV},
      {".txt", v1::TEXT},  {".jsonl", v1::JSON_LINES}, {".ndjson", v1::JSON_LINES},
      {".json", v1::JSON}, {".parquet", v1::PARQUET},  {".pq", v1::PARQUET},
  };
  if (absl::EndsWithIgnoreCase(name, ".gz")) name.remove_suffix(3);
  for (const auto& [ending, format] : kEndings) {
    if (absl::EndsWithIgnoreCase(name, ending)) return format;
  }
  return v1::LIST_FORMAT_UNSPECIFIED;
}

// The second is that of a file whose footer is encrypted.
bool IsParquet(absl::string_view first_bytes) {
  return absl::StartsWith(first_bytes, "PAR1") || absl::StartsWith(first_bytes, "PARE");
}

v1::ListFormat FormatOfFirstLine(absl::string_view line, absl::string_view url_column) {
  const size_t start = line.find_first_not_of(' ');
  if (start == absl::string_view::npos) return v1::TEXT;
  line.remove_prefix(start);
  if (line.front() == '{') return v1::JSON_LINES;
  if (line.front() == '[') return v1::JSON;
  // A quoted header is CSV, a quoted URL is JSON.
  if (line.front() == '"' && line.find(',') == absl::string_view::npos &&
      line != absl::StrCat("\"", url_column, "\"")) {
    return v1::JSON_LINES;
  }
  if (absl::StrContains(line, "\t") || line == url_column) return v1::TSV;
  if (line.front() == '#' || absl::StrContains(line.substr(0, line.find(',')), "://")) return v1::TEXT;
  return absl::StrContains(line, ",") || line.front() == '"' ? v1::CSV : v1::TEXT;
}

absl::string_view FormatWord(v1::ListFormat format) {
  switch (format) {
    case v1::TSV:
      return "TSV";
    case v1::CSV:
      return "CSV";
    case v1::JSON_LINES:
      return "JSON lines";
    case v1::JSON:
      return "JSON";
    case v1::PARQUET:
      return "Parquet";
    default:
      return "text";
  }
}

}  // namespace imgfleet::lists
