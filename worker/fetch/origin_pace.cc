#include "worker/fetch/origin_pace.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace imgfleet::fetch {
namespace {

// The beginning: so many requests at first and one more for each answer, every so long.
constexpr double kFirst = 8;
constexpr absl::Duration kBeginning = absl::Milliseconds(10);
constexpr uint32_t kBegun = 1000;
constexpr absl::Duration kFar = absl::Milliseconds(20), kFarthest = absl::Milliseconds(100);
constexpr double kFarHold = 24;

// A timer that fires late gives back what was due in this time, so that coarse timers do not lower a high rate.
constexpr absl::Duration kLate = absl::Milliseconds(4);

constexpr double kTolerated = 50;  // Answers for one refusal.
constexpr double kReactAt = 1.5;
constexpr double kBack = 0.9, kBackALittle = 0.95;
constexpr double kTenth = 0.1, kTenthRequests = 300, kTenthLatencies = 20;
constexpr double kQuietTenths = 5;
constexpr double kFarBelow = 0.7, kTenthRequestsFarBelow = 20;
constexpr double kSearchRequests = 8, kSearchedTooFar = 1.3;
constexpr double kProbeLatencies = 2;
constexpr double kLeastRate = 1.0 / 16, kLeastFirstRate = 4, kForgetRate = 100'000;
constexpr absl::Duration kForget = absl::Minutes(5);

constexpr absl::Duration kDryWait = absl::Milliseconds(250), kLongestDryWait = absl::Seconds(16);
// After a dry spell of this length, the rate over it says what the limit is.
constexpr absl::Duration kTellingSpell = absl::Seconds(5);

}  // namespace

double OriginPace::Latency() const {
  return latency_ == absl::InfiniteDuration() ? 0 : absl::ToDoubleSeconds(latency_);
}

// In which the rate grows by a tenth.
absl::Duration OriginPace::Tenth() const {
  const double requests = rate_ < kFarBelow * ceiling_ ? kTenthRequestsFarBelow : kTenthRequests;
  return absl::Seconds(std::max(requests / rate_, kTenthLatencies * Latency()));
}

bool OriginPace::Outdated(absl::Time now) const {
  return rate_ > kForgetRate || now - felt_ > std::max(kForget, 2 * kQuietTenths * Tenth());
}

bool OriginPace::idle(absl::Time now) const { return next_ <= now && (rate_ == 0 || Outdated(now)); }

void OriginPace::Block(absl::Time until) { next_ = std::max(next_, until); }

void OriginPace::Sent(absl::Time now) {
  if (began_ == absl::InfinitePast()) began_ = now;
  if (rate_ > 0) Grow(now);
  last_sent_ = now;
  if (dry_ > 0) {
    next_ = std::max(next_, now + dry_wait_);
    return;
  }
  if (probing_) {
    next_ = std::max(next_, now + absl::Seconds(std::max(1 / rate_, kProbeLatencies * Latency())));
    return;
  }
  double rate = rate_;
  if (rate == 0) {
    if (answers_ >= kBegun) return;
    rate = BeginningRate();
  }
  next_ = std::max(next_, now - kLate) + absl::Seconds(1 / rate);
}

double OriginPace::BeginningRate() const {
  const bool far = answers_ > 0 && latency_ >= kFar;
  const absl::Duration step = far ? std::min(latency_, kFarthest) : kBeginning;
  const double counted = far ? std::max(0.0, answers_ - kFarHold) : answers_;
  return (kFirst + counted) / absl::ToDoubleSeconds(step);
}

void OriginPace::Grow(absl::Time now) {
  if (Outdated(now)) return Forget(now);
  if (dry_ > 0) return;
  const absl::Duration tenth = Tenth();
  const bool searching = searching_ || now - felt_ > kQuietTenths * tenth;
  const double efold = std::max({1.0, kSearchRequests / rate_, kSearchRequests * Latency()});
  // The rate grows where it is made use of: time in which nothing was to be asked does not count.
  const double passed = std::min(absl::ToDoubleSeconds(now - last_sent_), 2 / rate_);
  rate_ *= std::exp(passed * (searching ? 1 / efold : kTenth / absl::ToDoubleSeconds(tenth)));
}

