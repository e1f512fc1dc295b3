// Whether a store works, judged by what became of its transactions: for readiness, so that it says what it means and does
// not flap.
//
//   one failure                     nothing yet: the next transaction may go well
//   failures and no success since   after kPatience the store fails; the next success ends that
//   no room (RESOURCE_EXHAUSTED)    transactions that write little go well on a full disk, so only kCalm without such a
//                                   failure ends it
//   a transaction without an end    after kPatience where connecting fails as well, else after kSilence: longer than a
//                                   coordinator that stands still may hold a lock that others wait for
//
// A failure of one transaction among others that go well is that transaction's business.
//
// Pure; times are Clock::Boot(). Not thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace imgfleet::store {

class StoreHealth {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(3);
  static constexpr absl::Duration kSilence = absl::Seconds(10);
  static constexpr absl::Duration kCalm = absl::Seconds(5);

  // A transaction begins, or has ended so.
  void Began(absl::Time now) { under_way_since_ = now; }
  void Ended(const absl::Status& how, absl::Time now);

  // OK, or in one line why the store is not to be relied on. `reached`: what became of the last attempt to connect to it.
  absl::Status Judge(const absl::Status& reached, absl::Time now) const;

 private:
  // Failures between which no success counts.
  struct Run {
    absl::Time first, last;
    absl::Status failure;  // The last one.
    bool gone_well_since = false;
  };
  bool Over(const Run& run, absl::Time now) const;

  std::optional<absl::Time> under_way_since_;
  std::optional<Run> run_;
};

}  // namespace imgfleet::store
