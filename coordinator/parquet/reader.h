// Reads the id and URL columns of a Parquet file, row group by row group and page by page, and hands on its rows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace imgfleet::parquet_list {

struct ReaderOptions {
  std::string url_column = "url";
  std::string id_column = "id";
  bool id_required = false;
  // For pages and dictionaries.
  int64_t memory_bytes = 256 << 20;
};

// What is wrong with the list, and what to do: for whoever made it.
class BadList : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Nothing where the value is null, of an id also where there is no such column. The views hold during the call.
using RowSink = std::function<void(std::optional<std::string_view> id, std::optional<std::string_view> url)>;

// Reads the file of so many bytes behind the descriptor, by pread alone; returns the number of rows. Throws BadList.
uint64_t ReadRows(int fd, uint64_t size, const ReaderOptions& options, const RowSink& sink);

}  // namespace imgfleet::parquet_list
