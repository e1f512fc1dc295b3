// Which worker tries what is suspected of killing workers (shard.h), and what its death says. What one coordinator knows of
// the workers that are connected to it, in memory: where that is lost, nothing counts, and the trial is held again.
//
// Who. A trial needs a worker that holds nothing else. One that has nothing else to do takes it, as long as half of the
// workers do none. Where all have other work, one worker at a time is told to let its leases run out (it gets no new ones
// meanwhile), and then given the trial; where there is only one, other work has it afterwards for as long as the trial
// took. So neither suspects nor other jobs starve, and most workers never notice.
//
// What. A worker that died alone says something. One that died while all others went too, without a word, does not: the
// machines, the network, or whoever deletes pods did that. With no other worker there is nothing to compare it with; one
// that died of a trial of its own is none.
//
// Not thread-safe. Times are the store's.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "coordinator/core/types.h"

namespace imgfleet::core {

// Which workers are there.
class Muster {
 public:
  // Also when it is known to be there.
  void Came(const std::string& worker, absl::Time now);
  enum class Way {
    kInPeace,  // It had drained, or said that it would.
    kOnTrial,  // It may have died of what it was given to try.
    kSilently,
  };
  void Left(const std::string& worker, absl::Time now, Way how);

  enum class Death {
    kAlone,       // Others stayed, or there were none.
    kWithOthers,  // Others were there, and all of them went when it did.
    kUnknown,     // It was not connected here.
  };
  // Of one whose lease lapsed at `lapsed`.
  Death HowDied(const std::string& worker, absl::Time lapsed) const;

  // That are there.
  size_t workers() const;

 private:
  struct Worker {
    absl::Time came;
    absl::Time left = absl::InfiniteFuture();
    bool on_trial = false;
  };
  std::map<std::string, Worker> workers_;
};

// Who is trying what, or is to. Plain: a transaction that fails forgets its changes.
class Trials {
 public:
  // To be called whenever `worker` asks for work, which it never does during its trial.
  void Asks(const std::string& worker, size_t workers, absl::Time now);
  void Left(const std::string& worker, size_t workers, absl::Time now);

  // Whether it has begun one.
  bool OnTrial(const std::string& worker) const;
  // What `worker` lets its leases run out for.
  std::optional<ShardKey> Awaits(const std::string& worker) const;
  // Whether a worker may be set aside although there is other work.
  bool MaySetAside(absl::Time now) const { return under_way_.empty() && now >= rest_until_; }
  // Whether a worker without other work may try something.
  bool MayTry(size_t workers) const;

  void SetAside(const std::string& worker, const ShardKey& shard, absl::Time now);
  void Begins(const std::string& worker, absl::Time now);
  void GivesUp(const std::string& worker) { under_way_.erase(worker); }

 private:
  struct Trial {
    std::optional<ShardKey> awaits;  // Until it is leased.
    bool set_aside = false;
    absl::Time since;
  };
  void End(std::map<std::string, Trial>::iterator trial, size_t workers, absl::Time now);

  std::map<std::string, Trial> under_way_;
  absl::Time rest_until_ = absl::InfinitePast();
};

}  // namespace imgfleet::core
