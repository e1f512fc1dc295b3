// What a process counts, for Prometheus.
//
//   metrics::Registry metrics("worker");
//   prometheus::Counter& items = metrics.Counter("imgfleet_worker_items_total", "Outcomes reported.",
//                                                {{"reason", "TIMEOUT"}});
//   items.Increment();
//
// One registry a process, made by main and handed to whoever counts; counters live as long as it does. Asking
// again for the same name and labels gives the same counter, at the price of a lock and a look-up: keep the
// reference where it is used often. Everything is thread-safe.
//
// Names begin with imgfleet_, use the words of docs/architecture.md, and end with their unit (_seconds,
// _bytes) or, for counters, with _total. Labels take few different values: never an id, a URL or a host.
// Beside them stand imgfleet_build_info{role,version} and what every Prometheus client tells of its process
// (process_cpu_seconds_total, process_resident_memory_bytes, process_open_fds, process_start_time_seconds),
// read when asked for.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/labels.h"
#include "prometheus/registry.h"

namespace imgfleet::metrics {

using prometheus::Labels;

// For requests and fetches, in seconds: 1 ms to 60 s, three a decade.
std::vector<double> LatencyBuckets();
// For bodies and messages, in bytes: 256 B to 64 MiB, by powers of four.
std::vector<double> SizeBuckets();

class Registry {
 public:
  // `role`: coordinator, worker, gateway, imgfleet.
  explicit Registry(absl::string_view role);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  prometheus::Counter& Counter(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const std::vector<double>& buckets, const Labels& labels = {});

  // `refresh` is called at the beginning of each Render, for gauges that are read when they are asked for. Never again
  // once the returned handle is destroyed, which waits for a call that is under way. It must not call Render.
  [[nodiscard]] std::shared_ptr<void> OnRender(std::function<void()> refresh);

  // All of it in the text format that Prometheus scrapes (version 0.0.4).
  std::string Render() const;

 private:
  class Process;

  const std::unique_ptr<Process> process_;
  prometheus::Registry registry_;

  mutable absl::Mutex mutex_;
  std::list<std::function<void()>> refreshes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace imgfleet::metrics
