// Any bytes are read without harm, and give the same rows when they come cut in two. The first byte chooses the format
// and, with the second, the cut.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/utf8.h"
#include "coordinator/lists/list_parser.h"

namespace {

using imgfleet::lists::ListParser;
using imgfleet::lists::Row;

// Enough of what a small bomb unpacks to.
constexpr uint64_t kMaxRows = 100'000;

std::string Read(imgfleet::v1::ListFormat format, absl::string_view first, absl::string_view second) {
  ListParser parser({.name = "list", .format = format});
  std::string seen;
  uint64_t rows = 0;
  const auto sink = [&](const Row& row) {
    IMGFLEET_CHECK(row.line > 0);
    IMGFLEET_CHECK(!row.error.empty() || !row.url.empty());
    IMGFLEET_CHECK(imgfleet::IsUtf8(row.id) && imgfleet::IsUtf8(row.url) && imgfleet::IsUtf8(row.error));
    if (rows < 1000) absl::StrAppend(&seen, row.line, "|", row.id, "|", row.url, "|", row.error, "\n");
    return ++rows < kMaxRows ? absl::OkStatus() : absl::ResourceExhaustedError("enough");
  };
  absl::Status status = parser.Feed(first, sink);
  if (status.ok()) status = parser.Feed(second, sink);
  if (status.ok()) status = parser.Finish(sink);
  IMGFLEET_CHECK(imgfleet::IsUtf8(status.message()));
  absl::StrAppend(&seen, rows, status.ToString());
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto format = static_cast<imgfleet::v1::ListFormat>(data[0] % imgfleet::v1::ListFormat_ARRAYSIZE);
  const absl::string_view list(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = (data[0] * 256u + data[1]) % (list.size() + 1);
  IMGFLEET_CHECK(Read(format, list, "") == Read(format, list.substr(0, cut), list.substr(cut)));
  return 0;
}
