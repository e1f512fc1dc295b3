#include "gateway/few_items.h"

#include "gtest/gtest.h"

namespace imgfleet::gateway {
namespace {

v1::Item Item(const std::string& id, const std::string& url) {
  v1::Item item;
  item.set_id(id);
  item.set_url(url);
  return item;
}

v1::OutcomeChunk Of(const std::vector<uint64_t>& indices) {
  v1::OutcomeChunk chunk;
  for (const uint64_t index : indices) chunk.add_outcomes()->set_index(index);
  return chunk;
}

TEST(FewItems, IdsAreThoseThatTheCoordinatorGives) {
  FewItems few({Item("", "u"), Item("a", "u"), Item("a", "u"), Item("a#2", "u"), Item("0", "u")});
  const v1::ItemBatch batch = few.AskForMissing();
  std::string ids;
  for (const v1::Item& item : batch.items()) ids += item.id() + " ";
  EXPECT_EQ(ids, "0 a a#2 a#2#3 0#4 ");
}

TEST(FewItems, WhatIsMissingIsAskedForAgainAndEachIsTakenOnce) {
  FewItems few({Item("a", "u0"), Item("b", "u1"), Item("c", "u2"), Item("d", "u3")});
  EXPECT_EQ(few.AskForMissing().items_size(), 4);
  v1::OutcomeChunk fresh = few.Take(Of({2, 0, 2, 9}));
  ASSERT_EQ(fresh.outcomes_size(), 2);
  EXPECT_EQ(fresh.outcomes(0).index(), 2u);
  EXPECT_EQ(fresh.outcomes(0).id(), "c");
  EXPECT_FALSE(few.complete());
  EXPECT_EQ(few.AskForMissingAsList(), "{\"id\":\"b\",\"url\":\"u1\"}\n{\"id\":\"d\",\"url\":\"u3\"}\n");
  fresh = few.Take(Of({1}));
  ASSERT_EQ(fresh.outcomes_size(), 1);
  EXPECT_EQ(fresh.outcomes(0).index(), 3u);
  EXPECT_EQ(fresh.outcomes(0).id(), "d");
  EXPECT_EQ(few.Take(Of({0})).outcomes_size(), 1);
  EXPECT_TRUE(few.complete());
}

}  // namespace
}  // namespace imgfleet::gateway
