// How politely and how fast several workers fetch from one origin, in simulated time: what docs/politeness.md says of clusters.
//
//   bazel run -c opt //tests/politeness:cluster_study -- [FIRST_SEED] [SEEDS] [KIND] [WORKERS]
//
// For each kind of origin, SEEDS (40) of them drawn from FIRST_SEED (5,000,001) on, each fetched once as a long list (what 60 s
// bring at its rate, 1,000 at least and 20,000 at most) by 1, 2, 5 and 10 workers, by six workers of two and of three
// coordinators on one store, by ten that join and leave, and by ten without a coordinator. With KIND, each single one; "all" is all,
// not single. WORKERS as the table has them: "10", "6 of 3", "come and go".
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/politeness/cluster_course.h"

namespace imgfleet {
namespace {

double Quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(share * values.size()))];
}

std::vector<Presence> Workers(const std::string& who) {
  if (who != "come and go") return std::vector<Presence>(std::max(1, std::atoi(who.c_str())));
  std::vector<Presence> workers;
  for (int i = 0; i < 10; ++i) workers.push_back({2.0 * i, i % 3 == 0 ? 1e9 : 8.0 + 5 * i, i % 2 == 0});
  return workers;
}

fetch::LimitedOrigin Make(const std::string& kind, uint32_t seed) {
  const double phase = (seed % 17) / 17.0;
  fetch::LimitedOrigin origin;
  int rate = 0;
  if (kind.ends_with("/s, Retry-After") || kind.ends_with("/s")) rate = std::atoi(kind.c_str());
  if (rate == 0) return fetch::DrawOrigin(kind, seed);
  origin = fetch::TokenBucket(rate, rate);
  origin.round_trip = phase < 0.5 ? 0.001 : 0.1;
  const bool says = kind.ends_with("Retry-After");
  origin.retry_after = [says](double) { return says ? 1.0 : 0.0; };
  return origin;
}

void Study(const std::string& kind, const std::string& who, uint32_t first, uint32_t seeds, bool each) {
  std::vector<double> refused, speed, waits;
  int above = 0, lost = 0;
  double reports = 0, seconds = 0;
  for (uint32_t seed = first; seed < first + seeds; ++seed) {
    fetch::LimitedOrigin origin = Make(kind, seed);
    ClusterSetting setting;
    setting.items = origin.rate == 0 ? 20'000 : std::clamp(static_cast<int>(60 * origin.rate), 1000, 20'000);
    setting.workers = Workers(who);
    setting.coordinated = who != "10 alone";
    if (who.ends_with(" of 2")) setting.coordinators = 2;
    if (who.ends_with(" of 3")) setting.coordinators = 3;
    const ClusterCourse course = FetchTogether(origin, setting, seed);
    refused.push_back(course.refused_share());
    speed.push_back(course.speed());
    waits.push_back(course.longest_wait);
    above += course.refused_share() >= 0.05;
    lost += course.lost + (setting.items - course.lost - course.done);
    reports += course.reports;
    seconds += course.seconds;
    if (each) {
      std::printf(
          "seed %u: %s, %.1f ms%s, %d items: %.1f %% refused (%d), %.1f s (best %.1f), %d lost, %u at once, "
          "waits %.1f s, %.0f reports/s\n",
          seed, origin.says.c_str(), 1e3 * origin.round_trip,
          origin.retry_after(0) > 0 ? ", Retry-After" : "", setting.items, 100 * course.refused_share(),
          course.refused, course.seconds, course.best, course.lost, course.most_in_flight,
          course.longest_wait, course.reports / course.seconds);
    }
  }
  std::printf("| %-20s | %-11s | %4.1f | %4.1f | %4.1f | %2.0f | %3.0f | %3.0f | %4.1f | %d | %.0f |\n",
              kind.c_str(), who.c_str(), 100 * Quantile(refused, 0.5), 100 * Quantile(refused, 0.95),
              100 * Quantile(refused, 1), 100.0 * above / seeds, 100 * Quantile(speed, 0.5),
              100 * Quantile(speed, 0.05), Quantile(waits, 0.95), lost, reports / seconds);
  std::fflush(stdout);
}

void Main(uint32_t first, uint32_t seeds, const std::string& only, const std::string& workers) {
  std::printf(
      "| origin | workers | %% refused: median | 95th | worst | %% of origins at 5 or above | "
      "%% of the best speed: median | 5th | longest wait, s, 95th | items lost | reports/s |\n"
      "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  std::vector<std::string> kinds = {"5/s", "20/s", "100/s", "20/s, Retry-After"};
  kinds.insert(kinds.end(), fetch::OriginKinds().begin(), fetch::OriginKinds().end());
  for (const std::string& kind : kinds) {
    for (const char* who : {"1", "2", "5", "10", "6", "6 of 2", "6 of 3", "come and go", "10 alone"}) {
      if ((only.empty() || kind == only) && (workers.empty() || who == workers)) {
        Study(kind, who, first, seeds, !only.empty());
      }
    }
  }
}

}  // namespace
}  // namespace imgfleet

int main(int argc, char** argv) {
  uint32_t first = 5'000'001, seeds = 40;
  if (argc > 1 && !absl::SimpleAtoi(argv[1], &first)) return 2;
  if (argc > 2 && !absl::SimpleAtoi(argv[2], &seeds)) return 2;
  imgfleet::Main(first, seeds, argc > 3 && std::string(argv[3]) != "all" ? argv[3] : "",
                 argc > 4 ? argv[4] : "");
  return 0;
}
