// What remembering ids costs: ns an id and memory, with random ids.
//
//   bazel run -c opt //coordinator/lists:id_speed -- 100000000
//
// Fails where the memory is more than is promised.
#include <malloc.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "coordinator/lists/id_set.h"

namespace imgfleet::lists {
namespace {

uint64_t ResidentKb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("RssAnon:", 0) == 0) return std::strtoull(line.c_str() + 8, nullptr, 10);
  }
  return 0;
}

int Measure(uint64_t count) {
  const uint64_t before = ResidentKb();
  uint64_t most = 0, random = 88172645463325252;
  IdSet ids(random, "");
  const absl::Time begin = absl::Now();
  for (uint64_t i = 0; i < count; ++i) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    const absl::StatusOr<bool> inserted = ids.Insert(absl::StrCat("x", absl::Hex(random)));
    if (!inserted.ok() || !*inserted) {
      std::fprintf(stderr, "id %llu: %s\n", static_cast<unsigned long long>(i),
                   inserted.ok() ? "taken for an old one" : inserted.status().ToString().c_str());
      return 1;
    }
    if (i % 65536 == 0 || i + 1 == count) most = std::max(most, ResidentKb());
  }
  const absl::Duration took = absl::Now() - begin;
  absl::PrintF("%d ids: %.0f ns an id, %.1f MiB of memory at most\n", count,
               absl::ToDoubleNanoseconds(took) / static_cast<double>(count), (most - before) / 1024.0);
  return most - before > 64 << 10 ? 1 : 0;
}

}  // namespace
}  // namespace imgfleet::lists

int main(int argc, char** argv) {
  uint64_t count = 2'000'000;
  if (argc > 1 && !absl::SimpleAtoi(argv[1], &count)) return 2;
  return imgfleet::lists::Measure(count);
}
