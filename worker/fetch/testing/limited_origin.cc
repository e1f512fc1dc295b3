#include "worker/fetch/testing/limited_origin.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"

namespace imgfleet::fetch {
namespace {

constexpr double kHeldConnection = 0.005;

std::function<double(double)> NeverSays() {
  return [](double) { return 0.0; };
}

}  // namespace

LimitedOrigin TokenBucket(double rate, double burst) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%.3g/s, %.3g at once", rate, burst);
  origin.rate = rate;
  origin.retry_after = NeverSays();
  origin.allow = [=, tokens = burst, last = 0.0](double now, uint32_t) mutable -> std::optional<double> {
    tokens = std::min(burst, tokens + rate * (now - last));
    last = now;
    if (tokens < 1) return std::nullopt;
    tokens -= 1;
    return 0;
  };
  origin.best = [=](int items, double begin) { return begin + std::max(0.0, (items - burst) / rate); };
  return origin;
}

LimitedOrigin DelayingBucket(double rate, double burst) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%.3g/s, %.3g held back", rate, burst);
  origin.rate = rate;
  origin.retry_after = NeverSays();
  origin.allow = [=, free = 0.0](double now, uint32_t) mutable -> std::optional<double> {
    const double delay = std::max(0.0, free - now);
    if (delay * rate > burst) return std::nullopt;
    free = now + delay + 1 / rate;
    return delay;
  };
  origin.best = [=](int items, double begin) { return begin + (items - 1) / rate; };
  return origin;
}

LimitedOrigin FixedWindow(int count, double period, double first) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%d in each %.3g s", count, period);
  origin.rate = count / period;
  const auto window_of = [=](double now) {
    return now < first ? 0 : 1 + static_cast<int64_t>((now - first) / period);
  };
  const auto end_of = [=](int64_t window) { return first + window * period; };
  origin.retry_after = [=](double now) { return std::ceil(end_of(window_of(now)) - now); };
  origin.allow = [=, window = int64_t{-1}, used = 0](double now, uint32_t) mutable -> std::optional<double> {
    if (std::exchange(window, window_of(now)) != window) used = 0;
    if (++used > count) return std::nullopt;
    return 0;
  };
  origin.best = [=](int items, double begin) {
    const int64_t more = (items - 1) / count;
    return more == 0 ? begin : end_of(window_of(begin) + more - 1);
  };
  return origin;
}

LimitedOrigin SlidingWindow(int count, double period, bool punishing) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%d %s in any %.3g s", count, punishing ? "asked for" : "accepted", period);
  origin.rate = count / period;
  const auto seen = std::make_shared<std::deque<double>>();
  origin.retry_after = [=](double now) {
    return seen->empty() ? 1 : std::ceil(seen->front() + period - now);
  };
  origin.allow = [=](double now, uint32_t) -> std::optional<double> {
    while (!seen->empty() && seen->front() <= now - period) seen->pop_front();
    const bool room = static_cast<int>(seen->size()) < count;
    if (room || punishing) seen->push_back(now);
    // What it remembers is bounded as well.
    if (static_cast<int>(seen->size()) > 2 * count) seen->pop_front();
    if (!room) return std::nullopt;
    return 0;
  };
  origin.best = [=](int items, double begin) { return begin + (items - 1) / count * period; };
  return origin;
}

LimitedOrigin ConnectionLimit(uint32_t connections, double round_trip) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%d at a time", connections);
  origin.rate = connections / (round_trip + kHeldConnection);
  origin.retry_after = NeverSays();
  origin.allow = [=](double, uint32_t in_flight) -> std::optional<double> {
    if (in_flight >= connections) return std::nullopt;
    return kHeldConnection;
  };
  const double rate = origin.rate;
  origin.best = [=](int items, double begin) { return begin + items / rate; };
  return origin;
}

LimitedOrigin RandomRefusals(double share, uint32_t seed) {
  LimitedOrigin origin;
  origin.says = absl::StrFormat("%.3g %% by chance", 100 * share);
  origin.retry_after = NeverSays();
  origin.allow = [=, random = std::mt19937(seed)](double, uint32_t) mutable -> std::optional<double> {
    if (std::bernoulli_distribution(share)(random)) return std::nullopt;
    return 0;
  };
  origin.best = [](int, double begin) { return begin; };
  return origin;
}

