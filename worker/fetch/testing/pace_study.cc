// How politely and how fast lists are fetched from origins that limit, in simulated time: what docs/politeness.md says.
//
//   bazel run -c opt //worker/fetch:pace_study -- [FIRST_SEED] [SEEDS] [KIND]
//
// For each kind of origin (testing/limited_origin.h), SEEDS (200) of them drawn from FIRST_SEED (3,000,001) on, near (round
// trips up to 10 ms) and far, each fetched once as a short list (200 items) and once as a long one (what 60 s bring at
// its rate, 1,000 at least and 20,000 at most). With KIND, each single one. The pace's constants were chosen with seeds 1 to
// 100.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "worker/fetch/testing/limited_origin.h"
#include "worker/fetch/testing/pace_course.h"

namespace imgfleet::fetch {
namespace {

struct Row {
  std::vector<double> refused, speed;
  int lost = 0;
};

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * values.size()))];
}

void Print(const std::string& kind, const char* where, const char* list, const Row& row) {
  const auto above =
      std::count_if(row.refused.begin(), row.refused.end(), [](double share) { return share >= 0.05; });
  std::printf("| %-20s | %-4s | %-5s | %4.1f | %4.1f | %4.1f | %2.0f | %3.0f | %3.0f | %d |\n", kind.c_str(),
              where, list, 100 * Quantile(row.refused, 0.5), 100 * Quantile(row.refused, 0.95),
              100 * Quantile(row.refused, 1), 100.0 * above / row.refused.size(),
              100 * Quantile(row.speed, 0.5), 100 * Quantile(row.speed, 0.05), row.lost);
}

void Study(const std::string& kind, uint32_t first, uint32_t seeds, bool each) {
  for (const bool is_long : {false, true}) {
    Row rows[2];
    for (uint32_t seed = first; seed < first + seeds; ++seed) {
      LimitedOrigin origin = DrawOrigin(kind, seed);
      Setting setting;
      setting.items = is_long ? std::clamp(static_cast<int>(60 * origin.rate), 1000, 20'000) : 200;
      if (origin.rate == 0 && is_long) setting.items = 20'000;
      const Course course = Fetch(origin, setting, seed);
      Row& row = rows[origin.round_trip > 0.01];
      row.refused.push_back(course.refused_share());
      row.speed.push_back(course.speed());
      row.lost += course.lost;
      if (each) {
        std::printf("seed %u: %s, %.1f ms%s, %d items: %.1f %% refused (%d), %.1f s (best %.1f), %d lost\n",
                    seed, origin.says.c_str(), 1e3 * origin.round_trip,
                    origin.retry_after(0) > 0 ? ", Retry-After" : "", setting.items,
                    100 * course.refused_share(), course.refused, course.seconds, course.best, course.lost);
      }
    }
    Print(kind, "near", is_long ? "long" : "short", rows[0]);
    Print(kind, "far", is_long ? "long" : "short", rows[1]);
  }
}

void Main(uint32_t first, uint32_t seeds, const std::string& only) {
  std::printf(
      "| origin | | list | %% refused: median | 95th | worst | %% of origins at 5 or above | "
      "%% of the best speed: median | 5th | items lost |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const std::string& kind : OriginKinds()) {
    if (only.empty() || kind == only) Study(kind, first, seeds, !only.empty());
  }
}

}  // namespace
}  // namespace imgfleet::fetch

int main(int argc, char** argv) {
  uint32_t first = 3'000'001, seeds = 200;
  if (argc > 1 && !absl::SimpleAtoi(argv[1], &first)) return 2;
  if (argc > 2 && !absl::SimpleAtoi(argv[2], &seeds)) return 2;
  imgfleet::fetch::Main(first, seeds, argc > 3 ? argv[3] : "");
  return 0;
}
