// Outcomes as CSV (RFC 4180: CRLF ends a line, fields with a comma, quote or line end are quoted).
// Thread-safe.
#pragma once

#include <string>

#include "proto/imgfleet/v1/image.pb.h"

namespace imgfleet::outcome {

// The column names, line end included.
void AppendCsvHeader(std::string& out);

// One outcome, line end included. The columns carry what the JSON line carries under the same names;
// `reason`, `message`, `retryable` and `line` are those of its error, svg_*, `decoded` to `blurhash` and pixels_* those
// inside its "svg" and "pixels". `variants` is a list with spaces between: WIDTHxHEIGHTxBITS:BYTES, without xBITS where
// the depth is not known. What is not known is an empty field. New columns come behind the old ones.
void AppendOutcomeCsv(const v1::Outcome& outcome, std::string& out);

}  // namespace imgfleet::outcome
