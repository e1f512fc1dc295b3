// What an origin can take of the whole cluster, dealt out to the workers.
//
// Who owns what. How an origin is to be asked (how many at a time: the window; how fast: the pace) is a law of the workers'
// (worker/fetch/origin_window.h, origin_pace.h), which sees every request. It works for one who asks. So an origin that
// several workers ask, and that is not known to take all it gets, has its turn: one of them at a time holds all of the
// origin's budget for a second, with all that was learned of it, and hands both on. To the origin they are one. An origin
// that a thousand answers found open is shared: its concurrency is cut into parts, by demand. A worker that is alone with
// an origin holds all of it, for as long as that is so.
//
//   worker -> here   OriginUse: what it wants of the origin, has in flight and has learned, and which permit it keeps to.
//   here -> worker   OriginPermit: how many at a time, for at most Options::valid; what others have in flight and want; until
//                    when the origin asked for silence, whoever was told; with a turn, what was learned.
//
// Promises:
//   - At any time one worker at most has a turn, and parts never sum up to more than the budget of the moment at which one of
//     them was raised: nothing is given to one before another has said that it keeps to less, or its permit has run out. A
//     worker counts a permit's time from sending the report that it answers, this from receiving it: the worker ends first.
//   - Whoever waits has a turn after at most one of each of the others: a second, or the one request that the pace allows
//     next. Who has nothing to ask for any more hands on at once, who dies when its permit has run out.
//   - What a worker is told to wait (Retry-After) all are told at once.
//   - An operator's limits (Options::limits) are never exceeded, whatever was learned.
//
// What fails: a permit that has run out leaves its worker with one part in `sharers` of the pace and of the window, which all
// together are no more than one would take. A report that is lost is followed by another, and nothing in one is relative
// to the one before. What was learned is kept for five minutes after the last use of an origin that limits.
//
// Where several coordinators share a store, each deals out what it may use of an origin: its home there (OriginHome), which
// origin_homes.h settles with the others. All that is said here of an origin's budget then is said of that part of it.
//
// Pure: no I/O, no clock; times are any that run evenly. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "coordinator/core/origin_growth.h"

namespace imgfleet::core {

// What a worker says of one origin: "https://host:port".
struct OriginUse {
  enum State : uint8_t {
    kBeginning,  // Too little is known.
    kOpen,       // It has taken all it was sent, a thousand at least.
    kLimited,    // It refuses; a pace is being learned, or was.
  };

  std::string origin;
  uint32_t waiting = 0;                          // Items to be sent, had they room.
  uint32_t in_flight = 0;                        // Requests.
  uint64_t wanted = 0;                           // Items it has been given, those that are done included.
  uint64_t sent = 0, accepted = 0, refused = 0;  // Since it first asked the origin.
  uint64_t permit = 0;                           // The last that it keeps to; 0: none.
  State state = kBeginning;
  uint32_t window = 0;                                // Requests at a time, as learned.
  absl::Duration blocked_for = absl::ZeroDuration();  // The origin has asked for silence.
  absl::Duration next_in = absl::ZeroDuration();      // Until the pace allows the next request.
  std::string learned;                                // For who has the next turn; unread here.
};

struct OriginPermit {
  static constexpr uint32_t kWhole = std::numeric_limits<uint32_t>::max();

  std::string origin;
  uint64_t number = 0;       // Grows with every permit.
  uint64_t report = 0;       // The last report of this worker: `valid_for` counts from its sending.
  uint32_t concurrency = 0;  // kWhole: what the law allows, less what is in flight elsewhere.
  double rate = 0;           // Requests a second at most, by an operator's word; 0: no such word.
  uint32_t sharers = 1;      // Workers that use the origin, this one included.
  uint32_t in_flight_elsewhere = 0;
  uint64_t wanted_elsewhere = 0;
  // Answers to others while they had no turn, so far: of use to who has one, as a difference.
  uint64_t strays_accepted = 0, strays_refused = 0;
  absl::Duration blocked_for = absl::ZeroDuration();
  absl::Duration valid_for = absl::ZeroDuration();
  bool begins = false;  // `learned` is to be taken over.
  std::string learned;
};

// An operator's word on one host, whatever the scheme and port.
struct OriginLimit {
  uint32_t concurrency = OriginPermit::kWhole;
  double rate = 0;  // 0: none.
};

// What this coordinator's workers may use of an origin, and what those of others do with it.
struct OriginHome {
  static constexpr uint32_t kAll = 1000;

  uint32_t share = kAll;   // Of kAll. Of an origin that is not open, all or nothing; less while it changes.
  uint32_t sharers = 0;    // Workers of others that use it,
  uint32_t in_flight = 0;  // and what they do, as OriginPermit has it.
  uint64_t wanted = 0;
  uint64_t strays_accepted = 0, strays_refused = 0;
  bool wanted_elsewhere = false;  // Others wait for it.

  bool operator==(const OriginHome&) const = default;
};

class OriginShares {
 public:
  struct Options {
    absl::Duration turn = absl::Seconds(1);
    absl::Duration valid = absl::Seconds(2);
    std::map<std::string, OriginLimit> limits;  // By host in lower case.
  };
  // What all workers here do with an origin.
  struct Sum {
    uint32_t users = 0;  // That use it.
    uint32_t waiting = 0, in_flight = 0;
    uint64_t wanted = 0;
    uint64_t strays_accepted = 0, strays_refused = 0;
    uint64_t sent = 0;      // Requests of those that had a turn or a part.
    bool may_send = false;  // The pace of who has the turn allows a request now.
    bool open = false;
    bool limited_by_word = false;
    uint32_t share = 0;    // The home's.
    bool free = false;     // None may think that it has any of it.
    bool settled = false;  // None may think that its own is more than its part of the home's share.
    uint32_t window = 0;   // Of an open origin: requests at a time.
    absl::Time blocked_until = absl::InfinitePast();
    absl::Time used = absl::InfinitePast();  // When a worker last wanted it.
  };
  struct Dealt {
    std::string worker;
    OriginPermit permit;
  };
  // Origins kept; of those beyond, each worker keeps its own budget.
  static constexpr size_t kMaxOrigins = 20'000;

