// Which format a list has, where nobody says so. Pure.
#pragma once

#include "absl/strings/string_view.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::lists {

// By the ending of a name, one ".gz" at its end aside: .tsv .tab .csv .txt .jsonl .ndjson .json, in any case.
// LIST_FORMAT_UNSPECIFIED for any other.
v1::ListFormat FormatOfName(absl::string_view name);

// By the first line that is not blank; always one of the formats.
v1::ListFormat FormatOfFirstLine(absl::string_view line, absl::string_view url_column);

// "TSV", "CSV", "text", "JSON lines", "JSON".
absl::string_view FormatWord(v1::ListFormat format);

}  // namespace imgfleet::lists
