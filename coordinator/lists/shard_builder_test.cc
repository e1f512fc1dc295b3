#include "coordinator/lists/shard_builder.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/outcome/codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::lists {
namespace {

using testing::ElementsAre;

std::vector<core::NewShard> Build(const std::vector<Row>& rows) {
  ShardBuilder builder("");
  std::vector<core::NewShard> shards;
  for (const Row& row : rows) {
    auto shard = builder.Add(row);
    EXPECT_TRUE(shard.ok()) << shard.status();
    if (*shard) shards.push_back(**std::move(shard));
  }
  if (auto shard = builder.Finish()) shards.push_back(*std::move(shard));
  EXPECT_FALSE(builder.Finish().has_value());
  EXPECT_EQ(builder.items(), rows.size());
  return shards;
}

// The ids in the order of their indices; checks that the shards join without a gap.
std::vector<std::string> Ids(const std::vector<core::NewShard>& shards) {
  std::vector<std::string> ids;
  for (const core::NewShard& shard : shards) {
    EXPECT_EQ(shard.first_index, ids.size());
    const auto items = outcome::UnpackItems(shard.payload);
    EXPECT_TRUE(items.ok()) << items.status();
    EXPECT_EQ(static_cast<uint32_t>(items->items_size()), shard.items);
    for (const v1::Item& item : items->items()) ids.push_back(item.id());
  }
  return ids;
}

std::vector<Row> RowsWithIds(const std::vector<std::string>& ids) {
  std::vector<Row> rows;
  for (const std::string& id : ids) rows.push_back({rows.size() + 2, id, "http://a/", ""});
  return rows;
}

TEST(ShardBuilderTest, GivesEveryItemAnIdOfItsOwn) {
  EXPECT_THAT(Ids(Build(RowsWithIds({"", "", "x", ""}))), ElementsAre("0", "1", "x", "3"));
  EXPECT_THAT(Ids(Build(RowsWithIds({"a", "b", "a", "a"}))), ElementsAre("a", "b", "a#2", "a#3"));
  // A decimal id may be the default id of another row, and a made id may be in the list.
  EXPECT_THAT(Ids(Build(RowsWithIds({"5", "1", "", "2", "5", ""}))),
              ElementsAre("5", "1", "2", "2#3", "5#4", "5#5"));
  EXPECT_THAT(Ids(Build(RowsWithIds({"a#1", "a", "a#2", "a"}))), ElementsAre("a#1", "a", "a#2", "a#3"));
  EXPECT_THAT(Ids(Build(RowsWithIds({"a", "a#2", "a"}))), ElementsAre("a", "a#2", "a#2#2"));
  EXPECT_THAT(Ids(Build(RowsWithIds({"01", "1", "01", "18446744073709551615", "18446744073709551616", "3",
                                     "18446744073709551615"}))),
              ElementsAre("01", "1", "01#2", "18446744073709551615", "18446744073709551616", "3",
                          "18446744073709551615#6"));
}

TEST(ShardBuilderTest, IdsAreUniqueWhateverTheListHolds) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> ids(random() % 200);
    for (std::string& id : ids) {
      id = absl::StrCat(random() % 60);
      if (random() % 4 == 0) absl::StrAppend(&id, "#", random() % 200);
      if (random() % 8 == 0) id.clear();
    }
    const std::vector<std::string> got = Ids(Build(RowsWithIds(ids)));
    EXPECT_EQ(std::set<std::string>(got.begin(), got.end()).size(), ids.size());
  }
}

TEST(ShardBuilderTest, ShardsGrowAndStayBelowTheirLimits) {
  const std::vector<core::NewShard> shards = Build(std::vector<Row>(5005, Row{1, "", "http://a/", ""}));
  EXPECT_EQ(Ids(shards).size(), 5005u);
  EXPECT_EQ(shards[0].items, core::kFirstShardItems);
  for (size_t i = 1; i + 1 < shards.size(); ++i) EXPECT_GE(shards[i].items, shards[i - 1].items);
  const std::string url(kMaxRowBytes, 'u');
  for (const core::NewShard& shard : Build(std::vector<Row>(200, Row{1, "", url, ""}))) {
    EXPECT_LE(outcome::UnpackItems(shard.payload)->ByteSizeLong(), core::kMaxShardBytes);
  }
  EXPECT_TRUE(Build({}).empty());
}

TEST(ShardBuilderTest, BadRowsAreOutcomesAtOnce) {
  const std::vector<core::NewShard> shards = Build(
      {{2, "a", "http://a/", ""}, {3, "b", "", "l.tsv:3: the URL is empty"}, {4, "", "", "l.tsv:4: bad"}});
  ASSERT_EQ(shards.size(), 1u);
  const core::KnownOutcomes& known = shards[0].known;
  EXPECT_THAT(Ids(shards), ElementsAre("a", "b", "2"));
  EXPECT_THAT(known.offsets, ElementsAre(1, 2));
  EXPECT_EQ(known.counts.failed, 2u);
  EXPECT_EQ(known.counts.succeeded, 0u);
  EXPECT_EQ(known.counts.reasons, (core::ReasonCounts{{v1::ItemError::BAD_ROW, 2}}));
  const auto chunk = outcome::UnpackOutcomes(known.payload);
  ASSERT_TRUE(chunk.ok());
  ASSERT_EQ(chunk->outcomes_size(), 2);
  const v1::Outcome& second = chunk->outcomes(1);
  EXPECT_EQ(second.index(), 2u);
  EXPECT_EQ(second.id(), "2");
  EXPECT_EQ(second.error().reason(), v1::ItemError::BAD_ROW);
  EXPECT_EQ(second.error().message(), "l.tsv:4: bad");
  EXPECT_EQ(second.error().line(), 4u);
  EXPECT_FALSE(second.has_fetch());
}

TEST(ShardBuilderTest, OffsetsCountInsideTheirShard) {
  std::vector<Row> rows(40, Row{1, "", "http://a/", ""});
  rows[16].error = rows[39].error = "bad";
  const std::vector<core::NewShard> shards = Build(rows);
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_TRUE(shards[0].known.offsets.empty());
  EXPECT_TRUE(shards[0].known.payload.empty());
  EXPECT_THAT(shards[1].known.offsets, ElementsAre(0, 23));
}

TEST(ReadItemsTest, HandsOnTheItemsOfARequest) {
  v1::ItemBatch items;
  items.add_items()->set_url("http://a/");
  items.add_items()->set_id("x");
  std::vector<std::string> rows;
  const auto sink = [&](const Row& row) {
    rows.push_back(absl::StrCat(row.line, "|", row.id, "|", row.url, "|", row.error));
    return absl::OkStatus();
  };
  EXPECT_TRUE(ReadItems(items, "items", sink).ok());
  EXPECT_THAT(rows, ElementsAre("1||http://a/|", "2|x||items:2: the URL is empty"));
}

}  // namespace
}  // namespace imgfleet::lists
