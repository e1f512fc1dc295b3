#include "coordinator/store/command_queue.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace imgfleet::store {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class CommandQueueTest : public ::testing::Test {
 protected:
  void Push(const std::string& name, const std::string& list_of = "", size_t bytes = 0,
            bool after_all = false) {
    queue_.Push({nullptr,
                 [this, name](const absl::Status&) { taken_.push_back(name); },
                 bytes,
                 {},
                 list_of,
                 after_all});
  }
  // The names in the next batch.
  std::vector<std::string> Take() {
    taken_.clear();
    for (const Command& command : queue_.Take()) command.answer(absl::OkStatus());
    return taken_;
  }

  CommandQueue queue_;
  std::vector<std::string> taken_;
};

TEST_F(CommandQueueTest, EverythingGoesIntoOneBatchWhereItFits) {
  Push("a");
  Push("create", "job");
  Push("b");
  Push("append", "job");
  EXPECT_THAT(Take(), ElementsAre("create", "append", "a", "b"));
  EXPECT_TRUE(queue_.empty());
}

TEST_F(CommandQueueTest, ATinyJobWaitsForNoListHoweverLong) {
  for (int i = 0; i < 10'000; ++i) Push(absl::StrCat("huge ", i), "huge", 40'000);
  for (int i = 0; i < 10'000; ++i) Push(absl::StrCat("large ", i), "large", 40'000);
  Push("create", "tiny");
  Push("append", "tiny");
  Push("acquire");
  const std::vector<std::string> batch = Take();
  EXPECT_THAT(batch, Contains("create"));
  EXPECT_THAT(batch, Contains("append"));
  EXPECT_THAT(batch, Contains("acquire"));
  EXPECT_LE(batch.size(), kMaxListBytes / 40'000 + 4);
  // The others share what there is.
  Push("finish", "tiny");
  EXPECT_THAT(Take(), Contains("finish"));
}

TEST_F(CommandQueueTest, EachListKeepsItsOrder) {
  for (int i = 0; i < 1000; ++i) {
    for (const char* job : {"a", "b", "c"}) Push(absl::StrCat(job, i), job);
  }
  std::map<char, int> next;
  while (!queue_.empty()) {
    for (const std::string& name : Take()) EXPECT_EQ(name.substr(1), absl::StrCat(next[name[0]]++));
  }
  EXPECT_EQ(next['a'] + next['b'] + next['c'], 3000);
}

TEST_F(CommandQueueTest, ListsGoOnWhateverElseIsAsked) {
  for (int i = 0; i < 5000; ++i) Push("commit");
  for (int i = 0; i < 1000; ++i) Push("append", "job");
  const std::vector<std::string> batch = Take();
  EXPECT_EQ(std::count(batch.begin(), batch.end(), "append"), static_cast<ptrdiff_t>(kMaxListCommands));
  EXPECT_THAT(batch, SizeIs(kMaxBatchCommands));
}

TEST_F(CommandQueueTest, OneThatIsLargerThanABatchGoesAlone) {
  Push("large", "job", 2 * kMaxBatchBytes);
  Push("larger", "job", 3 * kMaxBatchBytes);
  EXPECT_THAT(Take(), ElementsAre("large"));
  EXPECT_THAT(Take(), ElementsAre("larger"));
}

TEST_F(CommandQueueTest, WhatIsToComeAfterAllWaitsForTheLists) {
  for (int i = 0; i < 300; ++i) Push("append", "job");
  Push("tick", "", 0, /*after_all=*/true);
  Push("commit");
  EXPECT_THAT(Take(), ::testing::Not(Contains("tick")));
  EXPECT_THAT(Take(), Contains("tick"));
}

}  // namespace
}  // namespace imgfleet::store
