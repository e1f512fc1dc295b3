// Clients that want a whole body: how its bytes reach them, and what of it is held.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/reading.h"
#include "worker/fetch/testing/gzip.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Next = Reading::Next;
using Flow = Reading::Flow;
using Answer = ScriptedOrigin::Answer;

// Has seen enough with the byte `want`, or stops there.
class Reader final : public Client {
 public:
  Reader(Extent extent, uint64_t want, Verdict::Kind end = Verdict::kEnough, std::string url = "")
      : extent_(extent), want_(want), end_(end), url_(std::move(url)) {}
  std::future<Report> report() { return promise_.get_future(); }

  const std::string& url() const override { return url_; }
  Extent extent() const override { return extent_; }
  void StartBody() override {
    ++starts;
    got.clear();
  }
  void OnBytes(absl::string_view bytes) override {
    absl::StrAppend(&got, bytes);
    if (heard != nullptr) *heard = got;
  }
  Verdict Inspect(const Arrived& arrived) override {
    EXPECT_EQ(arrived.prefix, absl::string_view(got).substr(0, arrived.prefix.size()));
    if (want_ < arrived.prefix.size()) return {end_};
    if (arrived.total.has_value() && want_ >= *arrived.total) return {Verdict::kStop};
    return {Verdict::kMore, want_, 1};
  }
  void Finish(Report report) override { promise_.set_value(std::move(report)); }
  bool Abandoned() const override { return false; }

  int starts = 0;
  std::string got;
  std::string* heard = nullptr;

 private:
  const Extent extent_;
  const uint64_t want_;
  const Verdict::Kind end_;
  const std::string url_;
  std::promise<Report> promise_;
};

std::string Body(size_t size) {
  std::string body;
  for (uint32_t i = 0; body.size() < size; ++i) absl::StrAppend(&body, i, ",");
  body.resize(size);
  return body;
}

class WholeBodyTest : public testing::Test {
 protected:
  Flow Begin(Client& client, std::vector<std::string> lines) {
    reading_.Begin(&client, &limits_, &budget_);
    EXPECT_FALSE(reading_.ask().ranged);
    ResponseHead head;
    head.Add("HTTP/1.1 200 OK\r\n");
    for (const std::string& line : lines) head.Add(line + "\r\n");
    head.Add("\r\n");
    return reading_.OnHead(head);
  }
  // Feeds a body in pieces; returns the bytes taken before it was broken off.
  size_t Send(const std::string& body, size_t piece = 16'000) {
    for (size_t at = 0; at < body.size(); at += piece) {
      if (reading_.OnBody(absl::string_view(body).substr(at, piece)) == Flow::kBreakOff) return at;
    }
    return body.size();
  }
  uint64_t reserved() const { return budget_.size() - budget_.free(); }

  Limits limits_;
  ByteBudget budget_{64 << 20};
  Reading reading_;
};

