// Which coordinator may use an origin, where several share a store: one level above OriginShares, which deals out to workers
// what is settled here.
//
// Twice a second, and at once where somebody waits for it, each coordinator makes one exchange: in one transaction,
// which all make one after another, it reads what others have written since and writes what has changed here. Never a
// request, never an item: rows are of origins, and only of those whose use has begun, ended or changed hands.
//
//   member   by coordinator              It lives until `until`. Written with every exchange, and nothing else is where nothing
//                                        changes. All that one has claimed ends with it; one that comes back is another.
//   claim    by (origin, coordinator)    What its workers may be using of the origin: `share`, of OriginHome::kAll; and what
//                                        they want.
//   state    by origin                   What was learned of it, whether it is open, until when it asked for silence.
//
// The law. Of an origin that is not known to be open one coordinator has all, in turns of some seconds; who has waited longest is
// next. With the turn goes what was learned. An open origin is cut by what each wants of it. A share is raised only to what
// the claims of all other living members leave, in the transaction that has read them; it is lowered there once no worker
// here may think that it has more (OriginShares::Sum::settled).
//
// Promises:
//   - What the workers of all coordinators may use of an origin never sums up to more than it has: shares to more than kAll,
//     whatever exchanges are lost, late, or committed without an answer. (Each that has a part has one request at
//     least, and a worker that is new to an origin sends one before it has heard a word.)
//   - Whoever waits has a turn after at most one of each of the others. Who wants no more hands on at once, who dies when its
//     row has run out: `claim`, by the store's clock. Here that time counts from before the exchange by this machine's
//     clock, which only has to run evenly, so that this ends first; and no permit holds beyond it.
//   - A Retry-After that one is told all know within an exchange.
//   - A coordinator without others waits for nobody and writes no row but its own. One that comes deals nothing out before
//     all that were there have written what they use, or are dead: its workers have a part each until then, as below.
//
// What fails: a coordinator that has not reached the store for `claim` has lost all; its workers go on as if their permits
// had run out (OriginShares::Lend). What was learned of an origin is kept for five minutes after its last use. Rows of
// the dead are void with their members, and swept after `kKept`.
//
// Cost: an exchange is one short transaction of two round trips; rows are read and written as they change. All origins
// in use are looked at in each (1 to 2.5 microseconds an origin).
//
// Pure: no I/O, no clock; `now` is any time that runs evenly, times in rows are the store's. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "coordinator/core/origin_shares.h"

namespace imgfleet::core {

// One row. `value` is numbers as text, apart by spaces:
//   claim  share, workers, whether they wait (0 or 1), items waiting and in flight, requests in flight, items ever wanted,
//          answers and refusals to those that had no turn any more, since when it waits for its turn (us)
//   state  1 if open, its window, until when it asked for silence (us; 0: never), and who has learned what is in `learned`
//   ""     the claim is given up
struct OriginRow {
  std::string origin;       // "" in a member's.
  std::string coordinator;  // "" in a state's.
  std::string value;
  std::string learned;
  absl::Time until;     // Void from then on.
  uint64_t number = 0;  // Of the exchange that wrote it.
};

// One exchange.
struct OriginQuery {
  uint64_t after = 0;                // Rows that later exchanges have written,
  std::vector<std::string> origins;  // and all of these.
};
struct OriginNews {
  uint64_t number = 0;  // Of this exchange; they are made in this order.
  absl::Time now;       // By the store's clock; never before an earlier exchange's, though that be set back.
  std::vector<OriginRow> rows;
};
struct OriginWrites {
  std::vector<OriginRow> rows;
  bool tell = false;   // Others wait for this.
  bool sweep = false;  // Rows void for kKept can go.
};

class OriginHomes {
 public:
  struct Options {
    std::string coordinator;                       // Unlike any other's.
    absl::Duration least_turn = absl::Seconds(2);  // A second for each worker here that waits,
    absl::Duration most_turn = absl::Seconds(5);   // within these.
    absl::Duration claim = absl::Milliseconds(2500);
    absl::Duration rhythm = absl::Milliseconds(500);
    absl::Duration least_rhythm = absl::Milliseconds(50);
  };
  static constexpr absl::Duration kKept = absl::Minutes(1);

  // `shares` outlives this. Nothing is dealt out before the first exchange, for `claim` at most.
  OriginHomes(Options options, OriginShares& shares, absl::Time now);

  // To be called after anything was told to the shares.
  void Look(absl::Time now);
  // Others have told something.
  void Hear(absl::Time now);
  // When the next exchange is to begin; InfiniteFuture while nothing is used.
  absl::Time next_exchange() const { return next_; }

