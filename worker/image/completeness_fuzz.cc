// Fuzzes Completeness: the first byte chooses the format, the second how the rest, the file, is cut into pieces. What must
// hold whatever the bytes: the verdict is the same at once and in pieces, and an end once reached stays reached but for
// the formats whose end is also that of the file (boxes, and JPEG 2000 to its end).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "worker/image/completeness.h"

namespace imgfleet::image {
namespace {

std::optional<bool> Verdict(Format format, absl::string_view file, size_t piece) {
  Completeness completeness(format);
  for (size_t at = 0; at < file.size(); at += piece) completeness.Add(file.substr(at, piece));
  return completeness.Finish();
}

void Require(bool holds, const char* what, Format format) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s; %s\n", what, FormatName(format).data());
  std::abort();
}

bool EndsWithTheFile(Format format) {
  return format == Format::kAvif || format == Format::kHeic || format == Format::kJxl ||
         format == Format::kJp2 || format == Format::kJ2k;
}

}  // namespace
}  // namespace imgfleet::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgfleet::image;
  if (size < 2) return 0;
  const auto format = static_cast<Format>(data[0] % (static_cast<int>(Format::kPcx) + 1));
  const absl::string_view file(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::optional<bool> at_once = Verdict(format, file, file.size() + 1);
  Require(Verdict(format, file, 1 + data[1]) == at_once, "the same verdict in pieces", format);
  if (at_once != true && !EndsWithTheFile(format)) {
    Require(Verdict(format, file.substr(0, file.size() / 2), 4096) != true, "an end that stays reached",
            format);
  }
  return 0;
}
