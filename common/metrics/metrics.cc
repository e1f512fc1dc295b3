#include "common/metrics/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "common/version.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"

namespace imgfleet::metrics {
namespace {

// Seconds since 1970 at which this process started, near enough: when the registry was made.
double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double ResidentBytes() {
  long total = 0, resident = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double OpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int entries = 0;
  while (readdir(folder) != nullptr) ++entries;
  closedir(folder);
  return entries - 3;  // ".", ".." and the folder itself.
}

prometheus::MetricFamily Single(const char* name, const char* help, prometheus::MetricType type,
                                double value) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.resize(1);
  family.metric[0].counter.value = value;
  family.metric[0].gauge.value = value;
  return family;
}

}  // namespace

class Registry::Process final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    using prometheus::MetricType;
    return {
        Single("process_cpu_seconds_total", "CPU time used, user and system.", MetricType::Counter,
               CpuSeconds()),
        Single("process_resident_memory_bytes", "Memory in RAM.", MetricType::Gauge, ResidentBytes()),
        Single("process_open_fds", "Open file descriptors.", MetricType::Gauge, OpenFiles()),
        Single("process_start_time_seconds", "Start of the process since 1970.", MetricType::Gauge, start_)};
  }

 private:
  const double start_ = Now();
};

std::vector<double> LatencyBuckets() {
  return {.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 60};
}

std::vector<double> SizeBuckets() {
  std::vector<double> buckets;
  for (double size = 256; size <= 64.0 * (1 << 20); size *= 4) buckets.push_back(size);
  return buckets;
}

Registry::Registry(absl::string_view role) : process_(std::make_unique<Process>()) {
  Gauge("imgfleet_build_info", "1, with what is running as labels.",
        {{"role", std::string(role)}, {"version", kVersion}})
      .Set(1);
}

Registry::~Registry() = default;

prometheus::Counter& Registry::Counter(const std::string& name, const std::string& help,
                                       const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
}

prometheus::Gauge& Registry::Gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
}

prometheus::Histogram& Registry::Histogram(const std::string& name, const std::string& help,
                                           const std::vector<double>& buckets, const Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, buckets);
}

std::shared_ptr<void> Registry::OnRender(std::function<void()> refresh) {
  absl::MutexLock lock(&mutex_);
  const auto at = refreshes_.insert(refreshes_.end(), std::move(refresh));
  return std::shared_ptr<void>(nullptr, [this, at](void*) {
    absl::MutexLock lock(&mutex_);
    refreshes_.erase(at);
  });
}

std::string Registry::Render() const {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& refresh : refreshes_) refresh();
  }
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  for (prometheus::MetricFamily& family : process_->Collect()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace imgfleet::metrics
