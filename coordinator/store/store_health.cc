#include "coordinator/store/store_health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace imgfleet::store {

bool StoreHealth::Over(const Run& run, absl::Time now) const {
  if (!run.gone_well_since) return false;
  return !absl::IsResourceExhausted(run.failure) || now >= run.last + kCalm;
}

void StoreHealth::Ended(const absl::Status& how, absl::Time now) {
  under_way_since_.reset();
  if (run_ && Over(*run_, now)) run_.reset();
  if (how.ok()) {
    if (run_) run_->gone_well_since = true;
    return;
  }
  if (!run_) run_ = Run{now, now, how};
  run_->last = now;
  run_->failure = how;
  run_->gone_well_since = false;
}

absl::Status StoreHealth::Judge(const absl::Status& reached, absl::Time now) const {
  if (run_ && !Over(*run_, now)) {
    const absl::Time until = run_->gone_well_since ? run_->last : now;
    if (until - run_->first >= kPatience) return run_->failure;
  }
  if (!under_way_since_) return absl::OkStatus();
  const absl::Duration silent = now - *under_way_since_;
  if (!reached.ok() && silent >= kPatience) return reached;
  if (silent < kSilence) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("it has not answered for ", absl::FormatDuration(absl::Trunc(silent, absl::Seconds(1)))));
}

}  // namespace imgfleet::store
