// Who is told of which socket when: what is urgent can be asked for between any two events of the others.
#include "worker/fetch/poller.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

namespace imgfleet::fetch {
namespace {

class PollerTest : public testing::Test {
 protected:
  ~PollerTest() override {
    for (const auto& pair : pairs_) {
      close(pair[0]);
      close(pair[1]);
    }
  }

  // A socket with a byte to be read.
  int Ready() {
    std::array<int, 2> pair;
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
    EXPECT_EQ(write(pair[1], "x", 1), 1);
    pairs_.push_back(pair);
    return pair[0];
  }
  std::vector<int> Wait() {
    std::vector<int> told;
    poller_.Wait(0, [&](int fd, Poller::Kind, uint32_t) { told.push_back(fd); });
    std::sort(told.begin(), told.end());
    return told;
  }
  std::vector<int> TakeUrgent() {
    std::vector<int> told;
    poller_.TakeUrgent([&](int fd, Poller::Kind, uint32_t) { told.push_back(fd); });
    return told;
  }

  Poller poller_;
  std::vector<std::array<int, 2>> pairs_;
};

TEST_F(PollerTest, WaitTellsOfAllAndTakeUrgentOfUrgentOnesAlone) {
  const int other = Ready(), urgent = Ready();
  poller_.Watch(other, Poller::Kind::kCurl, EPOLLIN);
  poller_.Watch(urgent, Poller::Kind::kCurl, EPOLLIN, /*urgent=*/true);
  EXPECT_EQ(Wait(), (std::vector<int>{other, urgent}));
  EXPECT_EQ(TakeUrgent(), (std::vector<int>{urgent}));
}

TEST_F(PollerTest, WhatIsUrgentIsHadBetweenTwoEventsOfOthers) {
  for (int i = 0; i < 100; ++i) poller_.Watch(Ready(), Poller::Kind::kCurl, EPOLLIN);
  const int urgent = Ready();
  int told = 0, told_before_urgent = -1;
  poller_.Wait(0, [&](int fd, Poller::Kind, uint32_t) {
    ++told;
    if (told == 1) poller_.Watch(urgent, Poller::Kind::kCurl, EPOLLIN, /*urgent=*/true);
    poller_.TakeUrgent([&](int fd, Poller::Kind, uint32_t) {
      EXPECT_EQ(fd, urgent);
      if (told_before_urgent < 0) told_before_urgent = told;
    });
    EXPECT_NE(fd, urgent);
  });
  EXPECT_EQ(told_before_urgent, 1);
  EXPECT_EQ(told, 100);
}

TEST_F(PollerTest, ASocketChangesSidesWithItsRequest) {
  const int fd = Ready();
  poller_.Watch(fd, Poller::Kind::kCurl, EPOLLIN);
  poller_.Watch(fd, Poller::Kind::kCurl, 0);
  poller_.Watch(fd, Poller::Kind::kCurl, EPOLLIN, /*urgent=*/true);
  EXPECT_EQ(Wait(), (std::vector<int>{fd}));
  EXPECT_EQ(TakeUrgent(), (std::vector<int>{fd}));
  poller_.Watch(fd, Poller::Kind::kCurl, 0);
  poller_.Watch(fd, Poller::Kind::kCurl, EPOLLIN);
  EXPECT_EQ(TakeUrgent(), (std::vector<int>{}));
  EXPECT_EQ(Wait(), (std::vector<int>{fd}));
}

TEST_F(PollerTest, WhatIsWatchedNoMoreIsToldOfNoMore) {
  for (const bool urgent : {false, true}) {
    const int fd = Ready();
    poller_.Watch(fd, Poller::Kind::kCurl, EPOLLIN, urgent);
    poller_.Watch(fd, Poller::Kind::kCurl, 0);
    EXPECT_EQ(Wait(), (std::vector<int>{}));
    EXPECT_EQ(Wait(), (std::vector<int>{}));
    EXPECT_EQ(TakeUrgent(), (std::vector<int>{}));
  }
}

TEST_F(PollerTest, AClosedSocketsNumberMeansAnother) {
  for (const bool urgent : {true, false, true}) {
    const int fd = Ready();
    poller_.Watch(fd, Poller::Kind::kCurl, EPOLLIN, urgent);
    EXPECT_EQ(Wait(), (std::vector<int>{fd}));
    EXPECT_EQ(TakeUrgent().size(), urgent ? 1u : 0u);
    close(pairs_.back()[0]);
    close(pairs_.back()[1]);
    pairs_.pop_back();
    poller_.Forget(fd);
  }
}

}  // namespace
}  // namespace imgfleet::fetch
