// How fast a list is read: rows and bytes a second of CPU, and the memory it took.
//
//   bazel run //coordinator/lists:list_speed -- LIST [shards]
//
// With "shards" the rows are cut and packed as a coordinator does it, otherwise they are parsed only.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/time/time.h"
#include "common/owned_fd.h"
#include "coordinator/lists/list_parser.h"
#include "coordinator/lists/shard_builder.h"

int main(int argc, char** argv) {
  using namespace imgfleet;  // NOLINT
  if (argc < 2) return std::fprintf(stderr, "usage: list_speed LIST [shards]\n"), 2;
  const bool cut = argc > 2 && std::string(argv[2]) == "shards";
  const OwnedFd file(open(argv[1], O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return std::perror(argv[1]), 2;

  uint64_t rows = 0, bad = 0, shards = 0, bytes = 0;
  lists::ListParser parser({.name = argv[1]});
  lists::ShardBuilder builder("");
  const auto sink = [&](const lists::Row& row) -> absl::Status {
    ++rows;
    bad += !row.error.empty();
    if (!cut) return absl::OkStatus();
    const auto shard = builder.Add(row);
    if (!shard.ok()) return shard.status();
    shards += shard->has_value();
    return absl::OkStatus();
  };
  std::string buffer(256 << 10, '\0');
  absl::Status status;
  for (ssize_t got; status.ok() && (got = read(file.get(), buffer.data(), buffer.size())) > 0; bytes += got) {
    status = parser.Feed(absl::string_view(buffer.data(), got), sink);
  }
  if (status.ok()) status = parser.Finish(sink);
  if (cut) shards += builder.Finish().has_value();

  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const double seconds = absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                                               absl::DurationFromTimeval(usage.ru_stime));
  std::printf(
      "%llu rows (%llu bad), %llu shards, %.1f MB in %.2f s of CPU: %.2f million rows/s, %.0f MB/s, peak %ld "
      "MB\n",
      static_cast<unsigned long long>(rows), static_cast<unsigned long long>(bad),
      static_cast<unsigned long long>(shards), bytes / 1e6, seconds, rows / seconds / 1e6,
      bytes / seconds / 1e6, usage.ru_maxrss / 1024);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
