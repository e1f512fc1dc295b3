// A store that lives in this process and dies with it: for single-process runs, tests and the simulation.
#pragma once

#include <memory>

#include "common/clock.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// Times of shards are compared with clock.Boot().
std::unique_ptr<Store> NewMemoryStore(const Clock& clock);

}  // namespace imgfleet::store
