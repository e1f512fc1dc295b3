// What an item costs from the first bytes of its image to its outcome, without any network:
//
//   measure_cost ROUNDS FILE...
//   valgrind --tool=callgrind --toggle-collect='*MeasureOnce*' measure_cost ROUNDS FILE...
//
// gives every file's first 12 KiB, as the engine does, to the measurement of a new item, ROUNDS times, and prints the
// nanoseconds an item of each file. Files that need more bytes than those are said to.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/time/clock.h"
#include "worker/task/measurement.h"

namespace imgfleet::task {

// What an origin answers as a rule.
fetch::Report Report(uint64_t size, absl::string_view mime) {
  fetch::Report report;
  report.attempts = 1;
  report.http_status = 206;
  report.content_type = std::string(mime);
  report.etag = "\"65a3f1c2-1f3a9\"";
  report.last_modified = "Sun, 14 Jan 2024 14:22:58 GMT";
  report.fetched_bytes = 12288;
  report.size_bytes = size;
  report.size_source = fetch::SizeSource::kContentRange;
  report.first_byte = absl::Microseconds(812);
  report.total = absl::Microseconds(845);
  return report;
}

[[gnu::noinline]] fetch::Verdict MeasureOnce(Measurement& measurement, const fetch::Arrived& arrived,
                                             fetch::Report report) {
  const fetch::Verdict verdict = measurement.Inspect(arrived);
  measurement.Finish(std::move(report));
  return verdict;
}

int Main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: measure_cost ROUNDS FILE...\n");
    return 2;
  }
  const long rounds = std::atol(argv[1]);
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const std::string prefix = bytes.substr(0, 12288);
    fetch::Arrived arrived;
    arrived.prefix = prefix;
    arrived.total = bytes.size();
    const absl::string_view mime = image::MimeType(image::Probe({prefix, {}, 0, bytes.size()}).info.format);
    bool enough = true;
    absl::Duration spent;
    for (long round = 0; round < rounds; ++round) {
      Item item;
      item.index = round;
      item.id = std::to_string(round);
      item.url = "http://images.example.com/a/path/of/some/length/" + item.id + ".jpg";
      item.done = [](const v1::Outcome&) {};
      Measurement measurement(std::move(item), fetch::Extent::kAsNeeded);
      fetch::Report report = Report(bytes.size(), mime);
      const absl::Time start = absl::Now();
      enough = MeasureOnce(measurement, arrived, std::move(report)).kind == fetch::Verdict::kEnough;
      spent += absl::Now() - start;
    }
    std::printf("%8.0f ns  %s%s\n", absl::ToDoubleNanoseconds(spent) / static_cast<double>(rounds), argv[i],
                enough ? "" : "  (needs more)");
  }
  return 0;
}

}  // namespace imgfleet::task

int main(int argc, char** argv) { return imgfleet::task::Main(argc, argv); }