void OriginPace::Forget(absl::Time now) {
  rate_ = ceiling_ = 0;
  answers_ = kBegun;
  dry_ = 0;
  probing_ = false;
  began_ = now;
  accepted_ = lately_ = 0;
}

void OriginPace::Accepted(absl::Time sent, absl::Time now) {
  latency_ = std::min(latency_, now - sent);
  suspicion_ = std::max(0.0, suspicion_ - 1 / kTolerated);
  if (answers_ < kBegun) ++answers_;
  if (now - second_ >= absl::Seconds(1)) {
    last_second_ = now - second_ < absl::Seconds(2) ? this_second_ : 0;
    this_second_ = 0;
    second_ = now;
  }
  ++this_second_;
  if (sent < reacted_) return;
  if (dry_ > 0) EndDrySpell(now);
  if (std::exchange(probing_, false)) next_ = last_sent_ + absl::Seconds(1 / rate_);
  ++accepted_;
  if (rate_ == 0 && now - began_ > absl::Minutes(1)) {
    began_ += (now - began_) / 2;
    accepted_ /= 2;
  }
}

double OriginPace::AcceptedLately(absl::Time now) const {
  const double passed = absl::ToDoubleSeconds(now - second_);
  return passed > 2 ? 0 : this_second_ + last_second_ * std::max(1 - passed, 0.0);
}

void OriginPace::Refused(absl::Time sent, absl::Time now, double random) {
  if (sent < reacted_) return;
  felt_ = now;
  lately_ = std::max(lately_, AcceptedLately(now));
  if (++suspicion_ < kReactAt && dry_ == 0 && !searching_) return;
  suspicion_ = 1;
  if (rate_ == 0) {
    searching_ = true;
    Learn(std::max(kBack * lately_, kLeastFirstRate), now);
  } else if (accepted_ == 0) {
    AskSeldom(now, random);
  } else {
    const double seen = accepted_ / std::max(absl::ToDoubleSeconds(now - began_), 1e-3);
    double least = rate_ / 2, back = kBack;
    if (accepted_ >= 4 * kTolerated) {
      // The limit is close, if the rate is what is refused at all.
      least = rate_;
      back = kBackALittle;
    }
    if (std::exchange(searching_, false)) least = rate_ / kSearchedTooFar;
    ceiling_ = rate_;
    Learn(back * std::clamp(std::max(seen, lately_), least, rate_), now);
  }
}

void OriginPace::Learn(double rate, absl::Time now) {
  rate_ = std::max(rate, kLeastRate);
  before_ = began_;
  accepted_before_ = accepted_;
  reacted_ = began_ = now;
  accepted_ = this_second_ = last_second_ = lately_ = 0;
  second_ = now;
  probing_ = true;
  next_ = std::max(next_, now + absl::Seconds(1 / rate_));
}

void OriginPace::AskSeldom(absl::Time now, double random) {
  dry_wait_ = std::min(dry_ == 0 ? kDryWait : 2 * dry_wait_, kLongestDryWait);
  ++dry_;
  reacted_ = now;
  next_ = std::max(next_, now + dry_wait_ * (0.5 + random / 2));
}

void OriginPace::EndDrySpell(absl::Time now) {
  dry_ = 0;
  const bool telling = now - began_ >= kTellingSpell;
  const double seen = accepted_before_ / std::max(absl::ToDoubleSeconds(now - before_), 1e-3);
  Learn(std::clamp(kBack * seen, telling ? kLeastRate : rate_ / 2, rate_), now);
  probing_ = false;
  felt_ = now;
  if (telling) {
    searching_ = false;
    ceiling_ = rate_;
  }
}

}  // namespace imgfleet::fetch
