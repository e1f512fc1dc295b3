// How fast a list is read: rows and bytes a second of CPU, and the memory it took.
//
//   bazel run //coordinator/lists:list_speed -- LIST [shards]
//
// A Parquet list counts with the process that reads it, whose peak of memory is told besides. With "shards" the rows are cut and packed as a coordinator does it, otherwise they are parsed only.
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/lists/list_parser.h"
#include "coordinator/lists/places.h"
#include "coordinator/lists/shard_builder.h"

int main(int argc, char** argv) {
  using namespace imgfleet;  // NOLINT
  if (argc < 2) return std::fprintf(stderr, "usage: list_speed LIST [shards]\n"), 2;
  const bool cut = argc > 2 && std::string(argv[2]) == "shards";
  uint64_t rows = 0, bad = 0, shards = 0, bytes = 0;
  v1::ListFile asked;

  char absolute[PATH_MAX];
  if (realpath(argv[1], absolute) == nullptr) return std::perror(argv[1]), 2;
  asked.set_path(absolute);
  lists::Places::Options options;
  options.roots = {"/"};
  const lists::Places places(options, Clock::System());
  const auto list = places.Open(asked, std::nullopt, nullptr);
  if (!list.ok()) return std::fprintf(stderr, "%s\n", std::string(list.status().message()).c_str()), 1;
  lists::ListParser parser({.name = argv[1], .format = asked.format()});
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
  const absl::Time begin = absl::Now();
  absl::Status status;
  for (bool end = false; status.ok() && !end;) {
    const auto slice = (*list)->Read(absl::Seconds(1));
    status = slice.status();
    if (!status.ok() || !slice->has_value()) continue;
    bytes += (*slice)->size();
    end = (*slice)->empty();
    status = end ? parser.Finish(sink) : parser.Feed(**slice, sink);
  }
  const double elapsed = absl::ToDoubleSeconds(absl::Now() - begin);
  if (cut) shards += builder.Finish().has_value();

  rusage usage, reader;
  getrusage(RUSAGE_SELF, &usage);
  getrusage(RUSAGE_CHILDREN, &reader);
  double seconds = 0;
  for (const timeval& time : {usage.ru_utime, usage.ru_stime, reader.ru_utime, reader.ru_stime}) {
    seconds += absl::ToDoubleSeconds(absl::DurationFromTimeval(time));
  }
  std::printf(
      "%llu rows (%llu bad), %llu shards, %.1f MB in %.2f s of CPU, %.2f s in all: %.2f million rows/s of "
      "CPU, %.2f "
      "in all, %.0f MB/s, peak %ld MB, of the process that reads Parquet %ld MB\n",
      static_cast<unsigned long long>(rows), static_cast<unsigned long long>(bad),
      static_cast<unsigned long long>(shards), bytes / 1e6, seconds, elapsed, rows / seconds / 1e6,
      rows / elapsed / 1e6, bytes / seconds / 1e6, usage.ru_maxrss / 1024, reader.ru_maxrss / 1024);
  if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
