// What one origin can take of this process: a window (origin_window.h), a pace (origin_pace.h), and the time until which
// the origin has asked for silence (Retry-After).
//
// Of what is known to be wanted from it, one part in twenty-five is in flight at most: what is in flight when an origin begins
// to refuse is refused, and the farther it is the more that is. A few are always allowed, as many as browsers do; and more,
// one part in ten, once it has answered a thousand without a refusal.
//
// Whose is it, where several event loops fetch from one origin, as they do where one core is not enough? An origin sees
// the process, not its threads, so there is one budget, and the loops share it under a mutex, taken twice a request. As long as
// the origin has refused nothing, all of it costs some 550 of an item's instructions (callgrind, `imgfleet info`). To give
// the origin to one loop and let others help when that one has no time left would need the same sharing in the worst
// case, and a decision when it begins; to cut the window in shares for the loops lets an origin that can take one
// request at a time see one from each loop.
//
// Each loop takes a seat. It keeps the room that its own answers free, unless another loop waits that holds two less,
// or none at all: then that one is promised the room, and woken. So the loops' shares even out and none starves, and
// while they are even nobody wakes anybody.
//
// Where a coordinator deals budgets out (origin_permit.h), a permit bounds window and pace from outside. Before its first word one
// request is sent: its answer would not be here sooner, and others who begin with this origin at the same time do as much.
// Who waits in vain for 0.2 s goes on as if alone. A permit that has run out leaves one part of window and pace for each of
// those who shared the origin, and nothing where an operator has set a rate: others may have been given it. What was learned
// goes with the turn, from process to process.
//
// Exempt origins (an operator's own) have a window as large as can be and no pace; they too are not asked before the
// time they named.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/fetch/origin_pace.h"
#include "worker/fetch/origin_permit.h"
#include "worker/fetch/origin_window.h"

namespace imgfleet::fetch {

class OriginBudget;

// Budgets of which the coordinator is to hear at once, and whether there is one that deals. Thread-safe.
class OriginBell {
 public:
  // `wake` is called when the first rings since the last Take; it must not block. Null: nobody deals.
  void Answer(std::function<void()> wake);
  bool answered() const { return answered_; }
  void Ring(std::weak_ptr<OriginBudget> budget);
  std::vector<std::weak_ptr<OriginBudget>> Take();

 private:
  std::atomic<bool> answered_{false};
  absl::Mutex mutex_;
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<OriginBudget>> rung_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe. Times are Clock::Boot(); those of different loops may be some milliseconds apart.
class OriginBudget : public std::enable_shared_from_this<OriginBudget> {
 public:
  // What a loop holds of it. To be used by that loop only, and gone before the loop's waker is.
  class Seat {
   public:
    // `wake` is called from any thread, when there is room for a loop that waits; it must not block.
    Seat(std::shared_ptr<OriginBudget> budget, const std::function<void()>* wake);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    OriginBudget& budget() const { return *budget_; }

   private:
    friend class OriginBudget;
    const std::shared_ptr<OriginBudget> budget_;
    const std::function<void()>* const wake_;
    // Guarded by the budget's mutex.
    uint32_t in_flight_ = 0, waiting_ = 0;
    bool waits_ = false, promised_ = false;
  };

  // In flight, however little is wanted.
  static constexpr uint32_t kAtOnce = 6;

  // `name` is the origin's; `bell` outlives this, or is null where no coordinator deals.
  OriginBudget(uint32_t max_window, bool exempt, std::string name = "", OriginBell* bell = nullptr)
      : exempt_(exempt), max_(max_window), name_(std::move(name)), bell_(bell), window_(max_window) {}

  struct Turn {
    enum Kind : uint8_t {
      kGo,    // The request is counted: send it.
      kFull,  // The loop is woken, or one of its own requests ends, before there is room.
      kWait,  // Not before `until`.
    };
    Kind kind = kGo;
    absl::Time until = absl::InfinitePast();
    bool full = false;  // With kGo: it was the last for now; otherwise as kFull.
  };
  // `more`: so many others the loop has to send after this one.
  Turn Start(Seat& seat, absl::Time now, uint32_t more);
  // The loop has nothing to ask for any more.
  void Decline(Seat& seat);