TEST_F(WholeBodyTest, EveryByteIsHandedOnOnceAndInOrder) {
  const std::string body = Body(3'000'000);
  for (const uint64_t want : {0, 100, 4095, 4096, 20'000, 2'999'999}) {
    for (const size_t piece : {1'000, 16'000, 3'000'000}) {
      for (const Extent extent : {Extent::kWhole, Extent::kWholeKept}) {
        Reader client(extent, want);
        Begin(client, {"Content-Length: 3000000"});
        EXPECT_EQ(Send(body, piece), body.size());
        ASSERT_EQ(reading_.OnEnd(true), Next::kDone);
        EXPECT_TRUE(client.got == body) << want << " " << piece;
        EXPECT_EQ(client.starts, 1);
        Report report;
        reading_.HandOver(&report);
        EXPECT_EQ(report.size_bytes, body.size());
        EXPECT_EQ(report.size_source, SizeSource::kBody);
        EXPECT_TRUE(report.body == (extent == Extent::kWholeKept ? body : ""));
      }
    }
  }
}

TEST_F(WholeBodyTest, WithoutALengthAndEncoded) {
  const std::string body = Body(700'000);
  for (const Extent extent : {Extent::kWhole, Extent::kWholeKept}) {
    Reader chunked(extent, 5'000);
    Begin(chunked, {"Transfer-Encoding: chunked"});
    Send(body);
    EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
    EXPECT_TRUE(chunked.got == body);
    for (const uint64_t want : {5'000, 500'000}) {
      Reader encoded(extent, want);
      Begin(encoded, {"Content-Encoding: gzip"});
      Send(Gzip(body), 5'000);
      EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
      EXPECT_TRUE(encoded.got == body);
      EXPECT_EQ(reading_.size(), body.size());
    }
  }
}

TEST_F(WholeBodyTest, ABodyThatBreaksOffIsAFailureThoughItsHeadWasUnderstood) {
  for (const uint64_t want : {100, 90'000}) {
    Reader client(Extent::kWhole, want);
    Begin(client, {"Content-Length: 100000"});
    Send(Body(99'999));
    EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
    EXPECT_EQ(reading_.failure(), Failure::kProtocol);
  }
  Reader client(Extent::kWhole, 100);
  Begin(client, {"Content-Encoding: gzip"});
  const std::string encoded = Gzip(Body(100'000));
  Send(encoded.substr(0, encoded.size() - 9));
  EXPECT_EQ(reading_.OnEnd(true), Next::kFailed);
}

TEST_F(WholeBodyTest, NothingMoreIsReadOfWhatIsNotWanted) {
  Reader client(Extent::kWhole, 100, Verdict::kStop);
  Begin(client, {"Content-Length: 3000000"});
  EXPECT_LT(Send(Body(3'000'000)), 20'000u);
  EXPECT_EQ(reading_.OnEnd(false), Next::kDone);
  EXPECT_LT(client.got.size(), 20'000u);
}

TEST_F(WholeBodyTest, TooLargeABodyIsRefusedByItsHeadOrOnTheWay) {
  limits_.max_body_bytes = 100'000;
  Reader client(Extent::kWhole, 100);
  EXPECT_EQ(Begin(client, {"Content-Length: 100001"}), Flow::kBreakOff);
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kBodyTooLarge);
  Begin(client, {"Transfer-Encoding: chunked"});
  EXPECT_LT(Send(Body(200'000)), 110'000u);
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kBodyTooLarge);
}

TEST_F(WholeBodyTest, PartsAreNoAnswer) {
  for (const char* status : {"HTTP/1.1 206 x\r\n", "HTTP/1.1 416 x\r\n"}) {
    Reader client(Extent::kWhole, 100);
    reading_.Begin(&client, &limits_, &budget_);
    ResponseHead head;
    head.Add(status);
    head.Add("Content-Range: bytes 0-9/10\r\n");
    head.Add("\r\n");
    EXPECT_EQ(reading_.OnHead(head), Flow::kBreakOff);
    EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
    EXPECT_EQ(reading_.failure(), Failure::kRangeMismatch);
  }
}

TEST_F(WholeBodyTest, OnlyTheBeginningThatIsLookedForIsHeld) {
  const std::string body = Body(8 << 20);
  Reader early(Extent::kWhole, 100'000);
  Begin(early, {absl::StrCat("Content-Length: ", body.size())});
  Send(body);
  EXPECT_EQ(reserved(), 0u);
  Reader late(Extent::kWhole, 1'000'000);
  Begin(late, {absl::StrCat("Content-Length: ", body.size())});
  Send(body.substr(0, 900'000));
  EXPECT_EQ(reserved(), body.size());
  Send(body.substr(900'000));
  EXPECT_EQ(reserved(), 0u) << "given back once the client has seen enough";
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
  EXPECT_TRUE(late.got == body);
}

TEST_F(WholeBodyTest, AKeptBodyCountsFromItsFirstByteUntilItsKeeperLetsGo) {
  Reader client(Extent::kWholeKept, 100);
  Begin(client, {"Content-Length: 5000"});
  EXPECT_EQ(reserved(), 5000u);
  Send(Body(5000));
  ASSERT_EQ(reading_.OnEnd(true), Next::kDone);
  Report report;
  reading_.HandOver(&report);
  reading_.Release();
  EXPECT_EQ(reserved(), 5000u);
  { const Reservation keeper = std::move(report.body_memory); }
  EXPECT_EQ(reserved(), 0u);
  // Of unknown length: what it may become, then what it is.
  limits_.max_body_bytes = 10 << 20;
  Begin(client, {"Transfer-Encoding: chunked"});
  EXPECT_EQ(reserved(), kFreeBytes);
  Send(Body(500'000));
  EXPECT_EQ(reserved(), limits_.max_body_bytes);
  ASSERT_EQ(reading_.OnEnd(true), Next::kDone);
  reading_.HandOver(&report);
  EXPECT_EQ(reserved(), 500'000u);
  // Spent.
  Reservation others;
  ASSERT_TRUE(budget_.TryReserve(60 << 20, &others));
  EXPECT_EQ(Begin(client, {"Content-Length: 9000000"}), Flow::kBreakOff);
  EXPECT_EQ(reading_.OnEnd(false), Next::kWaitForMemory);
}

// Through the engine: a retry starts over, redirects are followed, memory that is spent is waited for.
TEST(WholeBodyEngineTest, ARetryStartsOver) {
  const std::string body = Body(200'000);
  std::atomic<int> requests = 0;
  ScriptedOrigin origin([&](const ScriptedOrigin::Request& request) {
    EXPECT_EQ(request.range, "");
    const std::string whole = ScriptedOrigin::Http(200, {}, body);
    if (request.path == "/from") return Answer{ScriptedOrigin::Http(302, {"Location: /to"}, "moved")};
    return ++requests == 1 ? Answer{whole.substr(0, 150'000), Answer::kClose} : Answer{whole};
  });
  auto engine = Engine::Create(TestOptions()).value();
  auto client = std::make_unique<Reader>(Extent::kWhole, 10, Verdict::kEnough, origin.Url("/from"));
  std::string heard;
  client->heard = &heard;
  std::future<Report> future = client->report();
  std::vector<Request> batch;
  batch.push_back({std::move(client), Limits()});
  engine->Submit(std::move(batch));
  const Report report = future.get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.attempts, 2u);
  EXPECT_EQ(report.size_bytes, body.size());
  EXPECT_TRUE(heard == body);
}

TEST(WholeBodyEngineTest, KeptBodiesWaitForMemoryThatOthersHold) {
  const std::string body = Body(300'000);
  ScriptedOrigin origin(
      [&](const ScriptedOrigin::Request&) { return Answer{ScriptedOrigin::Http(200, {}, body)}; });
  Options options = TestOptions();
  options.byte_budget = 1 << 20;
  auto engine = Engine::Create(options).value();
  std::vector<std::future<Report>> reports;
  std::vector<Request> batch;
  for (int i = 0; i < 20; ++i) {
    auto client = std::make_unique<Reader>(Extent::kWholeKept, 10, Verdict::kEnough, origin.Url("/x"));
    reports.push_back(client->report());
    batch.push_back({std::move(client), Limits()});
  }
  engine->Submit(std::move(batch));
  // Whichever is ready: its share of the budget goes with its report, and others wait for that.
  for (size_t left = reports.size(), i = 0; left > 0; i = (i + 1) % reports.size()) {
    if (!reports[i].valid() ||
        reports[i].wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      continue;
    }
    --left;
    const Report report = reports[i].get();
    EXPECT_EQ(report.failure, Failure::kNone) << report.message;
    EXPECT_EQ(report.attempts, 1u);
    EXPECT_TRUE(report.body == body);
    EXPECT_EQ(report.body_memory.bytes(), body.size());
  }
}

}  // namespace
}  // namespace imgfleet::fetch
