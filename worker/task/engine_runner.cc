#include "worker/task/engine_runner.h"

#include <algorithm>
#include <utility>

#include "common/status.h"
#include "worker/task/measure.h"

namespace imgfleet::task {
namespace {

// Items held for each that can be in flight: enough that every origin of a mixed list has some, and that a fast one
// does not run dry while the next lease is on its way.
constexpr uint32_t kHeldPerRunning = 8;
constexpr uint32_t kMinHeld = 4096;

}  // namespace

absl::StatusOr<std::unique_ptr<EngineRunner>> EngineRunner::Create(fetch::Options options) {
  ASSIGN_OR_RETURN(std::unique_ptr<fetch::Engine> engine, fetch::Engine::Create(std::move(options)));
  return std::unique_ptr<EngineRunner>(new EngineRunner(std::move(engine)));
}

void EngineRunner::Start(std::vector<Item> items) {
  std::vector<fetch::Request> requests;
  requests.reserve(items.size());
  for (Item& item : items) requests.push_back(MeasureRequest(std::move(item)));
  engine_->Submit(std::move(requests));
}

void EngineRunner::DropAbandoned() { engine_->DropAbandoned(); }

uint32_t EngineRunner::capacity() const {
  return std::max(kMinHeld, engine_->options().concurrency * kHeldPerRunning);
}

}  // namespace imgfleet::task
