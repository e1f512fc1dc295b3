// Decides, within one loop, which fetch is sent when, and what follows each exchange: the next range, a redirect,
// another address, a retry, the end.
//
// Fetches queue at their origin. An origin may send while its window has room, it is not told to wait, and its address
// is known; those that may send take turns, so a slow origin delays nobody else's items. Urgent fetches go before all
// others, at their origin and where slots are given out.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/time/time.h"
#include "worker/fetch/byte_budget.h"
#include "worker/fetch/options.h"
#include "worker/fetch/origin.h"
#include "worker/fetch/origin_budget.h"
#include "worker/fetch/resolver.h"
#include "worker/fetch/transport.h"

namespace imgfleet::fetch {

// Belongs to one thread. `now` is the loop's present, kept by the loop.
class Dispatcher {
 public:
  // What the loops of an engine share, and the bytes that are this one's.
  struct Share {
    SlotPool* slots;
    OriginBudgets* origins;
    uint64_t bytes;
  };
  // `wake` is called from any thread when Turn has something new to do.
  Dispatcher(const Options& options, Share share, HandleSettings settings, std::function<void()> wake,
             const absl::Time* now);
  ~Dispatcher();

  void Add(std::unique_ptr<Fetch> fetch);
  // Starts what may be started and handles what is over. `busy`: the loop has no time to spare, more requests in
  // flight would only wait for it.
  void Turn(bool busy);
  // The same, but starts what is urgent alone: between any two events.
  void Hurry();
  void OnEvent(int fd, Poller::Kind kind, uint32_t events);
  // Deadlines, stalls, waits. To be called every kTick while active().
  void Tick();
  // When Turn is to be called next at the latest, events aside.
  absl::Time next_turn() const {
    return blocked_.empty() ? transport_.next_turn()
                            : std::min(transport_.next_turn(), blocked_.begin()->first);
  }
  // Something is queued, running or waiting.
  bool active() const { return held_ > 0; }
  // Ends every fetch whose client is abandoned, or not to begin and not begun, or all.
  void DropAbandoned(bool all);
  // Fetches ended since the last call.
  uint32_t TakeEnded();

  static constexpr absl::Duration kTick = absl::Milliseconds(20);

 private:
  using FetchPtr = std::unique_ptr<Fetch>;

  // Queues and addresses.
  void Enqueue(FetchPtr fetch, bool first);
  void Schedule(Origin* origin);
  void Block(Origin* origin, absl::Time until);
  void Unblock();
  void AskForRoom();
  void Resolve(Origin* origin);
  void Resolved(Origin* origin, const Resolver::Answer& answer);
  void FailQueue(Origin* origin, Failure failure, const std::string& message, bool retryable);
  void ExpireQueues();

  // Attempts.
  void Pump();
  void Pump(bool urgent);
  FetchPtr Next(Origin* origin);
  void Begin(FetchPtr fetch, Exchange* exchange);
  void Send(Exchange* exchange);
  void OnDone(Exchange* exchange, CURLcode code);
  void OnAnswer(Exchange* exchange, Exchange::End end);
  void OnBody(Exchange* exchange, Exchange::End end);
  void WaitForMemory(FetchPtr fetch);
  void EndWaitsForMemory();
  void OnRefusal(Exchange* exchange);
  void Redirect(Exchange* exchange);
  void OnTransferError(Exchange* exchange, Exchange::End end);
  void FailSilently(Exchange* exchange, Failure failure, std::string message);
  void TryNextAddress(Exchange* exchange, std::string message);
  void CheckRunning();

  // Ends.
  enum class Sign : uint8_t { kNone, kRefusal, kSilence };
  FetchPtr Leave(Exchange* exchange, Sign sign);
  void Reset(Fetch& fetch);
  void Refuse(FetchPtr fetch, Origin* origin, std::optional<absl::Duration> wait);
  void PutOff(FetchPtr fetch, uint32_t status, absl::Duration wait);
  void GiveUpWaiting(Origin* origin, Failure failure, const std::string& message);
  void End(FetchPtr fetch, Failure failure, std::string message, bool retryable);
  void Fail(FetchPtr fetch, Failure failure, std::string message, bool retryable);
  void Finish(FetchPtr fetch);
  void Record(Exchange* exchange);

  const Options& options_;
  const absl::Time* const now_;
  Resolver resolver_;
  ByteBudget budget_;
  // The budgets' way to say that there is room; before what calls it.
  std::atomic<bool> room_{false};
  const std::function<void()> wake_;
  Origins origins_;
  Transport transport_;
  bool busy_ = false;
  size_t held_ = 0;
  uint32_t ended_ = 0;
  absl::flat_hash_set<Origin*> resolving_;
  std::deque<Origin*> ready_, hurried_;
  std::vector<Origin*> full_;  // Wait for room.
  std::multimap<absl::Time, FetchPtr> delayed_;
  std::multimap<absl::Time, Origin*> blocked_;
  std::deque<FetchPtr> waiting_for_memory_;
  absl::BitGen random_;
};

}  // namespace imgfleet::fetch
