// How fast an origin lets itself be asked, learned from what it refuses (429, 503).
//
// A window cannot learn it: at 1 ms a round trip, one request at a time is a thousand a second, where the origin
// may allow twenty. What limiters do is count, so what is learned here is a rate:
//
//   - Beginning. Nothing is known, and the rate rises with every answer: about e-fold every 10 ms, or every half
//     round trip where that is longer. An origin that takes all it gets is at full speed after some 40 ms; one
//     that refuses the 21st request has been sent only a few more by the time its refusal is here.
//   - Free. A thousand answers without a refusal: no rate limits any more.
//   - Paced. More than about one request in fifty was refused. Between two such moments the origin has accepted
//     just as much as it allows, so nine tenths of that is the new rate, and requests are spread evenly over it.
//     It grows by a tenth every 200 requests, to feel for the limit and to stay at it at about one refusal in a
//     hundred; and e-fold every second where no limit was felt yet, or none for three such tenths.
//   - Dry. Nothing is accepted at all, as until the end of a fixed minute: single requests ask at growing, jittered
//     intervals. When one is accepted, the time that passed tells the rate.
//   - A rate that was not refused for five minutes, or has grown beyond what matters, is forgotten.
//
// Refusals of requests sent before the last reaction say nothing new and are ignored.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace imgfleet::fetch {

// Not thread-safe. Pure: time and chance come in as arguments.
class OriginPace {
 public:
  // The earliest time for the next request; in the past where nothing limits.
  absl::Time next() const { return next_; }
  void Sent(absl::Time now);
  // The origin answered, with anything but a refusal, what was sent at `sent`.
  void Accepted(absl::Time sent, absl::Time now);
  // `random` uniform in [0, 1).
  void Refused(absl::Time sent, absl::Time now, double random);
  // Nothing before `until`: the origin has said so.
  void Block(absl::Time until);

  // Requests a second; 0 where none was learned.
  double rate() const { return rate_; }
  // Nothing would be lost with this object.
  bool idle(absl::Time now) const;

 private:
  void Learn(double rate, absl::Time now);
  void AskSeldom(absl::Time now, double random);
  void EndDrySpell(absl::Time now);
  void Grow(absl::Time now);
  double BeginningRate() const;
  double Latency() const;
  absl::Duration Tenth() const;
  bool Outdated(absl::Time now) const;
  void Forget(absl::Time now);
  double AcceptedLately(absl::Time now) const;

  absl::Time next_ = absl::InfinitePast(), last_sent_ = absl::InfinitePast();
  absl::Duration latency_ = absl::InfiniteDuration();  // The least seen.
  double rate_ = 0;
  double ceiling_ = 0;      // The rate that was refused last; 0 where none was.
  uint32_t answers_ = 0;    // Of the beginning.
  bool searching_ = false;  // The limit was not felt yet.
  bool probing_ = false;    // One request goes ahead alone.
  double suspicion_ = 1;  // Refusals, each forgiven by fifty acceptances. The first is to be noticed at once.
  absl::Time reacted_ = absl::InfinitePast(), felt_ = absl::InfinitePast();  // The last refusal of all.

  // What was accepted since `began_`, and in the time from `before_` to `began_`. A rate begins at each reaction;
  // where there is none, a minute ago at most.
  absl::Time before_ = absl::InfinitePast(), began_ = absl::InfinitePast();
  double accepted_before_ = 0, accepted_ = 0;
  // The same of the second that began last, and of the one before it.
  absl::Time second_ = absl::InfinitePast();
  double this_second_ = 0, last_second_ = 0;
  double lately_ = 0;  // The most that a second had brought at a refusal since the last reaction.

  int dry_ = 0;  // Refusals in a row since a reaction, each followed by a longer wait.
  absl::Duration dry_wait_;
};

}  // namespace imgfleet::fetch
