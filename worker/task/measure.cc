#include "worker/task/measure.h"

#include <utility>

#include "worker/task/limits.h"
#include "worker/task/measurement.h"
#include "worker/task/outcome.h"

namespace imgfleet::task {
namespace {

// As Clear(), which however gives away the memory of the parts that nearly every outcome has.
void Reuse(v1::Outcome& outcome) {
  if (outcome.has_image()) outcome.mutable_image()->Clear();
  if (outcome.has_error()) outcome.mutable_error()->Clear();
  if (outcome.has_fetch()) outcome.mutable_fetch()->Clear();
}

}  // namespace

bool Measurement::Abandoned() const {
  return item_.lease != nullptr && item_.lease->abandoned.load(std::memory_order_relaxed);
}

bool Measurement::NotToBegin() const {
  return item_.lease != nullptr && item_.lease->not_begun != nullptr &&
         item_.lease->closing.load(std::memory_order_relaxed);
}

void Measurement::StartBody() {
  sha256_.Start();
  completeness_.reset();
}

void Measurement::OnBytes(absl::string_view bytes) {
  sha256_.Add(bytes);
  if (completeness_.has_value()) completeness_->Add(bytes);
}

fetch::Verdict Measurement::Inspect(const fetch::Arrived& arrived) {
  probed_ = image::Probe({arrived.prefix, arrived.piece, arrived.piece_offset, arrived.total});
  switch (probed_.status) {
    case image::ProbeStatus::kOk:
      if (extent_ != fetch::Extent::kAsNeeded) {
        // Now that the format is known; all bytes so far are at hand.
        completeness_.emplace(probed_.info.format);
        completeness_->Add(arrived.prefix);
      }
      return {HasTooManyPixels(probed_.info) ? fetch::Verdict::kStop : fetch::Verdict::kEnough};
    case image::ProbeStatus::kNeedMore:
      return {fetch::Verdict::kMore, probed_.need_offset, probed_.need_bytes};
    default:
      return {fetch::Verdict::kStop};
  }
}

void Measurement::Finish(fetch::Report report) {
  if (report.failure == fetch::Failure::kAbandoned && NotToBegin() && !Abandoned()) {
    item_.lease->not_begun();
    return;
  }
  thread_local v1::Outcome outcome;  // Keeps its memory from one to the next.
  Reuse(outcome);
  outcome.set_index(item_.index);
  outcome.set_id(item_.id);
  outcome.set_url(item_.url);
  if (report.failure == fetch::Failure::kNone) {
    FillImage(probed_, report, &outcome);
  } else {
    FillFailure(&report, &outcome);
  }
  FillFetch(&report, &outcome);
  if (report.put_off > absl::ZeroDuration() && item_.lease != nullptr && item_.lease->put_off != nullptr) {
    item_.lease->put_off(item_.index, outcome, report.put_off);
    return;
  }
  if (outcome.has_image() && extent_ != fetch::Extent::kAsNeeded) {
    outcome.mutable_image()->set_sha256(sha256_.Finish());
    const std::optional<bool> complete = completeness_->Finish();
    if (complete.has_value()) outcome.mutable_image()->set_complete(*complete);
  }
  Conclude(outcome, report);
}

void Measurement::Conclude(v1::Outcome& outcome, fetch::Report& /*report*/) { item_.done(outcome); }

v1::Depth DepthOf(const Item& item) {
  const v1::Depth depth = item.lease == nullptr ? v1::HEADER : item.lease->spec.measure().depth();
  return depth == v1::DEPTH_UNSPECIFIED ? v1::HEADER : depth;
}

bool CanMeasure(v1::Depth depth) { return depth == v1::HEADER || depth == v1::FULL; }

fetch::Request MeasureRequest(Item item) {
  fetch::Request request;
  if (item.lease != nullptr) request.limits = ToLimits(item.lease->spec.limits());
  const fetch::Extent extent = DepthOf(item) == v1::HEADER ? fetch::Extent::kAsNeeded : fetch::Extent::kWhole;
  request.urgent = item.urgent;
  request.client = std::make_unique<Measurement>(std::move(item), extent);
  return request;
}

}  // namespace imgfleet::task
