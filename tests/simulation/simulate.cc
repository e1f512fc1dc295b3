// Plays seeds: many, until one breaks a promise, or one with its trace.
//
//   bazel run //tests/simulation:simulate -- --seed=42 --trace
//   bazel run //tests/simulation:simulate -- --first=1 --seeds=100000
//   bazel run //tests/simulation:simulate -- --seed=42 --shrink --trace
//
// Prints how many seeds are done from time to time; ends with 1 where a promise was broken, after the command that plays
// just that seed again.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "tests/simulation/simulation.h"

namespace imgfleet::simulation {
namespace {

struct Options {
  uint64_t first = 1;
  uint64_t seeds = 10'000;
  bool single = false;
  bool trace = false;
  bool shrink = false;
};

bool Number(absl::string_view argument, absl::string_view name, uint64_t* value) {
  return absl::StartsWith(argument, name) && absl::SimpleAtoi(argument.substr(name.size()), value);
}

int Usage() {
  std::fputs("usage: simulate --seed=N [--trace] [--shrink] | --first=N --seeds=N\n", stderr);
  return 2;
}

int PlayOne(const Options& options, metrics::Registry& metrics) {
  Plan plan = MakePlan(options.first);
  if (options.shrink) plan = Shrink(plan, metrics);
  absl::PrintF("%s", Describe(plan));
  const Result result = Play(plan, metrics, options.trace ? stdout : nullptr);
  absl::PrintF("%d steps, %s simulated, %d items started %d times\n%s\n", result.steps,
               absl::FormatDuration(result.simulated), result.items, result.starts,
               result.broken.empty() ? "every promise held" : "BROKEN: " + result.broken);
  return result.broken.empty() ? 0 : 1;
}

int PlayMany(const Options& options, metrics::Registry& metrics) {
  const absl::Time begun = absl::Now();
  absl::Time told = begun;
  uint64_t steps = 0;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    const Result result = Play(MakePlan(options.first + i), metrics);
    steps += result.steps;
    if (!result.broken.empty()) {
      absl::PrintF("seed %d: %s\nreplay with: bazel run //tests/simulation:simulate -- --seed=%d --trace\n",
                   options.first + i, result.broken, options.first + i);
      return 1;
    }
    if (const absl::Time now = absl::Now(); now - told >= absl::Seconds(10) || i + 1 == options.seeds) {
      told = now;
      absl::PrintF("%d seeds from %d, %d steps, %.0f seeds/s\n", i + 1, options.first, steps,
                   static_cast<double>(i + 1) / absl::ToDoubleSeconds(now - begun));
      std::fflush(stdout);
    }
  }
  return 0;
}

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--trace") {
      options.trace = true;
    } else if (argument == "--shrink") {
      options.shrink = true;
    } else if (Number(argument, "--seed=", &options.first)) {
      options.single = true;
    } else if (!Number(argument, "--first=", &options.first) &&
               !Number(argument, "--seeds=", &options.seeds)) {
      return Usage();
    }
  }
  // Stores fail here by the thousand.
  log::Init("simulation", log::Level::kNothing);
  metrics::Registry metrics("coordinator");
  return options.single ? PlayOne(options, metrics) : PlayMany(options, metrics);
}

}  // namespace
}  // namespace imgfleet::simulation

int main(int argc, char** argv) { return imgfleet::simulation::Main(argc, argv); }
