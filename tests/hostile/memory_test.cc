// Items whose bodies wait for memory that others hold: each waits once, and what its origin goes on sending meanwhile
// harms neither it nor others.
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"
#include "tests/hostile/origin.h"
#include "worker/fetch/engine.h"
#include "worker/fetch/reading.h"
#include "worker/fetch/testing/harness.h"

namespace imgfleet::hostile {
namespace {

constexpr uint64_t kMemory = 4 << 20;
constexpr uint64_t kNever = 1 << 30;

// Wants more than there is, and says when more has come than it may hold without a reservation.
class Holder final : public fetch::Client {
 public:
  Holder(std::string url, absl::Notification* holds) : url_(std::move(url)), holds_(holds) {}
  std::future<fetch::Report> report() { return promise_.get_future(); }

  const std::string& url() const override { return url_; }
  fetch::Verdict Inspect(const fetch::Arrived& arrived) override {
    if (arrived.total.has_value()) return {fetch::Verdict::kStop};
    if (arrived.prefix.size() <= fetch::kFreeBytes) return {fetch::Verdict::kMore, fetch::kFreeBytes, 1};
    if (!holds_->HasBeenNotified()) holds_->Notify();
    return {fetch::Verdict::kMore, kNever, 0};
  }
  void Finish(fetch::Report report) override { promise_.set_value(std::move(report)); }
  bool Abandoned() const override { return false; }

