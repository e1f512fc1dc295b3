#include "worker/task/measure.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/image/probe.h"
#include "worker/task/limits.h"
#include "worker/task/outcome.h"

namespace imgfleet::task {
namespace {

class Measurement final : public fetch::Client {
 public:
  explicit Measurement(Item item) : item_(std::move(item)) {}

  const std::string& url() const override { return item_.url; }
  bool Abandoned() const override {
    return item_.lease != nullptr && item_.lease->abandoned.load(std::memory_order_relaxed);
  }

  fetch::Verdict Inspect(const fetch::Arrived& arrived) override {
    probed_ = image::Probe({arrived.prefix, arrived.piece, arrived.piece_offset, arrived.total});
    switch (probed_.status) {
      case image::ProbeStatus::kOk:
        return {fetch::Verdict::kEnough};
      case image::ProbeStatus::kNeedMore:
        return {fetch::Verdict::kMore, probed_.need_offset, probed_.need_bytes};
      default:
        return {fetch::Verdict::kStop};
    }
  }

  void Finish(fetch::Report report) override {
    thread_local v1::Outcome outcome;  // Keeps its memory from one to the next.
    outcome.Clear();
    outcome.set_index(item_.index);
    outcome.set_id(item_.id);
    outcome.set_url(item_.url);
    if (report.failure == fetch::Failure::kNone) {
      FillImage(probed_, report, &outcome);
    } else {
      FillFailure(&report, &outcome);
    }
    FillFetch(&report, &outcome);
    item_.done(outcome);
  }

 private:
  Item item_;
  image::ProbeResult probed_;
};

}  // namespace

v1::Depth DepthOf(const Item& item) {
  const v1::Depth depth = item.lease == nullptr ? v1::HEADER : item.lease->spec.measure().depth();
  return depth == v1::DEPTH_UNSPECIFIED ? v1::HEADER : depth;
}

bool CanMeasure(v1::Depth depth) { return depth == v1::HEADER; }

fetch::Request MeasureRequest(Item item) {
  fetch::Request request;
  if (item.lease != nullptr) request.limits = ToLimits(item.lease->spec.limits());
  request.client = std::make_unique<Measurement>(std::move(item));
  return request;
}

}  // namespace imgfleet::task
