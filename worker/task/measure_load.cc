// What an item costs in the runner alone, without agent and coordinator:
//
//   measure_load URLS ITEMS THREADS CONCURRENCY
//
// fetches the URLs of the file (one a line, again from the first when they run out) until ITEMS are done, with loopback
// allowed, and prints items/s, CPU microseconds per item of this process, and the failures by reason.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "worker/task/engine_runner.h"

namespace {

double CpuMicros() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace imgfleet;
  if (argc != 5) {
    std::fprintf(stderr, "usage: measure_load URLS ITEMS THREADS CONCURRENCY\n");
    return 2;
  }
  std::vector<std::string> urls;
  std::ifstream file(argv[1]);
  for (std::string line; std::getline(file, line);) urls.push_back(line);
  const uint64_t items = std::strtoull(argv[2], nullptr, 10);
  fetch::Options options;
  options.threads = std::atoi(argv[3]);
  options.concurrency = std::atoi(argv[4]);
  options.policy = AddressPolicy({*Cidr::Parse("127.0.0.0/8")});
  auto runner = task::EngineRunner::Create(std::move(options));
  if (!runner.ok() || urls.empty()) {
    std::fprintf(stderr, "%s\n", runner.ok() ? "no URLs" : runner.status().ToString().c_str());
    return 3;
  }
  absl::Mutex mutex;
  uint64_t done = 0, begun = 0, bytes = 0;
  std::map<std::string, uint64_t> reasons;
  const auto lease = std::make_shared<task::Lease>();
  const auto on_done = [&](v1::Outcome outcome) {
    absl::MutexLock lock(&mutex);
    ++done;
    bytes += outcome.fetch().fetched_bytes();
    if (outcome.has_error()) {
      ++reasons[v1::ItemError::Reason_Name(outcome.error().reason()) + ": " + outcome.error().message()];
    }
  };
  const double cpu = CpuMicros();
  const absl::Time start = absl::Now();
  while (begun < items) {
    std::vector<task::Item> batch;
    for (int i = 0; i < 256 && begun < items; ++i, ++begun) {
      batch.push_back({begun, std::to_string(begun), urls[begun % urls.size()], lease, on_done});
    }
    (*runner)->Start(std::move(batch));
    auto room = [&] { return begun - done + 256 <= (*runner)->capacity(); };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&room));
  }
  {
    auto all = [&] { return done == items; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&all));
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  std::printf("%.0f items/s, %.1f us CPU/item, %.0f bytes/item\n", items / seconds,
              (CpuMicros() - cpu) / items, static_cast<double>(bytes) / items);
  for (const auto& [reason, count] : reasons) std::printf("%8lu %s\n", count, reason.c_str());
  return 0;
}