 private:
  const std::string url_;
  absl::Notification* const holds_;
  std::promise<fetch::Report> promise_;
};

// Counts up, and is waited for.
class Count {
 public:
  void Add() {
    absl::MutexLock lock(&mutex_);
    ++count_;
  }
  bool Reaches(int count, absl::Duration patience) {
    absl::MutexLock lock(&mutex_);
    auto reached = [this, count] {
      mutex_.AssertReaderHeld();
      return count_ >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&reached), patience);
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

const Case& Known(absl::string_view name) {
  for (const Case& one : AllCases()) {
    if (one.name == name) return one;
  }
  std::abort();
}

class MemoryTest : public testing::Test {
 protected:
  MemoryTest() {
    holder_ = {.name = "holder", .sends = "", .ends = {}, .guard = "", .converse = [this](Peer& peer) {
                 if (!peer.Read()) return;
                 peer.Send(absl::StrCat(Head("200 OK"), std::string(fetch::kFreeBytes + 100'000, 'x')));
                 release_.WaitForNotification();
               }};
  }

  void Start(std::vector<Case> cases) {
    cases.push_back(holder_);
    origin_ = std::make_unique<HostileOrigin>(std::move(cases));
    fetch::Options options = fetch::TestOptions();
    options.byte_budget = kMemory;
    options.ca_file = origin_->ca_file();
    engine_ = fetch::MakeEngine(std::move(options));
  }
  // All of the budget is one item's from now on, until it is released.
  std::future<fetch::Report> Hold() {
    absl::Notification holds;
    auto client = std::make_unique<Holder>(origin_->Url("holder"), &holds);
    std::future<fetch::Report> report = client->report();
    std::vector<fetch::Request> requests;
    requests.push_back({std::move(client), limits_});
    engine_->Submit(std::move(requests));
    holds.WaitForNotification();
    return report;
  }
  std::future<fetch::Report> Submit(const std::string& url, uint64_t want) {
    return fetch::Submit(*engine_, url, want, limits_);
  }

  fetch::Limits limits_{.attempt_timeout = absl::Seconds(20), .max_attempts = 1, .max_body_bytes = kMemory};
  // Before the origin, whose threads use them.
  absl::Notification release_;
  Count let_go_, asked_;
  std::atomic<int> requests_ = 0;
  Case holder_;
  std::unique_ptr<HostileOrigin> origin_;
  std::unique_ptr<fetch::Engine> engine_;
};

TEST_F(MemoryTest, AFloodThatIsLetGoForWantOfMemoryIsNotComeBackTo) {
  constexpr int kFloods = 8;
  std::vector<Case> cases;
  for (int i = 0; i < kFloods; ++i) {
    cases.push_back(Known("http2-body-without-end"));
    cases.back().name = absl::StrCat("flood-", i);
    cases.back().converse = [this, converse = cases.back().converse](Peer& peer) {
      converse(peer);
      let_go_.Add();
    };
  }
  Start(std::move(cases));
  auto held = Hold();
  std::vector<std::future<fetch::Report>> floods;
  for (int i = 0; i < kFloods; ++i) floods.push_back(Submit(origin_->Url(absl::StrCat("flood-", i)), kNever));
  EXPECT_TRUE(let_go_.Reaches(kFloods, absl::Seconds(5)));
  release_.Notify();
  EXPECT_EQ(held.get().failure, fetch::Failure::kNone);
  for (auto& flood : floods) {
    const fetch::Report report = flood.get();
    EXPECT_EQ(report.failure, fetch::Failure::kBodyTooLarge) << report.message;
  }
}

TEST_F(MemoryTest, WhoeverWaitedIsAskedForOnceMoreAndNoOftener) {
  constexpr int kItems = 8;
  std::vector<Case> cases;
  for (int i = 0; i < kItems; ++i) {
    cases.push_back(Known("picture"));
    cases.back().name = absl::StrCat("body-", i);
    cases.back().converse = Replies([this](const Request&, Peer& peer) {
      const int request = ++requests_;
      asked_.Add();
      const std::string half(500'000, 'x');
      peer.Send(absl::StrCat(Head("200 OK", {"Transfer-Encoding: chunked"}), Chunk(half)));
      // Time for others to be let on as well, should they be.
      if (request > kItems) asked_.Reaches(request + 1, absl::Milliseconds(50));
      return Chunked(half);
    });
  }
  Start(std::move(cases));
  auto held = Hold();
  std::vector<std::future<fetch::Report>> bodies;
  for (int i = 0; i < kItems; ++i) bodies.push_back(Submit(origin_->Url(absl::StrCat("body-", i)), 900'000));
  EXPECT_TRUE(asked_.Reaches(kItems, absl::Seconds(20)));
  release_.Notify();
  EXPECT_EQ(held.get().failure, fetch::Failure::kNone);
  for (auto& body : bodies) {
    const fetch::Report report = body.get();
    EXPECT_EQ(report.failure, fetch::Failure::kNone) << report.message;
    EXPECT_EQ(report.size_bytes, 1'000'000u);
    EXPECT_EQ(report.attempts, 1u);
  }
  EXPECT_LE(requests_, 2 * kItems);
}

// One connection, one answer without end, and nothing for the others that share it. Whoever comes later is asked for over
// HTTP/1.1, where the origin is honest. Which of them share a connection is libcurl's to choose, so it is tried until some
// did.
TEST_F(MemoryTest, WhoSharesAConnectionWithAFloodEndsByIt) {
  Case flooding = Known("http2-body-without-end");
  flooding.converse = [flood = flooding.converse](Peer& peer) {
    const unsigned char* agreed = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(peer.tls(), &agreed, &size);
    if (size > 0) return flood(peer);
    while (peer.Read() && peer.Send(Whole("200 OK", {}, Picture()))) continue;
  };
  release_.Notify();
  int answered = 0, starved = 0;
  for (int round = 0; round < 30 && (answered == 0 || starved == 0); ++round) {
    engine_ = nullptr;
    Start({flooding});
    std::vector<std::future<fetch::Report>> items;
    for (int i = 0; i < 8; ++i) {
      items.push_back(Submit(absl::StrCat(origin_->Url("http2-body-without-end"), "?", i), kNever));
    }
    for (auto& item : items) {
      const fetch::Report report = item.get();
      EXPECT_LT(report.total, absl::Seconds(10)) << report.message;
      answered += report.failure == fetch::Failure::kBodyTooLarge;
      if (report.failure == fetch::Failure::kBodyTooLarge || report.failure == fetch::Failure::kNone)
        continue;
      ++starved;
      EXPECT_EQ(report.failure, fetch::Failure::kProtocol) << report.message;
      EXPECT_EQ(report.message, "the origin kept the connection busy without going on with its answer");
    }
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(starved, 0);
}

}  // namespace
}  // namespace imgfleet::hostile
