// Takes the rows of a Parquet list from what imgfleet-parquet writes (coordinator/parquet/frames.h), and trusts nothing of it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace imgfleet::lists {

// Bytes of any kind, which hold during the sink's call only.
struct ParquetRow {
  uint64_t number = 0;  // From 1.
  absl::string_view id, url;
  bool url_is_null = false;
  bool overlong = false;  // id and url are empty then.
};

// Holds one frame. Not thread-safe.
class ParquetRows {
 public:
  using Sink = absl::FunctionRef<absl::Status(const ParquetRow&)>;

  // The next bytes, any number of them. A status other than OK from the sink ends the call with it.
  // INVALID_ARGUMENT with what is wrong with the list, or where the bytes are no frames.
  absl::Status Feed(absl::string_view bytes, Sink sink);
  // There are no more bytes: INVALID_ARGUMENT unless the last frame told the end.
  absl::Status Finish() const;

  uint64_t rows() const { return rows_; }

 private:
  // Takes the frame at the front; bytes taken, 0: it is not whole yet.
  absl::Status Take(absl::string_view bytes, Sink sink, size_t& taken);
  absl::Status TakeRow(absl::string_view bytes, Sink sink, size_t& taken);
  absl::Status TakeEnd(absl::string_view bytes, size_t& taken);
  absl::Status TakeFailure(absl::string_view bytes, size_t& taken) const;

  std::string begun_;  // A frame whose end has not come.
  uint64_t rows_ = 0;
  bool ended_ = false;
};

}  // namespace imgfleet::lists
