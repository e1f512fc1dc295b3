// Rows of tab- and comma-separated lists: the header's columns, and the fields of a row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace imgfleet::lists {

// Not thread-safe.
class Table {
 public:
  enum class Kind { kTsv, kCsv };

  Table(Kind kind, std::string url_column, std::string id_column)
      : kind_(kind), url_column_(std::move(url_column)), id_column_(std::move(id_column)) {}

  // Reads the header. INVALID_ARGUMENT where the columns wanted are not there exactly once. `id_required`:
  // the id column must be there too.
  absl::Status ReadHeader(absl::string_view record, bool id_required);

  // Reads a row; `id` and `url` are views into `record` or this object, valid until the next call. False
  // where the row is bad; `what` then says why, and id and url hold what stands in their places.
  bool ReadRow(absl::string_view record, absl::string_view& id, absl::string_view& url, std::string& what);

 private:
  bool Split(absl::string_view record, std::string& what);
  void SplitAt(char separator, absl::string_view record);
  bool SplitQuoted(absl::string_view record, std::string& what);
  absl::Status FindColumn(absl::string_view name, bool required, int& column) const;

  const Kind kind_;
  const std::string url_column_;
  const std::string id_column_;
  size_t columns_ = 0;
  int url_at_ = -1;
  int id_at_ = -1;
  std::vector<absl::string_view> fields_;
  std::string unquoted_;  // What quoted fields of the row hold.
};

}  // namespace imgfleet::lists
