// The fetch engine: event-loop threads that fetch URLs over HTTP/1.1 and HTTP/2, Range first, for clients that look at
// the bytes as they come.
//
//   fetch::Engine engine(*fetch::Engine::Create({.policy = policy}));
//   engine->Submit(std::move(requests));   // Each request's client is called back, and ends with exactly one Finish.
//
// A URL is fetched in attempts: DNS, up to five redirects, as many ranges as its client asks for, within one deadline.
// What may go better next time is tried again after a growing wait, or after the time that the origin asked for.
// Destroying the engine ends what is left with kAbandoned, before the destructor returns.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/fetch/loop.h"
#include "worker/fetch/options.h"
#include "worker/fetch/types.h"
#include "worker/fetch/watchdog.h"

namespace imgfleet::fetch {

struct Request {
  std::unique_ptr<Client> client;
  Limits limits;
  bool urgent = false;  // Begun before all that are not, where need be in slots beyond Options::concurrency.
};

// Thread-safe.
class Engine {
 public:
  // INVALID_ARGUMENT or NOT_FOUND where the CA file cannot be used.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(Options options);
  ~Engine();

  void Submit(std::vector<Request> requests);
  // Has every loop look at Client::Abandoned and Client::NotToBegin of all it holds, soon.
  void DropAbandoned();
  const Options& options() const { return options_; }
  // Requests in flight, about.
  uint32_t running() const { return slots_.used(); }
  // The budgets of its origins, for a coordinator to deal out.
  OriginBudgets& origins() { return origins_; }

 private:
  Engine(Options options, int trusted);
  size_t Choose(absl::string_view url, const std::vector<uint32_t>& held) const;

  const Options options_;
  const int trusted_;  // Descriptor of the system's authorities and ca_file in one file, -1 without ca_file.
  SlotPool slots_;
  OriginBudgets origins_;
  Watchdog watchdog_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace imgfleet::fetch
