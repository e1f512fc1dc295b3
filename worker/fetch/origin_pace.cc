#include "worker/fetch/origin_pace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace imgfleet::fetch {
namespace {

// The beginning: so many requests at first and one more for each answer, every so long.
constexpr double kFirst = 8, kBeginning = 0.01, kBeginningLatencies = 2;

// A timer that fires late gives back what was due in this time, so that coarse timers do not lower a high rate.
constexpr double kLate = 0.004;

// Alarms. A little is forgiven between the refusals that make one.
constexpr double kForgive = 1.0 / 25, kLittle = 0.1;
constexpr double kAlarmAt = 2 - kLittle, kPatientAlarmAt = 4 - kLittle, kPatientShare = 0.02;

// Probes: the first after an alarm, the next, and so much longer each time.
constexpr double kFirstProbe = 0.1, kProbe = 0.25, kLonger = 3, kLongestProbe = 16;
constexpr double kProbeLatencies = 2;
// After a wait of this length, the origin counts in periods, and the rate over the whole of one says what the limit is.
constexpr double kTellingWait = 3, kTellingRequests = 10;

// What is taken of a rate that was just enough.
constexpr double kBack = 0.93, kBackALittle = 0.95, kSureAt = 200;
// Of what the refused requests tell, and of the rate that was too high: at least so much.
constexpr double kOfDrained = 0.7, kOfRate = 0.6;

constexpr double kTenth = 0.1, kLeastTenthRequests = 20, kTenthRequests = 300, kTenthLatencies = 20;
constexpr double kQuietTenths = 4;
constexpr double kFarBelow = 0.7, kCeiling = 2;
constexpr double kHoldShare = 0.03;
constexpr double kSearch = 1, kSearchRequests = 2, kSearchLatencies = 8;

constexpr double kLeastRate = 1.0 / 16, kLeastFirstRate = 4, kForgetRate = 100'000;
constexpr double kForget = 300, kRemembered = 10'000;

}  // namespace

// In which the rate grows by a tenth.
double OriginPace::Tenth() const {
  const double requests = std::clamp(sure_, kLeastTenthRequests, kTenthRequests);
  return std::max(requests / rate_, kTenthLatencies * latency_);
}

bool OriginPace::Outdated(double now) const { return rate_ > kForgetRate || now - last_sent_ > kForget; }

bool OriginPace::idle(double now) const { return next_ <= now && (rate_ == 0 ? !probing_ : Outdated(now)); }

void OriginPace::Block(double until) {
  if (until <= next_) return;
  next_ = until;
  blocked_ = true;
}

void OriginPace::SentLimited(double now, uint32_t more) {
  if (cycle_ == kNever) cycle_ = now;
  if (probing_) {
    last_sent_ = now;
    next_ = std::max(next_, now + std::max(wait_, kProbeLatencies * latency_));
    return;
  }
  if (rate_ > 0) Grow(now, more);
  last_sent_ = now;
  if (free()) return;
  next_ = std::max(next_, now - kLate) + 1 / (rate_ > 0 ? rate_ : BeginningRate());
}

double OriginPace::BeginningRate() const {
  return (kFirst + answers_) / std::max(kBeginningLatencies * latency_, kBeginning);
}

void OriginPace::Grow(double now, uint32_t more) {
  if (Outdated(now)) return Forget(now);
  const bool dear = all_refused_ > kHoldShare * (all_accepted_ + more);
  if (dear && !searching_ && rate_ > kFarBelow * ceiling_) return;
  const double tenth = Tenth();
  const bool fast = searching_ || now - resumed_ > kQuietTenths * tenth;
  const double efold = std::max({kSearch, kSearchRequests / rate_, kSearchLatencies * latency_});
  // The rate grows where it is made use of: time in which nothing was to be asked does not count.
  const double passed = std::min(now - last_sent_, 2 / rate_);
  rate_ *= std::exp(passed * (fast ? 1 / efold : kTenth / tenth));
}

void OriginPace::Forget(double now) {
  rate_ = ceiling_ = 0;
  answers_ = kBegun;
  cycle_ = now;
  cycle_accepted_ = all_accepted_ = all_refused_ = 0;
}

