#include "worker/fetch/origin_window.h"

#include <algorithm>

namespace imgfleet::fetch {
namespace {

// Latency counts as flat up to twice the usual and this much: on a network so near that the usual is next to nothing,
// more requests in flight would only wait for one another.
constexpr double kSlackUs = 5'000;

// An origin that has become slower for good is taken as it is after about this long. Much sooner, and every round of
// growth would excuse the next.
constexpr absl::Duration kForget = absl::Minutes(1);

}  // namespace

void OriginWindow::Answered(absl::Duration latency, absl::Time now, bool useful) {
  const double us = absl::ToDoubleMicroseconds(latency);
  recent_us_ = recent_us_ == 0 ? us : recent_us_ + (us - recent_us_) / 16;
  if (usual_us_ == 0 || recent_us_ < usual_us_) {
    usual_us_ = recent_us_;
  } else {
    const absl::Duration passed = std::clamp(now - answered_, absl::ZeroDuration(), absl::Seconds(1));
    usual_us_ = std::min(recent_us_, usual_us_ * (1 + absl::FDivDuration(passed, kForget)));
  }
  answered_ = now;
  const bool flat = recent_us_ <= 2 * usual_us_ + kSlackUs;
  const bool filled = filled_ > 0;
  if (filled) --filled_;
  --in_flight_;
  if (!useful || !flat || !filled) return;
  size_ = std::min(size_ + (slow_start_ ? 1.0 : 1.0 / size_), max_);
}

void OriginWindow::Strained(absl::Time sent, absl::Time now) {
  --in_flight_;
  if (sent < halved_) return;
  halved_ = now;
  slow_start_ = false;
  size_ = std::max(size_ / 2, 1.0);
}

}  // namespace imgfleet::fetch
