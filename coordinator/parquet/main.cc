// imgfleet-parquet: reads the Parquet file that is its standard input and writes its rows to its standard output, as
// frames.h says. A program of its own, since nobody else should pay for Apache Arrow's 60 MB, and what a hostile file does to
// Arrow must not be done to a coordinator, which starts one for each list.
//
//   imgfleet-parquet MEMORY_BYTES URL_COLUMN ID_COLUMN ID_REQUIRED < LIST.parquet
//
// ID_REQUIRED is 0 or 1. Exit code 0 also where the list is bad: a frame says why.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "common/version.h"
#include "coordinator/parquet/confine.h"
#include "coordinator/parquet/frames.h"
#include "coordinator/parquet/reader.h"

namespace imgfleet::parquet_list {
namespace {

constexpr size_t kFlushBytes = 64 << 10;
// What is needed beside pages: the footer, what it is parsed into, the program's own.
constexpr uint64_t kSlackBytes = 96 << 20;
// Time to read a list of no length, and for each MiB: fifty times what it takes.
constexpr uint64_t kCpuSeconds = 60, kCpuSecondsPerMib = 1;

class Frames {
 public:
  void Row(std::optional<std::string_view> id, std::optional<std::string_view> url) {
    uint8_t flags = url.has_value() ? 0 : kUrlIsNull;
    std::string_view id_text = id.value_or(""), url_text = url.value_or("");
    if (id_text.size() + url_text.size() > kMaxRowBytes) {
      flags |= kOverlong;
      id_text = url_text = "";
    }
    out_ += kRow;
    out_ += static_cast<char>(flags);
    Number(id_text.size(), 4);
    Number(url_text.size(), 4);
    out_ += id_text;
    out_ += url_text;
    if (out_.size() >= kFlushBytes) Flush();
  }
  void End(uint64_t rows) {
    out_ += kEnd;
    Number(rows, 8);
    Flush();
  }
  void Failure(std::string_view message) {
    message = message.substr(0, kMaxMessageBytes);
    out_ += kFailure;
    Number(message.size(), 4);
    out_ += message;
    Flush();
  }

 private:
  void Number(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  // Whoever wanted the rows is gone where they cannot be written.
  void Flush() {
    for (std::string_view left = out_; !left.empty();) {
      const ssize_t put = write(kRowsFd, left.data(), left.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) _exit(3);
      left.remove_prefix(static_cast<size_t>(put));
    }
    out_.clear();
  }

  std::string out_;
};

int Main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) return printf("imgfleet-parquet %s\n", kVersion), 0;
  if (argc != 5) {
    fprintf(stderr, "usage: imgfleet-parquet MEMORY_BYTES URL_COLUMN ID_COLUMN ID_REQUIRED < LIST.parquet\n");
    return 2;
  }
  ReaderOptions options;
  options.memory_bytes = strtoll(argv[1], nullptr, 10);
  options.url_column = argv[2];
  options.id_column = argv[3];
  options.id_required = strcmp(argv[4], "1") == 0;

  struct stat list = {};
  if (fstat(kListFd, &list) != 0 || !S_ISREG(list.st_mode)) {
    fprintf(stderr, "imgfleet-parquet: the standard input is no file; Parquet is not read from pipes\n");
    return 2;
  }
  const auto size = static_cast<uint64_t>(list.st_size);
  Frames frames;
  const std::string missing = Confine(static_cast<uint64_t>(options.memory_bytes) + kSlackBytes,
                                      kCpuSeconds + kCpuSecondsPerMib * (size >> 20));
  if (!missing.empty()) {
    frames.Failure("what reads Parquet cannot lock itself in: " + missing);
    return 0;
  }
  try {
    frames.End(ReadRows(kListFd, size, options,
                        [&](std::optional<std::string_view> id, std::optional<std::string_view> url) {
                          frames.Row(id, url);
                        }));
  } catch (const std::exception& bad) {
    frames.Failure(bad.what());
  }
  // Nothing that Arrow would still do matters.
  _exit(0);
}

}  // namespace
}  // namespace imgfleet::parquet_list

int main(int argc, char** argv) { return imgfleet::parquet_list::Main(argc, argv); }