void OriginPace::Accepted(double sent, double now) {
  if (latency_ == 0 || now - sent < latency_) latency_ = now - sent;
  if (answers_ < kBegun) ++answers_;
  if (now - second_ >= 1) {
    last_second_ = now - second_ < 2 ? this_second_ : 0;
    this_second_ = 0;
    second_ = now;
  }
  ++this_second_;
  ++cycle_accepted_;
  if (++all_accepted_ > kRemembered) {
    all_accepted_ /= 2;
    all_refused_ /= 2;
  }
  if (suspicion_ > 0) suspicion_ = std::max(0.0, suspicion_ - kForgive);
  if (sent >= drained_) ++drained_accepted_;
  if (probing_) {
    if (sent >= alarm_) Resume(sent, now);
  } else if (rate_ == 0 && now - cycle_ > 60) {
    cycle_ += (now - cycle_) / 2;
    cycle_accepted_ /= 2;
  }
}

double OriginPace::AcceptedLately(double now) const {
  const double passed = now - second_;
  return passed > 2 ? 0 : this_second_ + last_second_ * std::max(1 - passed, 0.0);
}

bool OriginPace::Refused(double sent, double now, bool again, double random) {
  ++all_refused_;
  if (sent >= drained_) ++drained_refused_;
  if (sent < alarm_) return false;
  if (probing_) {
    alarm_ = now;
    wait_ = std::clamp(kLonger * wait_, kProbe, kLongestProbe);
    next_ = std::max(next_, now + wait_ * (0.5 + random / 2));
    return false;
  }
  if (again) return false;
  if (suspicion_ == 0) {
    drained_ = sent;
    drained_accepted_ = lately_ = 0;
    drained_refused_ = 1;
  }
  lately_ = std::max(lately_, AcceptedLately(now));
  if (++suspicion_ < (RefusedMoreThan(kPatientShare) ? kAlarmAt : kPatientAlarmAt)) return false;
  Alarm(now);
  return drained_refused_ > drained_accepted_;
}

void OriginPace::Alarm(double now) {
  suspicion_ = 0;
  probing_ = true;
  blocked_ = false;
  alarm_ = now;
  wait_ = rate_ > 0 ? 1 / rate_ : std::max(1 / std::max(lately_, kLeastFirstRate), kFirstProbe);
  next_ = std::max(next_, now + wait_);
}

// After an alarm, what was sent at `sent` is the first that was accepted.
void OriginPace::Resume(double sent, double now) {
  const double waited = std::max(sent - drained_, 1e-4);
  const double seen = cycle_accepted_ / std::max(sent - cycle_, 1e-3);
  const bool in_periods = waited >= kTellingWait, telling = in_periods || blocked_;
  const double rate = rate_ == 0 ? FirstRate(seen, waited, telling) : NextRate(seen, telling);
  searching_ = rate_ == 0 && (!in_periods || cycle_accepted_ < kTellingRequests);
  ceiling_ = std::min(rate_ > 0 ? rate_ : rate, kCeiling * rate);
  rate_ = std::max(rate, kLeastRate);
  sure_ = cycle_accepted_;
  // Whoever counts in periods begins one; a bucket has been filling since it was empty.
  cycle_ = in_periods ? sent : drained_;
  cycle_accepted_ = in_periods ? 0 : drained_accepted_;
  drained_ = std::numeric_limits<double>::infinity();
  suspicion_ = 0;
  probing_ = false;
  resumed_ = now;
  next_ = blocked_ ? std::max(next_, now) : now;
}

double OriginPace::FirstRate(double seen, double waited, bool telling) const {
  // An origin that has been out of order, or asked for silence at once, has not been tried.
  if (telling) return cycle_accepted_ < kTellingRequests ? kLeastFirstRate : kBack * seen;
  // Since it was drained: the probe, at least.
  const double since = drained_accepted_ / waited;
  return kBack * (drained_accepted_ > drained_refused_ ? std::max(since, lately_) : std::min(since, lately_));
}

double OriginPace::NextRate(double seen, bool telling) const {
  double least = 0;
  if (!telling) {
    least = kOfDrained * rate_ * drained_accepted_ / (drained_accepted_ + drained_refused_);
    if (!searching_) least = std::max(least, kOfRate * rate_);
  }
  const double allowed = std::clamp(seen, least, rate_);
  const bool bold = searching_ || !RefusedMoreThan(kPatientShare);
  const double most = bold ? std::min(lately_, rate_) : 0;
  return (cycle_accepted_ >= kSureAt ? kBackALittle : kBack) * std::sqrt(allowed * std::max(allowed, most));
}

}  // namespace imgfleet::fetch