  // How a request ended. `more`: the loop has others to send to this origin.
  //
  // The origin answered, with anything but a refusal. `useful`: more in flight would have helped the loop.
  void Answered(Seat& seat, absl::Time sent, absl::Duration latency, absl::Time now, bool useful, bool more);
  // It ended without saying anything of the origin.
  void Ended(Seat& seat, bool more);
  // No answer. `connected`: it took the request, at least. An origin that has answered before and now takes no
  // connections is under strain as much as one that does not answer in time. Returns for how long the origin has given
  // nothing but failures.
  absl::Duration Silent(Seat& seat, absl::Time sent, absl::Time now, bool connected, bool more);
  // 429 or 503. `again`: the same URL was refused before. `random` uniform in [0, 1). Returns as Silent.
  struct Refusal {
    absl::Time sent, now;
    uint32_t status = 0;
    std::optional<absl::Duration> retry_after;
    bool again = false;
    double random = 0;
  };
  absl::Duration Refused(Seat& seat, const Refusal& refusal, bool more);

  // The coordinator's word. Those older than the last are passed over.
  void Keep(const OriginPermit& permit, absl::Time now);
  // There is no coordinator to be heard: what permits there were have run out.
  void Disconnected(absl::Time now);
  // What the coordinator is to know.
  OriginUse Use(absl::Time now);
  const std::string& name() const { return name_; }
  // Is of no interest to others.
  bool at_rest() const;

  // The status with which the origin refused last; 0 where it has not.
  uint32_t refused_with() const;
  uint32_t in_flight() const;
  uint32_t window() const;
  // Nothing would be lost with it.
  bool idle(absl::Time now) const;

 private:
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the present permit.
  uint32_t Permitted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RanOut() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Requests a second, where the permit bounds them.
  double PermittedRate() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  OriginUse::State State() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetWaiting(Seat& seat, uint32_t items) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ring() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stray(uint64_t accepted, uint64_t refused) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BlockFor(absl::Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  template <typename Visit>
  void ForEachNumber(Visit visit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string PackLearned() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOver(const std::string& learned) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // After a request of `seat` has ended: promises the room to whom it is due.
  void Pass(Seat& seat, bool more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forsake(Seat& seat) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Failing(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool exempt_;
  const uint32_t max_;
  const std::string name_;
  OriginBell* const bell_;

  mutable absl::Mutex mutex_;
  OriginWindow window_ ABSL_GUARDED_BY(mutex_);
  OriginPace pace_ ABSL_GUARDED_BY(mutex_);
  std::vector<Seat*> seats_ ABSL_GUARDED_BY(mutex_);
  uint32_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;   // Seats that wait,
  uint32_t promised_ ABSL_GUARDED_BY(mutex_) = 0;  // and those that were promised room.
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;  // Ever.
  // Items accepted, in flight or waiting, at the most; and how many may be in flight for that.
  uint32_t accepted_ ABSL_GUARDED_BY(mutex_) = 0, wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t at_once_ ABSL_GUARDED_BY(mutex_) = kAtOnce;
  uint32_t refused_with_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first failure since the last answer, and the last.
  absl::Time failing_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Time failed_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // What the coordinator is told, and what it says.
  absl::Time seen_ ABSL_GUARDED_BY(mutex_) =
      absl::InfinitePast();  // The present, when this was last asked for.
  absl::Time asked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // First of all.
  uint32_t items_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t accepted_ever_ ABSL_GUARDED_BY(mutex_) = 0, refused_ever_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time blocked_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // Whoever was told,
  absl::Time told_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();     // and this process.
  OriginPermit permit_ ABSL_GUARDED_BY(mutex_);
  bool heard_ ABSL_GUARDED_BY(mutex_) = false;  // permit_ is one.
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time turn_began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  double next_permitted_ ABSL_GUARDED_BY(mutex_) = -std::numeric_limits<double>::infinity();
};

// The budgets of all origins that this process fetches from. Forgets those that are not in use, in time.
//
// Thread-safe. A loop asks once for each origin that is new to it.
class OriginBudgets {
 public:
  explicit OriginBudgets(uint32_t max_window) : max_window_(max_window) {}

  // `name` is the origin's, as the coordinator knows it: "https://host:443". `exempt` counts when the origin is new.
  std::shared_ptr<OriginBudget> Get(const std::string& name, bool exempt, absl::Time now);
  size_t size() const;

  // What a coordinator that deals budgets out is to know; see OriginBell for `wake`. All those in use, or only those
  // that have rung; at most `limit`: those that others use too, then those of which most is wanted.
  OriginBell& bell() { return bell_; }
  std::vector<OriginUse> Uses(bool all, size_t limit, absl::Time now);
  void Keep(const std::vector<OriginPermit>& permits, absl::Time now);
  void Disconnected(absl::Time now);

 private:
  std::vector<std::shared_ptr<OriginBudget>> All() const;

  const uint32_t max_window_;
  OriginBell bell_;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<OriginBudget>> budgets_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_ ABSL_GUARDED_BY(mutex_) = 4096;
};

}  // namespace imgfleet::fetch
