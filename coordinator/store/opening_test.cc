#include "coordinator/store/opening.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/store/memory_store.h"

namespace imgfleet::store {
namespace {

using testing::HasSubstr;

constexpr Backoff kAtOnce{absl::ZeroDuration(), absl::ZeroDuration()};
constexpr Backoff kNever{absl::Hours(1), absl::Hours(1)};

class OpeningTest : public testing::Test {
 protected:
  // Tries end so, one after the other; the last one again and again.
  Opening::Open Failing(std::vector<absl::Status> tries) {
    return [this, tries = std::move(tries)]() -> absl::StatusOr<std::unique_ptr<Store>> {
      const absl::Status& status = tries[std::min<size_t>(tried_++, tries.size() - 1)];
      if (!status.ok()) return status;
      return NewMemoryStore(Clock::System());
    };
  }
  Opening::Opened Tell() {
    return [this](absl::StatusOr<std::unique_ptr<Store>> store) {
      ++told_;
      opened_.set_value(std::move(store));
    };
  }

  std::atomic<size_t> tried_ = 0;
  std::atomic<int> told_ = 0;
  std::promise<absl::StatusOr<std::unique_ptr<Store>>> opened_;
};

TEST_F(OpeningTest, GivesTheStoreOnceItIsThere) {
  log::Init("test", log::Level::kInfo);
  testing::internal::CaptureStderr();
  {
    Opening opening(
        "x",
        Failing({absl::UnavailableError("down at 10.0.0.1"), absl::UnavailableError("down at 10.0.0.2"),
                 absl::PermissionDeniedError("password"), absl::PermissionDeniedError("password"),
                 absl::OkStatus()}),
        Tell(), kAtOnce);
    const auto store = opened_.get_future().get();
    EXPECT_TRUE(store.ok()) << store.status();
  }
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(tried_, 5u);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 3) << log;
  EXPECT_THAT(log, HasSubstr("waiting for the store: down at 10.0.0.1"));
  EXPECT_THAT(log, HasSubstr("waiting for the store: password"));
  EXPECT_THAT(log, HasSubstr("the store is there"));
}

TEST_F(OpeningTest, SaysNothingOfAStoreThatIsThereAtOnce) {
  testing::internal::CaptureStderr();
  Opening opening("x", Failing({absl::OkStatus()}), Tell(), kNever);
  opening.AwaitFirst(absl::Hours(1));
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(OpeningTest, WhatNoWaitingMendsEndsIt) {
  Opening opening("x", Failing({absl::UnavailableError("down"), absl::FailedPreconditionError("newer")}),
                  Tell(), kAtOnce);
  EXPECT_TRUE(absl::IsFailedPrecondition(opened_.get_future().get().status()));
  opening.Stop();
  EXPECT_EQ(tried_, 2u);
  EXPECT_EQ(opening.why().message(), "newer");
}

TEST_F(OpeningTest, StoppedWhileItWaitsItIsNotHeardOfAgain) {
  Opening opening("x", Failing({absl::UnavailableError("down")}), Tell(), kNever);
  EXPECT_TRUE(absl::IsUnavailable(opening.why()));
  opening.AwaitFirst(absl::Hours(1));
  EXPECT_EQ(opening.why().message(), "down");
  opening.Stop();
  EXPECT_EQ(told_, 0);
}

TEST_F(OpeningTest, ATryThatHangsIsLeftBehind) {
  // All that the try uses outlives the test's objects.
  auto begun = std::make_shared<std::promise<void>>(), let_go = std::make_shared<std::promise<void>>();
  {
    Opening opening(
        "x",
        [begun, let_go]() -> absl::StatusOr<std::unique_ptr<Store>> {
          begun->set_value();
          let_go->get_future().wait();
          return NewMemoryStore(Clock::System());
        },
        [](auto) { FAIL() << "it was stopped"; }, kAtOnce);
    begun->get_future().wait();
    EXPECT_EQ(opening.why(), absl::UnavailableError("store x: it has not answered yet"));
  }
  let_go->set_value();
}

}  // namespace
}  // namespace imgfleet::store
