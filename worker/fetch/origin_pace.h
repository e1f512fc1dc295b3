// How fast an origin lets itself be asked, learned from what it refuses (429, 503). docs/politeness.md says how well that
// goes, and what cannot go better.
//
// A window cannot learn it: at 1 ms a round trip, one request at a time is a thousand a second, where the origin
// may allow twenty. What limiters do is count, so what is learned here is a rate:
//
//   - Beginning. Nothing is known, and the rate rises with every answer: about e-fold every 10 ms, or every two
//     round trips where that is longer. An origin that takes all it gets is at full speed after some 40 ms or eight
//     round trips; one that refuses the 21st request has been sent only a few more by the time its refusal is here.
//   - Free. A thousand answers without a refusal: no rate limits any more.
//   - Alarm. Refusals are summed, and every 25 requests that are accepted forgive one. As long as more than one request in
//     fifty was refused in all, two that are not forgiven are too much; else four are, and an origin that refuses one in a
//     hundred by chance, for ever, is seldom taken for one that limits.
//   - Probing. After an alarm single requests ask, at growing, jittered intervals, until one is accepted. What the
//     origin accepted between two alarms, it allows, so nearly that is the new rate; it is not much less than what was
//     accepted of the requests that made the alarm. At the first alarm nothing says how much had been saved up before,
//     and the rate begins low, at what was accepted since; at the second, and while little is refused in all, what a
//     second brought just before is the most that may be allowed, and the geometric mean of both is taken.
//   - Paced. Requests are spread evenly over the rate. It grows e-fold every second until the second alarm, or where there
//     was none for long; else by a tenth every 20 to 300 requests, as many as it was learned from, to feel for the
//     limit and to stay at it. Where more than three in a hundred of all requests, those included that wait, were refused, it
//     stays where it is: a short list cannot afford to feel for more.
//   - A rate that was not made use of for five minutes, or has grown beyond what matters, is forgotten.
//
// Refusals of requests sent before an alarm raise no other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace imgfleet::fetch {

// Not thread-safe. Pure: time and chance come in as arguments. Times are seconds of Clock::Boot().
class OriginPace {
 public:
  // The earliest time for the next request; in the past where nothing limits.
  double next() const { return next_; }
  // `more`: so many others wait to be sent.
  void Sent(double now, uint32_t more) {
    if (free()) {
      last_sent_ = now;
    } else {
      SentLimited(now, more);
    }
  }
  // The origin answered, with anything but a refusal, what was sent at `sent`.
  void Accepted(double sent, double now);
  // `again`: the same URL was refused before, while others were accepted: that says nothing of the rate. `random` uniform in
  // [0, 1). Returns whether this is an alarm, and more was refused than accepted.
  bool Refused(double sent, double now, bool again, double random);
  // Nothing before `until`: the origin has said so.
  void Block(double until);

  // Requests a second; 0 where none was learned.
  double rate() const { return rate_; }
  // A thousand were answered, and nothing is held against it: no rate limits.
  bool free() const { return rate_ == 0 && answers_ >= kBegun && !probing_; }
  // Since the last alarm nothing was accepted.
  bool probing() const { return probing_; }
  // Nothing would be lost with this object.
  bool idle(double now) const;
  // What was learned, to go on with elsewhere: `visit` is called with each number, times as what has passed since them, and
  // may change it.
  template <typename Visit>
  void ForEachNumber(double now, Visit visit);

 private:
  static constexpr double kNever = -std::numeric_limits<double>::infinity();
  static constexpr uint32_t kBegun = 1000;  // Answers.

  void SentLimited(double now, uint32_t more);
  void Grow(double now, uint32_t more);
  void Alarm(double now);
  void Resume(double sent, double now);
  double FirstRate(double seen, double waited, bool telling) const;
  double NextRate(double seen, bool telling) const;
  double BeginningRate() const;
  double Tenth() const;
  bool Outdated(double now) const;
  void Forget(double now);
  double AcceptedLately(double now) const;
  bool RefusedMoreThan(double share) const { return all_refused_ > share * all_accepted_; }

  double next_ = kNever, last_sent_ = kNever;
  double latency_ = 0;  // The least seen; 0 before the first.
  double rate_ = 0;
  double ceiling_ = 0;      // What the limit may have been at the last alarm, at the most.
  double sure_ = 0;         // How many were accepted while the rate was learned.
  uint32_t answers_ = 0;    // Of the beginning.
  bool searching_ = false;  // Since the first alarm; until the second.
  bool probing_ = false;    // Since an alarm nothing was accepted.
  bool blocked_ = false;    // Since the alarm the origin has asked for silence.
  double wait_ = 0;         // Until the next probe.

  double suspicion_ = 0;  // Refusals that are not forgiven.
  double alarm_ = kNever, resumed_ = kNever;
  double lately_ =
      0;  // The most that a second had brought, of the seconds before the refusals of the last alarm.
  // Requests sent since the first of those refusals was.
  double drained_ = kNever, drained_accepted_ = 0, drained_refused_ = 0;
  // Accepted since what had been saved up was used up last.
  double cycle_ = kNever, cycle_accepted_ = 0;
  // Accepted in the second that began last, and in the one before it.
  double second_ = kNever, this_second_ = 0, last_second_ = 0;
  double all_accepted_ = 0, all_refused_ = 0;  // The older half counts half.
};

template <typename Visit>
void OriginPace::ForEachNumber(double now, Visit visit) {
  for (double* time : {&next_, &last_sent_, &alarm_, &resumed_, &drained_, &cycle_, &second_}) {
    double passed = now - *time;
    visit(passed);
    *time = now - passed;
  }
  for (double* number :
       {&latency_, &rate_, &ceiling_, &sure_, &wait_, &suspicion_, &lately_, &drained_accepted_,
        &drained_refused_, &cycle_accepted_, &this_second_, &last_second_, &all_accepted_, &all_refused_}) {
    visit(*number);
  }
  double answers = answers_;
  visit(answers);
  answers_ = static_cast<uint32_t>(std::clamp(answers, 0.0, 1.0 * kBegun));
  for (bool* flag : {&searching_, &probing_, &blocked_}) {
    double number = *flag;
    visit(number);
    *flag = number != 0;
  }
}

}  // namespace imgfleet::fetch