LimitedOrigin Changing(double first, double second, double burst, double change) {
  LimitedOrigin origin = TokenBucket(first, burst);
  origin.says = absl::StrFormat("%.3g/s, then %.3g/s, %.3g at once", first, second, burst);
  origin.rate = second;
  origin.allow = [=, tokens = burst, last = 0.0](double now, uint32_t) mutable -> std::optional<double> {
    const auto sum = [&](double until) {
      return first * std::min(until, change) + second * std::max(0.0, until - change);
    };
    tokens = std::min(burst, tokens + sum(now) - sum(last));
    last = now;
    if (tokens < 1) return std::nullopt;
    tokens -= 1;
    return 0;
  };
  origin.best = [=](int items, double begin) {
    const double left = items - burst - first * std::max(0.0, change - begin);
    if (left <= 0) return begin + std::max(0.0, (items - burst) / first);
    return std::max(begin, change) + left / second;
  };
  return origin;
}

LimitedOrigin Both(LimitedOrigin one, LimitedOrigin other) {
  LimitedOrigin origin = one;
  origin.says = one.says + " and " + other.says;
  origin.allow = [first = one.allow, second = other.allow](double now,
                                                           uint32_t in_flight) -> std::optional<double> {
    const std::optional<double> delay = first(now, in_flight);
    return delay.has_value() && second(now, in_flight).has_value() ? delay : std::nullopt;
  };
  return origin;
}

const std::vector<std::string>& OriginKinds() {
  static const auto& kinds = *new std::vector<std::string>{
      "bucket",           "one by one", "bucket, 503", "held back", "fixed window",         "sliding window",
      "punishing window", "parallel",   "changing",    "by chance", "bucket and by chance", "willing"};
  return kinds;
}

LimitedOrigin DrawOrigin(const std::string& kind, uint32_t seed) {
  std::seed_seq sequence{seed, uint32_t{7919}};
  std::mt19937 random(sequence);
  const auto spread = [&](double least, double most) {
    return least * std::pow(most / least, std::uniform_real_distribution<double>(0, 1)(random));
  };
  const double rate = spread(2, 500), burst = std::floor(spread(1, 101)), round_trip = spread(3e-4, 0.3);
  const double period = std::array{1.0, 10.0, 60.0}[random() % 3], share = 0.01;
  const bool says = random() % 2 == 0;
  const int count = std::max(1, static_cast<int>(rate * period));
  LimitedOrigin origin;
  if (kind == "bucket" || kind == "bucket, 503") origin = TokenBucket(rate, burst);
  if (kind == "one by one") origin = TokenBucket(rate, 1);
  if (kind == "held back") origin = DelayingBucket(rate, burst);
  if (kind == "fixed window") origin = FixedWindow(count, period, spread(0.01, 1) * period);
  if (kind == "sliding window") origin = SlidingWindow(count, period, false);
  if (kind == "punishing window") origin = SlidingWindow(count, std::min(period, 10.0), true);
  if (kind == "parallel") origin = ConnectionLimit(static_cast<uint32_t>(spread(2, 33)), round_trip);
  if (kind == "changing") origin = Changing(rate, rate * spread(0.25, 4), burst, spread(2, 20));
  if (kind == "by chance") origin = RandomRefusals(share, random());
  if (kind == "bucket and by chance")
    origin = Both(TokenBucket(rate, burst), RandomRefusals(share, random()));
  if (kind == "willing") origin = RandomRefusals(0, random());
  origin.round_trip = round_trip;
  if (kind == "bucket, 503") origin.status = 503;
  // By chance and for so long: what is lost then is lost to the header, whatever the law.
  if (!says || kind.ends_with("by chance")) origin.retry_after = NeverSays();
  if (says && (kind == "bucket" || kind == "one by one")) origin.retry_after = [](double) { return 1.0; };
  return origin;
}

}  // namespace imgfleet::fetch
