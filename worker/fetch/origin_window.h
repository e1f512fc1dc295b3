// How many requests one origin gets at a time: as many as make it answer more of them.
//
// Slow start as TCP's: each success adds one, so the window doubles every round trip, or every hundredth of a second
// where those are shorter, until one of these:
//   - the origin shows strain (most of what it is asked gets a 429 or 503, or there is a timeout): the window is halved,
//     at most once per round trip, and grows by one per round from then on;
//   - answers take well longer to begin than they did, or wait for one another by the dozen: the window stays;
//   - it is never filled, as answers come at once: it stays;
//   - a round of a larger window brings no more answers per second, because the origin, the network or this
//     machine gives no more: it stays for a round that is to confirm it, and then goes back to where the rate was
//     reached, as BBR leaves its startup (draft-cardwell-iccrg-bbr-congestion-control section 4.3.1.2), and tries again
//     after a while. More requests would only wait for one another, and each connection costs both sides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace imgfleet::fetch {

// Not thread-safe. Pure. Times are seconds of Clock::Boot().
class OriginWindow {
 public:
  static constexpr double kStart = 8;

  explicit OriginWindow(uint32_t max) : max_(max) {}

  bool HasRoom() const { return in_flight_ < static_cast<uint32_t>(size_); }
  void Start() {
    if (++in_flight_ >= static_cast<uint32_t>(size_)) filled_ = in_flight_;
  }
  // A request is over without saying anything of the origin's load.
  void End() { --in_flight_; }
  // The origin answered `latency` after the request. `useful`: more requests in flight would have helped the
  // caller.
  void Answered(double latency, double now, bool useful);
  // The origin asked for less or did not answer in time. `sent` is when that request began, `now` the
  // present: answers to requests sent before the window was last halved do not halve it again.
  void Strained(double sent, double now);

  // What was learned, as OriginPace has it. Rounds and latencies are left out: they are of whoever saw them.
  template <typename Visit>
  void ForEachNumber(double now, Visit visit) {
    double passed = now - halved_, slow_start = slow_start_;
    visit(size_);
    visit(passed);
    visit(slow_start);
    size_ = std::clamp(size_, 1.0, max_);
    halved_ = now - passed;
    slow_start_ = slow_start != 0;
  }

  uint32_t size() const { return static_cast<uint32_t>(size_); }
  uint32_t in_flight() const { return in_flight_; }

 private:
  static constexpr double kEver = std::numeric_limits<double>::infinity();

  bool Flat(double latency, double now);
  void CountRound(double latency, double now);
  void BeginRound(double now);

  const double max_;
  double size_ = kStart;
  uint32_t in_flight_ = 0;
  bool slow_start_ = true;
  // Answers still to come of the requests that last filled the window: only they make it grow.
  uint32_t filled_ = 0;
  double halved_ = -kEver, answered_ = -kEver;
  int answers_ = 0;    // That recent_ is made of, at first.
  double usual_ = 0;   // Least recent latency, rising slowly.
  double recent_ = 0;  // Moving average over about sixteen answers.

  // A round ends with the first answer to a request sent since it began, but not too soon: its answers are those of the
  // window that it began with. Infinite before the first.
  double round_began_ = kEver;
  double round_size_ = 0;
  uint32_t round_answers_ = 0;
  double rate_ = 0;       // Answers per second, in the last round.
  double best_rate_ = 0;  // The best of it,
  double best_size_ = 0;  // and the least window that brought them.
  int idle_rounds_ = 0;   // Rounds of a larger window since, without more answers.
  double hold_until_ = -kEver;
};

}  // namespace imgfleet::fetch
