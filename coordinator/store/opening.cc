#include "coordinator/store/opening.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/steady_cond_var.h"
#include "coordinator/store/open_store.h"

namespace imgfleet::store {
namespace {

// For a thread that is between two tries to end.
constexpr absl::Duration kFarewell = absl::Milliseconds(200);

// Without digits: the addresses behind a name may come in turns, and are not another reason.
std::string Essence(absl::string_view reason) {
  std::string essence(reason);
  essence.erase(std::remove_if(essence.begin(), essence.end(), absl::ascii_isdigit), essence.end());
  return essence;
}

}  // namespace

struct Opening::State {
  absl::Mutex mutex;
  SteadyCondVar changed;
  absl::Status why ABSL_GUARDED_BY(mutex);
  bool tried ABSL_GUARDED_BY(mutex) = false;  // Once at least.
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  bool telling ABSL_GUARDED_BY(mutex) = false;  // `opened` is being called.
  bool ended ABSL_GUARDED_BY(mutex) = false;    // The thread has nothing more to do.

  void End() {
    absl::MutexLock lock(&mutex);
    telling = false;
    tried = ended = true;
    changed.SignalAll();
  }
};

Opening::Opening(const std::string& shown, Open open, Opened opened, Backoff rests)
    : state_(std::make_shared<State>()) {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->why = absl::UnavailableError(absl::StrCat("store ", shown, ": it has not answered yet"));
  }
  thread_ = std::thread([state = state_, open = std::move(open), opened = std::move(opened), rests] {
    Run(open, opened, rests, *state);
    state->End();
  });
}

void Opening::Run(const Open& open, const Opened& opened, Backoff rests, State& state) {
  absl::BitGen random;
  std::string known;  // Of the reason that was told last.
  for (uint32_t failures = 1;; ++failures) {
    absl::StatusOr<std::unique_ptr<Store>> store = open();
    const bool settled = store.ok() || !MendedByWaiting(store.status());
    {
      absl::MutexLock lock(&state.mutex);
      if (state.stopping) return;
      state.telling = settled;
      if (!store.ok()) state.why = absl::UnavailableError(store.status().message());
    }
    if (settled) {
      if (store.ok() && !known.empty()) log::Info("the store is there");
      return opened(std::move(store));
    }
    if (const std::string essence = Essence(store.status().message()); essence != known) {
      log::Warning("waiting for the store: %s", std::string(store.status().message()));
      known = essence;
    }
    absl::MutexLock lock(&state.mutex);
    state.tried = true;
    state.changed.SignalAll();
    // Woken for nothing it tries sooner, that is all.
    if (!state.stopping)
      state.changed.WaitFor(state.mutex, rests.Wait(failures, absl::Uniform(random, 0.0, 1.0)));
    if (state.stopping) return;
  }
}

void Opening::AwaitFirst(absl::Duration patience) const {
  absl::MutexLock lock(&state_->mutex);
  // Woken for nothing it is less patient, that is all.
  if (!state_->tried) state_->changed.WaitFor(state_->mutex, patience);
}

absl::Status Opening::why() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->why;
}

void Opening::Stop() {
  if (!thread_.joinable()) return;
  bool ended;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->stopping = true;
    state_->changed.SignalAll();
    while (state_->telling) state_->changed.WaitFor(state_->mutex, absl::InfiniteDuration());
    if (!state_->ended) state_->changed.WaitFor(state_->mutex, kFarewell);
    ended = state_->ended;
  }
  ended ? thread_.join() : thread_.detach();
}

}  // namespace imgfleet::store
