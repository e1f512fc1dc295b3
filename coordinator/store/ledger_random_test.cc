// Many plays, each with dice of its own: see ledger_play_testing.h.
#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "coordinator/store/ledger_play_testing.h"
#include "coordinator/store/store_testing.h"

namespace imgfleet::store {
namespace {

class LedgerRandomTest : public testing::TestWithParam<StoreKind> {};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerRandomTest, testing::ValuesIn(StoreKinds()),
                         [](const auto& info) { return info.param.name; });

// IMGFLEET_TEST_SEEDS and IMGFLEET_TEST_FIRST_SEED widen the search or replay one seed.
uint32_t FromEnvironment(const char* name, uint32_t otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : static_cast<uint32_t>(atoll(value));
}

TEST_P(LedgerRandomTest, StoredIsWhatWasAcknowledgedOnceEach) {
  const bool durable = GetParam().make()->durable();
  const uint32_t first = FromEnvironment("IMGFLEET_TEST_FIRST_SEED", 1);
  const uint32_t seeds = FromEnvironment("IMGFLEET_TEST_SEEDS", durable ? 20 : 2000);
  for (uint32_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("replay with IMGFLEET_TEST_SEEDS=1 IMGFLEET_TEST_FIRST_SEED=", seed));
    const std::unique_ptr<StoreUnderTest> stores = GetParam().make();
    Play(*stores, seed).Run(120);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace imgfleet::store