  explicit OriginShares(Options options) : options_(std::move(options)) {}

  // `report` grows with every report of that worker.
  void Report(const std::string& worker, uint64_t report, std::vector<OriginUse> uses, absl::Time now);
  // The worker is gone, or talks to another coordinator.
  void Left(const std::string& worker, absl::Time now);
  // To be called at NextWake at the latest.
  void Tick(absl::Time now);
  absl::Time NextWake() const { return wake_; }
  // To be sent since the last call.
  std::vector<Dealt> Take() { return std::exchange(output_, {}); }

  size_t origins() const { return origins_.size(); }

  // --- Homes ---------------------------------------------------------------------------------------------------

  // Nothing holds beyond `until`, when others may take what was this coordinator's: each worker then is left with one part
  // in all that may use an origin, in `coordinators` times as many as here where no more is known, and with nothing of an
  // origin under an operator's word. What is new is dealt as `fresh`.
  void Lend(absl::Time until, uint32_t coordinators, const OriginHome& fresh, absl::Time now);
  // Each of no effect where the origin is not in use here.
  void SetHome(const std::string& name, const OriginHome& home, absl::Time now);
  // What others have learned: for the next turn or part of each worker.
  void Teach(const std::string& name, bool open, uint32_t window, const std::string& learned, absl::Time now);
  void Block(const std::string& name, absl::Time until, absl::Time now);

  void ForEach(absl::FunctionRef<void(const std::string& name, const Sum& sum)> visit, absl::Time now) const;
  void ForEachName(absl::FunctionRef<void(const std::string& name)> visit) const;
  const std::string& learned(const std::string& name) const;
  // Something has happened since the last call that other coordinators wait for, or that one waits for here.
  bool TakeUrgent() { return std::exchange(urgent_, false); }

 private:
  struct Sent {
    uint64_t number = 0;
    uint32_t concurrency = 0;
    absl::Time until;
  };
  struct User {
    OriginUse use;
    absl::Time reported = absl::InfinitePast();
    absl::Time waiting_since = absl::InfiniteFuture();
    Sent kept;              // The last permit that it is known to keep to,
    std::deque<Sent> sent;  // and those sent since.
    OriginPermit last;      // The last one sent, without what was learned.
    uint64_t begun = 0;     // The permit with which it took over what was learned; 0: none.
    bool owed = false;      // Has reported since.
  };
  struct Origin {
    std::map<std::string, User> users;
    OriginLimit limit;
    bool limited_by_word = false;  // Never open: one worker at a time keeps the word.
    bool open = false;
    std::string learned, learned_by;
    absl::Time blocked_until = absl::InfinitePast();
    absl::Time used = absl::InfinitePast();
    // The turn.
    std::string holder;
    bool ending = false;
    absl::Time turn_began = absl::InfinitePast();
    uint64_t sent_before = 0;
    uint64_t strays_accepted = 0, strays_refused = 0;
    uint64_t answers = 0;  // To all.
    bool tell = false;     // All are to be told now.
    OriginGrowth growth;
    OriginHome home;
    bool lowered = false;  // The home's share was, and not all keep to it yet.
    uint64_t sent = 0;
    absl::Time wanted_at = absl::InfinitePast();
  };

  static uint32_t MayUse(const User& user, absl::Time now);
  uint32_t Waiting(const User& user, absl::Time now) const;
  bool Uses(const User& user, absl::Time now) const;
  Origin& Find(const std::string& name);
  void Note(Origin& origin, const std::string& worker, OriginUse use, absl::Time now);
  void Learn(Origin& origin, const std::string& worker, const User& user, absl::Time now);
  static uint32_t InFlightElsewhere(const Origin& origin, const std::string& worker, absl::Time now);
  void Deal(const std::string& name, Origin& origin, absl::Time now);
  std::map<std::string, uint32_t> Turns(Origin& origin, absl::Time now);
  bool TurnIsOver(const Origin& origin, const User& holder, absl::Time now) const;
  std::map<std::string, uint32_t> Parts(Origin& origin, absl::Time now);
  void Send(const std::string& name, Origin& origin, const std::string& worker, uint32_t concurrency,
            absl::Time now);
  bool Forget(Origin& origin, absl::Time now);
  std::map<std::string, uint32_t> Withhold(Origin& origin, absl::Time now);
  static uint32_t All(const Origin& origin);
  static bool AnyWaits(const Origin& origin);
  static uint64_t AllMayUse(const Origin& origin, absl::Time now);
  bool Settled(const Origin& origin, absl::Time now) const;
  Sum SumOf(const Origin& origin, absl::Time now) const;
  bool Lapsed(absl::Time now) const { return now >= lent_until_; }

  const Options options_;

  absl::flat_hash_map<std::string, Origin> origins_;
  std::set<std::string> contested_;  // Looked at by every Tick.
  absl::flat_hash_map<std::string, uint64_t> reports_;
  uint64_t permits_ = 0;
  absl::Time wake_ = absl::InfiniteFuture(), sweep_at_ = absl::InfinitePast();
  std::vector<Dealt> output_;
  absl::Time lent_until_ = absl::InfiniteFuture();
  uint32_t coordinators_ = 1;
  OriginHome fresh_;
  bool urgent_ = false, lapsed_ = false;
};

}  // namespace imgfleet::core
