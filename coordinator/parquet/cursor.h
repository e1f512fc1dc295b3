// The values of one column of one row group, one after the other, as text: a page of it is in memory at a time, and the
// dictionary it may have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace parquet {
class ColumnDescriptor;
class ColumnReader;
}  // namespace parquet

namespace imgfleet::parquet_list {

// What a column is taken for.
enum class Use { kUrl, kId };

// Why the column is of no such use, as the end of a sentence that begins with its name; empty where it is.
std::string Complaint(const parquet::ColumnDescriptor& column, Use use);

// Not thread-safe. Arrow's exceptions pass through.
class Cursor {
 public:
  virtual ~Cursor() = default;

  // The next value, nothing where it is null; it holds until the next call. Throws where the column has no more.
  virtual std::optional<std::string_view> Next() = 0;
  // Whether there is another.
  virtual bool More() = 0;
};

// `column` is one that Complaint has nothing against.
std::unique_ptr<Cursor> OpenCursor(std::shared_ptr<parquet::ColumnReader> column);

}  // namespace imgfleet::parquet_list
