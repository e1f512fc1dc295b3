// Outcomes on standard output, in one of three formats.
#pragma once

#include "absl/status/status.h"
#include "cli/output.h"
#include "proto/imgfleet/v1/image.pb.h"

namespace imgfleet::cli {

enum class Format {
  kNdjson,  // One JSON object a line.
  kCsv,     // RFC 4180 with a header line.
  kJson,    // One JSON array, one object a line.
};

// Not thread-safe. Fields are those of common/outcome/json.h and csv.h.
class Printer {
 public:
  Printer(Format format, Output& output) : format_(format), output_(output) {}

  // Each returns what Output::Flush does.
  absl::Status Begin();
  absl::Status Print(const v1::Outcome& outcome);
  absl::Status End();
  absl::Status Flush() { return output_.Flush(); }

  bool reader_gone() const { return output_.closed(); }

 private:
  const Format format_;
  Output& output_;
  bool first_ = true;
};

}  // namespace imgfleet::cli
