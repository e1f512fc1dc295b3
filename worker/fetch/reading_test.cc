#include "worker/fetch/reading.h"
#include "worker/fetch/testing/gzip.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace imgfleet::fetch {
namespace {

using Next = Reading::Next;
using Flow = Reading::Flow;

// Wants every byte in `wants`, in this order, then has enough (or stops).
class Wanting final : public Client {
 public:
  explicit Wanting(std::vector<uint64_t> wants, Verdict::Kind end = Verdict::kEnough)
      : wants_(wants), end_(end) {}
  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived& arrived) override {
    ++looks;
    for (const uint64_t want : wants_) {
      const bool in_piece =
          want >= arrived.piece_offset && want < arrived.piece_offset + arrived.piece.size();
      if (want < arrived.prefix.size() || in_piece) continue;
      if (arrived.total.has_value() && want >= *arrived.total) return {Verdict::kStop};
      return {Verdict::kMore, want, 0};
    }
    seen = std::string(arrived.prefix);
    return {end_};
  }
  void Finish(Report) override {}
  bool Abandoned() const override { return false; }

  int looks = 0;
  std::string seen;

 private:
  std::string url_;
  std::vector<uint64_t> wants_;
  Verdict::Kind end_;
};

ResponseHead Head(const std::vector<std::string>& lines) {
  ResponseHead head;
  for (const std::string& line : lines) head.Add(line + "\r\n");
  head.Add("\r\n");
  return head;
}

// An origin in memory that the reading is played against.
class ReadingTest : public testing::Test {
 protected:
  void Begin(Client& client) { reading_.Begin(&client, &limits_, &budget_); }
  // Answers ask() with 206 from `file`.
  Next Serve(const std::string& file, const std::string& etag = "") {
    const Ask& ask = reading_.ask();
    asks_.push_back({ask.first, ask.last});
    const uint64_t last = std::min<uint64_t>(ask.last, file.size() - 1);
    std::vector<std::string> lines = {
        "HTTP/1.1 206 Partial Content",
        absl::StrCat("Content-Range: bytes ", ask.first, "-", last, "/", file.size())};
    if (!etag.empty()) lines.push_back("ETag: " + etag);
    if (reading_.OnHead(Head(lines)) == Flow::kBreakOff) return reading_.OnEnd(false);
    Send(file.substr(ask.first, last - ask.first + 1));
    return reading_.OnEnd(true);
  }
  // Feeds a body in network-sized pieces; returns the bytes taken before it was broken off.
  size_t Send(const std::string& body) {
    for (size_t at = 0; at < body.size(); at += 1400) {
      if (reading_.OnBody(absl::string_view(body).substr(at, 1400)) == Flow::kBreakOff) return at;
    }
    return body.size();
  }

  Limits limits_;
  ByteBudget budget_{64 << 20};
  Reading reading_;
  std::vector<std::pair<uint64_t, uint64_t>> asks_;
};

