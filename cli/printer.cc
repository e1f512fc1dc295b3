#include "cli/printer.h"

#include <utility>

#include "common/outcome/csv.h"
#include "common/outcome/json.h"

namespace imgfleet::cli {

absl::Status Printer::Begin() {
  if (format_ == Format::kCsv) outcome::AppendCsvHeader(output_.buffer());
  if (format_ == Format::kJson) output_.buffer() += "[";
  return output_.Written();
}

absl::Status Printer::Print(const v1::Outcome& outcome) {
  std::string& out = output_.buffer();
  const bool first = std::exchange(first_, false);
  switch (format_) {
    case Format::kNdjson:
      outcome::AppendOutcomeJson(outcome, out);
      out += '\n';
      break;
    case Format::kCsv:
      outcome::AppendOutcomeCsv(outcome, out);
      break;
    case Format::kJson:
      out += first ? "\n" : ",\n";
      outcome::AppendOutcomeJson(outcome, out);
      break;
  }
  return output_.Written();
}

absl::Status Printer::End() {
  if (format_ == Format::kJson) output_.buffer() += first_ ? "]\n" : "\n]\n";
  return output_.Flush();
}

}  // namespace imgfleet::cli