  // An exchange: Prepare; within its transaction Decide, once at most; then Committed. `committed`: it is known to be.
  OriginQuery Prepare(absl::Time now);
  OriginWrites Decide(const OriginNews& news, absl::Time now);
  void Committed(bool committed, absl::Time now);

  // None but this one is there.
  bool alone() const { return standing_.alone; }
  size_t origins() const { return origins_.size(); }

 private:
  struct Claim {
    uint32_t share = 0, users = 0;
    bool waits = false;
    uint64_t wants = 0, in_flight = 0, wanted = 0, strays_accepted = 0, strays_refused = 0;
    absl::Time since = absl::InfiniteFuture();
    bool operator==(const Claim&) const = default;
  };
  struct State {
    bool open = false;
    uint32_t window = 0;
    absl::Time blocked_until = absl::UnixEpoch();
    std::string by, learned;
    bool operator==(const State&) const = default;
  };
  struct Member {
    absl::Time until;
    uint64_t number = 0;
    bool fresh = false;  // Seen for the first time.
  };
  struct Origin {
    bool known = false;                   // Its rows were read.
    std::map<std::string, Claim> others;  // By member, the dead included.
    State state;                          // As it is stored,
    Claim mine;                           // and this: of no share and no workers where it is not.
    absl::Time mine_written = absl::InfinitePast(), state_written = absl::InfinitePast();
    bool open = false;    // As the shares and the state had it last.
    bool ending = false;  // The turn is over.
    absl::Time turn_began = absl::InfinitePast();
    uint64_t sent_before = 0;
    uint32_t held = 0;    // Of the share: what the workers are dealt now,
    uint32_t target = 0;  // and are to be.
    OriginHome home;
    uint64_t seen = 0;  // The last exchange at which it was in use here.
    // Written in this exchange.
    std::optional<Claim> claim_staged;
    std::optional<State> state_staged;
  };
  // What the others have of an origin.
  struct Others {
    uint32_t shares = 0, claims = 0;
    uint64_t wants = 0;
    bool wait = false;
    bool before_me = false;  // One has waited for longer.
    bool lacks = false;      // One uses it and has no share.
    bool keeps = false;      // One has a share and precedes, where several have.
    OriginHome home;         // Its `share` is not theirs to say.
  };

  void Join();
  void Read(const OriginNews& news);
  void Settle();
  bool Lives(const std::string& member) const;
  bool Mine(const std::string& member) const;
  Others SumOf(const Origin& origin) const;
  void Consider(const std::string& name, const OriginShares::Sum& sum, absl::Time now);
  bool Agree(const std::string& name, Origin& origin, const OriginShares::Sum& sum, const Others& others,
             absl::Time now);
  uint32_t Target(Origin& origin, const OriginShares::Sum& sum, const Others& others, absl::Time now) const;
  uint32_t Turn(Origin& origin, const OriginShares::Sum& sum, const Others& others) const;
  uint32_t Part(const Origin& origin, const OriginShares::Sum& sum, const Others& others) const;
  Claim NextClaim(Origin& origin, const OriginShares::Sum& sum, const Others& others, bool settled) const;
  void Stage(const std::string& name, Origin& origin, const Claim& claim, const Others& others);
  void StageState(const std::string& name, Origin& origin, State state);
  void Write(std::string origin, std::string coordinator, std::string value, std::string learned,
             absl::Duration lives);
  void Apply(const std::string& name, Origin& origin, absl::Time now);
  void Soon(absl::Time now);

  const Options options_;
  OriginShares& shares_;

  absl::flat_hash_map<std::string, Origin> origins_;
  std::map<std::string, Member> members_;
  // Whether it is a member; whether all others have written what they use since it is; whether there are others.
  struct Standing {
    bool joined = false, settled = false, alone = false;
    std::string id;  // Of this membership.
    uint64_t since = 0;
  };
  Standing standing_, before_;  // Now; before the exchange that is under way.
  uint64_t joins_ = 0, last_ = 0;
  absl::Time end_ = absl::InfinitePast();  // Of the claims, here.
  absl::Time next_ = absl::InfiniteFuture(), began_ = absl::InfinitePast(), used_ = absl::InfinitePast();
  absl::Duration cost_ = absl::ZeroDuration();  // Of the last exchange.

  // Of the exchange that is under way.
  std::vector<std::string> asked_, staged_;
  absl::Time store_now_;
  uint64_t number_ = 0;
  bool decided_ = false, leaving_ = false, publishing_ = false, publish_again_ = false;
  absl::Time swept_ = absl::InfinitePast();
  OriginWrites writes_;
};

}  // namespace imgfleet::core
