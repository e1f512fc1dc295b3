#include "coordinator/store/store_testing.h"

#include "coordinator/store/memory_store.h"

namespace imgfleet::store {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  bool durable() const override { return false; }
  std::unique_ptr<Store> Open(const Clock& clock) override { return NewMemoryStore(clock); }
};

}  // namespace

std::vector<StoreKind> StoreKinds() {
  return {{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }}};
}

}  // namespace imgfleet::store