TEST_F(ReadingTest, FirstRangeSuffices) {
  Wanting client({0, 200});
  Begin(client);
  EXPECT_EQ(Serve(std::string(100'000, 'x')), Next::kDone);
  EXPECT_EQ(reading_.size(), 100'000u);
  EXPECT_EQ(reading_.size_source(), SizeSource::kContentRange);
  EXPECT_EQ(client.looks, 1);
}

TEST_F(ReadingTest, PrefixGrowsThenJumps) {
  Wanting client({20'000, 100'000, 3'000'000});
  Begin(client);
  const std::string file(4'000'000, 'x');
  EXPECT_EQ(Serve(file, "\"v1\""), Next::kAsk);
  EXPECT_EQ(reading_.ask().if_range, "\"v1\"");
  EXPECT_EQ(Serve(file, "\"v1\""), Next::kAsk);
  EXPECT_EQ(Serve(file, "\"v1\""), Next::kAsk);
  EXPECT_EQ(Serve(file, "\"v1\""), Next::kDone);
  const std::vector<std::pair<uint64_t, uint64_t>> expected = {
      {0, 12287}, {12288, 12287 + 65536}, {77824, 77823 + 262144}, {3'000'000, 3'016'383}};
  EXPECT_EQ(asks_, expected);
}

// Needs 16 bytes at each of these places in turn, as a walk over boxes does, and all of those behind the prefix at once:
// what is asked for begins where the piece is used first.
class Walking final : public Client {
 public:
  explicit Walking(std::vector<uint64_t> places) : places_(std::move(places)) {}
  const std::string& url() const override { return url_; }
  Verdict Inspect(const Arrived& arrived) override {
    constexpr uint64_t kBytes = 16;
    uint64_t used = UINT64_MAX;
    for (const uint64_t place : places_) {
      if (place + kBytes <= arrived.prefix.size()) continue;
      const bool in_piece =
          place >= arrived.piece_offset && place + kBytes <= arrived.piece_offset + arrived.piece.size();
      const uint64_t begin = std::max<uint64_t>(std::min(used, place), arrived.prefix.size());
      if (!in_piece) return {Verdict::kMore, begin, place + kBytes - begin};
      used = begin;
    }
    return {Verdict::kEnough};
  }
  void Finish(Report) override {}
  bool Abandoned() const override { return false; }

 private:
  std::string url_;
  const std::vector<uint64_t> places_;
};

TEST_F(ReadingTest, APieceGrowsToThePlacesBehindIt) {
  Walking client({0, 400'000, 800'000, 3'000'000});
  Begin(client);
  const std::string file(4'000'000, 'x');
  Next next;
  while ((next = Serve(file)) == Next::kAsk) ASSERT_LT(asks_.size(), 10u);
  EXPECT_EQ(next, Next::kDone) << reading_.message();
  const std::vector<std::pair<uint64_t, uint64_t>> expected = {
      {0, 12287},           {400'000, 416'383},     {416'384, 800'015},
      {800'016, 1'848'591}, {1'848'592, 2'897'167}, {2'897'168, 3'000'015}};
  EXPECT_EQ(asks_, expected);
}

TEST_F(ReadingTest, WhatLiesInTooManyPlacesIsReadAsAWhole) {
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < 80; ++i) places.push_back(i << 20);
  Walking client(std::move(places));
  limits_.max_body_bytes = 100 << 20;
  Begin(client);
  const std::string file(80 << 20, 'x');
  while (Serve(file) == Next::kAsk && reading_.ask().ranged) ASSERT_LE(asks_.size(), 64u);
  EXPECT_EQ(asks_.size(), 64u);
  ASSERT_FALSE(reading_.ask().ranged);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", absl::StrCat("Content-Length: ", file.size())}));
  Send(file);
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone) << reading_.message();
  EXPECT_EQ(reading_.size(), file.size());
}

TEST_F(ReadingTest, ALastModifiedIsTheSecondBestValidator) {
  Wanting client({20'000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 206 x", "Content-Range: bytes 0-12287/99999", "ETag: W/\"weak\"",
                        "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"}));
  Send(std::string(12288, 'x'));
  EXPECT_EQ(reading_.OnEnd(true), Next::kAsk);
  EXPECT_EQ(reading_.ask().if_range, "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST_F(ReadingTest, AChangedFileStartsOver) {
  Wanting client({20'000});
  Begin(client);
  EXPECT_EQ(Serve(std::string(50'000, 'a'), "\"v1\""), Next::kAsk);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 40000", "ETag: \"v2\""}));
  EXPECT_EQ(Send(std::string(40'000, 'b')), 40'000u);
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
  EXPECT_EQ(reading_.size(), 40'000u);
  EXPECT_EQ(client.seen.find('a'), std::string::npos);
}

TEST_F(ReadingTest, AFileThatChangesUnderTheRangesIsAMismatch) {
  Wanting client({20'000});
  Begin(client);
  EXPECT_EQ(Serve(std::string(50'000, 'a'), "\"v1\""), Next::kAsk);
  EXPECT_EQ(Serve(std::string(50'000, 'b'), "\"v2\""), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kRangeMismatch);
  Begin(client);
  EXPECT_EQ(Serve(std::string(50'000, 'a')), Next::kAsk);
  EXPECT_EQ(Serve(std::string(50'001, 'b')), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kRangeMismatch);
}

TEST_F(ReadingTest, LyingRangesAreRefused) {
  for (const char* range :
       {"bytes 1-12287/99999", "bytes 0-12288/99999", "bytes 100-200/99999", "bytes 0-12287/100",
        "bytes */99999", "items 0-1/2", "bytes 5-1/99", "bytes -1-5/99", "nonsense"}) {
    Wanting client({0});
    Begin(client);
    EXPECT_EQ(reading_.OnHead(Head({"HTTP/1.1 206 x", absl::StrCat("Content-Range: ", range)})),
              Flow::kBreakOff);
    EXPECT_EQ(reading_.OnEnd(false), Next::kFailed) << range;
    EXPECT_EQ(reading_.failure(), Failure::kRangeMismatch) << range;
  }
  Wanting client({0});
  Begin(client);
  EXPECT_EQ(reading_.OnHead(Head({"HTTP/1.1 206 x"})), Flow::kBreakOff);
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 206 x", "Content-Range: bytes 0-9/100", "Transfer-Encoding: chunked"}));
  EXPECT_EQ(reading_.OnBody("0123456789X"), Flow::kBreakOff);
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kRangeMismatch);
}

TEST_F(ReadingTest, IgnoredRangeIsBrokenOffOnceEnoughHasCome) {
  Wanting client({5000});
  Begin(client);
  EXPECT_EQ(reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 500000"})), Flow::kGoOn);
  EXPECT_LT(Send(std::string(500'000, 'x')), 12'000u);
  EXPECT_EQ(reading_.OnEnd(false), Next::kDone);
  EXPECT_EQ(reading_.size(), 500'000u);
  EXPECT_EQ(reading_.size_source(), SizeSource::kContentLength);
}

TEST_F(ReadingTest, AShortRestIsDrained) {
  Wanting client({5000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 50000"}));
  EXPECT_EQ(Send(std::string(50'000, 'x')), 50'000u);
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
  EXPECT_EQ(reading_.size_source(), SizeSource::kBody);
  EXPECT_LT(client.seen.size(), 12'000u);
}

TEST_F(ReadingTest, WithoutALengthTheBodyIsCountedToItsEnd) {
  Wanting client({5000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}));
  EXPECT_EQ(Send(std::string(500'000, 'x')), 500'000u);
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
  EXPECT_EQ(reading_.size(), 500'000u);
  EXPECT_EQ(reading_.size_source(), SizeSource::kBody);
}

TEST_F(ReadingTest, NoSizeIsOwedToWhatIsNoImage) {
  Wanting client({100}, Verdict::kStop);
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}));
  EXPECT_LT(Send(std::string(500'000, 'x')), 80'000u);
  EXPECT_EQ(reading_.OnEnd(false), Next::kDone);
}

TEST_F(ReadingTest, TheBodyLimitCountsWhatIsRead) {
  limits_.max_body_bytes = 100'000;
  Wanting client({5000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"}));
  EXPECT_LT(Send(std::string(500'000, 'x')), 102'000u);
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kBodyTooLarge);
  // Announced, but its header suffices.
  Begin(client);
  EXPECT_EQ(Serve(std::string(500'000, 'x')), Next::kDone);
}

TEST_F(ReadingTest, EncodedBodiesAreInflatedAndCountedDecoded) {
  std::string raw;
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&raw, i, " ");
  Wanting client({5000});
  Begin(client);
  // The origin honours the range of the encoded body first: of no use.
  reading_.OnHead(Head({"HTTP/1.1 206 x", "Content-Range: bytes 0-12287/99999", "Content-Encoding: gzip"}));
  Send(std::string(12288, 'x'));
  EXPECT_EQ(reading_.OnEnd(true), Next::kAsk);
  EXPECT_FALSE(reading_.ask().ranged);
  const std::string encoded = Gzip(raw);
  reading_.OnHead(
      Head({"HTTP/1.1 200 OK", "Content-Encoding: gzip", absl::StrCat("Content-Length: ", encoded.size())}));
  EXPECT_EQ(Send(encoded), encoded.size());
  EXPECT_EQ(reading_.OnEnd(true), Next::kDone);
  EXPECT_EQ(reading_.size(), raw.size());
  EXPECT_EQ(client.seen, raw.substr(0, client.seen.size()));
  // Cut in the middle.
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Encoding: gzip"}));
  Send(encoded.substr(0, encoded.size() / 2));
  EXPECT_EQ(reading_.OnEnd(true), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kProtocol);
}

TEST_F(ReadingTest, AGzipBombStopsAtTheLimit) {
  limits_.max_body_bytes = 1 << 20;
  Wanting client({5000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Encoding: gzip"}));
  const std::string bomb = Gzip(std::string(64 << 20, '\0'));
  EXPECT_LT(Send(bomb), bomb.size());
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kBodyTooLarge);
}

TEST_F(ReadingTest, EmptyBodiesInEveryDisguise) {
  for (const std::vector<std::string>& lines :
       std::vector<std::vector<std::string>>{{"HTTP/1.1 200 OK", "Content-Length: 0"},
                                             {"HTTP/1.1 200 OK", "Transfer-Encoding: chunked"},
                                             {"HTTP/1.1 200 OK", "Content-Encoding: gzip"},
                                             {"HTTP/1.1 204 No Content"},
                                             {"HTTP/1.1 416 x", "Content-Range: bytes */0"}}) {
    Wanting client({0});
    Begin(client);
    reading_.OnHead(Head(lines));
    EXPECT_EQ(reading_.OnEnd(true), Next::kFailed) << lines[0];
    EXPECT_EQ(reading_.failure(), Failure::kEmptyBody) << lines[0];
  }
}

TEST_F(ReadingTest, ARefusedFirstRangeIsAskedForWhole) {
  Wanting client({10});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 416 x"}));
  EXPECT_EQ(reading_.OnEnd(true), Next::kAsk);
  EXPECT_FALSE(reading_.ask().ranged);
  reading_.OnHead(Head({"HTTP/1.1 416 x"}));
  EXPECT_EQ(reading_.OnEnd(true), Next::kFailed);
}

TEST_F(ReadingTest, BrokenOffBodiesAreNoBodies) {
  Wanting client({100'000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 200000"}));
  Send(std::string(50'000, 'x'));
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kProtocol);
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 206 x", "Content-Range: bytes 0-12287/99999"}));
  Send(std::string(100, 'x'));
  EXPECT_EQ(reading_.OnEnd(false), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kProtocol);
}

TEST_F(ReadingTest, ASpentBudgetMakesItWait) {
  Reservation held;
  ASSERT_TRUE(budget_.TryReserve(60 << 20, &held));
  Wanting client({1'000'000});
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 5000000"}));
  EXPECT_LT(Send(std::string(1'000'000, 'x')), kFreeBytes + 1400);
  EXPECT_EQ(reading_.OnEnd(false), Next::kWaitForMemory);
  held.ShrinkTo(0);
  Begin(client);
  reading_.OnHead(Head({"HTTP/1.1 200 OK", "Content-Length: 5000000"}));
  Send(std::string(900'000, 'x'));
  EXPECT_FALSE(budget_.TryReserve(60 << 20, &held));
  Send(std::string(1'300'000, 'x'));
  EXPECT_EQ(reading_.OnEnd(false), Next::kDone);
  reading_.Release();
  EXPECT_TRUE(budget_.TryReserve(64 << 20, &held));
}

// A client that asks again for what it has would go on for ever.
TEST_F(ReadingTest, AClientThatDoesNotGetOnIsStopped) {
  class Stuck final : public Client {
   public:
    const std::string& url() const override { return url_; }
    Verdict Inspect(const Arrived&) override { return {Verdict::kMore, 0, 0}; }
    void Finish(Report) override {}
    bool Abandoned() const override { return false; }

   private:
    std::string url_;
  } client;
  Begin(client);
  EXPECT_EQ(Serve(std::string(50'000, 'x')), Next::kFailed);
  EXPECT_EQ(reading_.failure(), Failure::kInternal);
}

}  // namespace
}  // namespace imgfleet::fetch
