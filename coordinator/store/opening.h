// Opens a store that may not be there yet: a server that is down or still starting, a name that is not known yet, a
// password that is being set. It is tried again until it opens, or fails in a way that no waiting mends (open_store.h
// says which). The log has one line when the waiting begins, one whenever the reason becomes another, one when it is over.
//
//   Opening opening(ShownStore(name), [] { return OpenStore(name, clock); },
//                   [](absl::StatusOr<std::unique_ptr<Store>> store) { ... });
//   opening.AwaitFirst(absl::Seconds(1));
//
// Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/backoff.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

class Opening {
 public:
  using Open = std::function<absl::StatusOr<std::unique_ptr<Store>>()>;
  using Opened = std::function<void(absl::StatusOr<std::unique_ptr<Store>>)>;

  // So long between two tries: a store is served about a second after it is there.
  static constexpr Backoff kRests{absl::Milliseconds(250), absl::Seconds(1)};

  // Begins at once. `opened` is called once, on a thread of this object, with the store or with why there will never be one;
  // never, where Stop comes first.
  // `shown` is its name for people.
  Opening(const std::string& shown, Open open, Opened opened, Backoff rests = kRests);
  ~Opening() { Stop(); }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

  // Returns once the first try has ended (and `opened` has returned, if that was all), at the latest after `patience`.
  void AwaitFirst(absl::Duration patience) const;
  // Why it is not open yet, or never will be: UNAVAILABLE, and one line.
  absl::Status why() const;
  // `opened` has returned or will never be called. A try that hangs in the network is not waited for: it goes on by itself,
  // and the store that it may open is closed at once. So what `open` uses must live as long as the process.
  void Stop();

 private:
  struct State;
  static void Run(const Open& open, const Opened& opened, Backoff rests, State& state);

  const std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace imgfleet::store
