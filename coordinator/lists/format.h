// Which format a list has, where nobody says so. Pure.
#pragma once

#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// By the ending of a name, one ".gz" at its end aside: .tsv .tab .csv .txt .jsonl .ndjson .json .parquet .pq, in any case.
// LIST_FORMAT_UNSPECIFIED for any other.
v1::ListFormat FormatOfName(absl::string_view name);

// By the first bytes, of which there are at least kMagicBytes unless the list is shorter.
inline constexpr size_t kMagicBytes = 4;
bool IsParquet(absl::string_view first_bytes);

// By the first line that is not blank; always one of the formats.
v1::ListFormat FormatOfFirstLine(absl::string_view line, absl::string_view url_column);

// "TSV", "CSV", "text", "JSON lines", "JSON", "Parquet".
absl::string_view FormatWord(v1::ListFormat format);

}  // namespace imgfleet::lists
