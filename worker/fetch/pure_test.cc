// The small pure units: targets, host map, response heads, the origin window.
#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "common/host_map.h"
#include "common/http/target.h"
#include "gtest/gtest.h"
#include "worker/fetch/origin_window.h"
#include "worker/fetch/response_head.h"
#include "worker/fetch/slots.h"

namespace imgfleet::fetch {
namespace {

std::string Parsed(const std::string& url) {
  http::Target target;
  if (!http::ParseTarget(url, &target).ok()) return "refused";
  return (target.https ? "s " : "p ") + target.host + " " + std::to_string(target.port) + " " +
         target.rewritten;
}

// Takes all it gets.
int Exhaust(Slots& slots) {
  int taken = 0;
  while (slots.TryTake()) ++taken;
  return taken;
}

TEST(Slots, OneLoopTakesNearlyAllAndNoneGoesWithout) {
  SlotPool pool(16, 4);
  Slots first(&pool), second(&pool), third(&pool);
  EXPECT_EQ(Exhaust(first), 13);
  EXPECT_EQ(Exhaust(second), 1);
  first.GiveBack();
  EXPECT_EQ(Exhaust(second), 1);
  EXPECT_EQ(Exhaust(first), 0);
  {
    Slots passing(&pool);
    EXPECT_EQ(Exhaust(passing), 1);
  }
  for (int i = 0; i < 12; ++i) first.GiveBack();
  EXPECT_EQ(Exhaust(third), 12);
}

TEST(Slots, ALoopAloneHasAllOfThem) {
  SlotPool pool(5, 1);
  Slots slots(&pool);
  EXPECT_EQ(Exhaust(slots), 5);
}

TEST(Slots, WhatIsUrgentHasSomeMoreThatNobodyElseTakes) {
  SlotPool pool(16, 2);
  Slots first(&pool), second(&pool);
  EXPECT_EQ(Exhaust(first), 14);
  EXPECT_EQ(Exhaust(second), 2);
  EXPECT_TRUE(first.TryTake(/*urgent=*/true));
  EXPECT_TRUE(second.TryTake(/*urgent=*/true));
  EXPECT_FALSE(first.TryTake(/*urgent=*/true));
  // What comes back is kept again first.
  first.GiveBack();
  EXPECT_EQ(Exhaust(first), 0);
  EXPECT_TRUE(second.TryTake(/*urgent=*/true));
  first.GiveBack();
  EXPECT_EQ(Exhaust(first), 1);
}

TEST(Target, TakesUrlsApart) {
  EXPECT_EQ(Parsed("http://example.com/a.jpg?x=1&y=%20"), "p example.com 80 ");
  EXPECT_EQ(Parsed("https://a-b.example.com:8443/"), "s a-b.example.com 8443 ");
  EXPECT_EQ(Parsed("http://127.0.0.1:81/x"), "p 127.0.0.1 81 ");
  EXPECT_EQ(Parsed("HTTP://Example.COM/A"), "p example.com 80 http://example.com/A");
  EXPECT_EQ(Parsed("http://example.com"), "p example.com 80 http://example.com/");
  EXPECT_EQ(Parsed("http://example.com/a b.jpg"), "p example.com 80 http://example.com/a%20b.jpg");
  EXPECT_EQ(Parsed("http://example.com/\xc3\xa9.jpg"), "p example.com 80 http://example.com/%c3%a9.jpg");
  EXPECT_EQ(Parsed("http://example.com/a#frag"), "p example.com 80 http://example.com/a");
  EXPECT_EQ(Parsed("http://b\xc3\xbc"
                   "cher.example/x")
                .substr(0, 24),
            "p xn--bcher-kva.example ");
  EXPECT_EQ(Parsed("http://[2001:DB8::0:1]:8080/x").substr(0, 18), "p 2001:db8::1 8080");
}

// However an address is spelt, it is recognised as one, so that it is judged and never looked up.
TEST(Target, SpellingsOfAddresses) {
  for (const char* spelling :
       {"127.0.0.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "0x7f000001", "127.1", "127.0.1",
        "017700000001", "0x7f.1", "127.0.0.01", "127.0.0.1.", "0x7f.1.", "0X7F.1", "%30x7f.1",
        "\xef\xbc\x90\xef\xbd\x98"
        "7f.1",
        "127\xef\xbd\xa1"
        "1"}) {
    EXPECT_EQ(Parsed(std::string("http://") + spelling + "/x").substr(0, 15), "p 127.0.0.1 80 ") << spelling;
  }
  EXPECT_EQ(Parsed("http://[::ffff:127.0.0.1]/").substr(0, 12), "p 127.0.0.1 ");
  EXPECT_EQ(Parsed("http://[::1]/").substr(0, 6), "p ::1 ");
  EXPECT_EQ(Parsed("http://user:pw@127.0.0.1:99/").substr(0, 14), "p 127.0.0.1 99");
  EXPECT_EQ(Parsed("http://127.1./x?y"), "p 127.0.0.1 80 http://127.0.0.1/x?y");
  // A number that is no address is nothing: neither a name, nor something to be read in another way.
  for (const char* spelling : {"127.0.0.256", "4294967296", "1.2.3.4.5", "08.0.0.1", "a.example.1", "a.0x1",
                               "127..1", "%2531.0.0.1", "a:1\n", "a: 1", "a:+1", "a b@c", "[::1%25lo]",
                               "[::1%lo]", "a\\@127.0.0.1", "127.0.0.1\\a.example"}) {
    EXPECT_EQ(Parsed(std::string("http://") + spelling + "/x"), "refused") << spelling;
  }
}

TEST(Target, RefusesWhatIsNoWebUrl) {
  for (const std::string& url :
       {std::string(), std::string("file:///etc/passwd"), std::string("ftp://example.com/"),
        std::string("http://"), std::string("http://a:99999/"), std::string("http://a:0/"),
        std::string("gopher://x/"), std::string("http://a\0b/", 11), std::string("http://a b/"),
        std::string("javascript:alert(1)"), std::string("http://a/\n"),
        "http://a/" + std::string(20'000, 'x')}) {
    EXPECT_EQ(Parsed(url), "refused") << url.substr(0, 40);
  }
}

TEST(Target, ResolvesReferences) {
  const std::string base = "http://a.example/dir/x.jpg?q#f";
  EXPECT_EQ(http::ResolveReference(base, "y.jpg").value(), "http://a.example/dir/y.jpg");
  EXPECT_EQ(http::ResolveReference(base, "/y.jpg").value(), "http://a.example/y.jpg");
  EXPECT_EQ(http::ResolveReference(base, "//b.example/y").value(), "http://b.example/y");
  EXPECT_EQ(http::ResolveReference(base, "https://b.example:8/y").value(), "https://b.example:8/y");
  EXPECT_EQ(http::ResolveReference(base, "file:///etc/passwd").value(), "file:///etc/passwd");
}

TEST(HostMap, ReadsItsEntries) {
  HostMap map;
  ASSERT_TRUE(map.Add("Images.example=127.0.0.1:8080").ok());
  ASSERT_TRUE(map.Add("images.example:443=[::1]:8443").ok());
  ASSERT_TRUE(map.Add("other=::1").ok());
  EXPECT_EQ(map.Find("images.example", 80)->port, 8080);
  EXPECT_EQ(map.Find("images.example", 443)->port, 8443);
  EXPECT_EQ(map.Find("images.example", 443)->address.ToString(), "::1");
  EXPECT_EQ(map.Find("other", 1)->port, 0);
  EXPECT_EQ(map.Find("nobody", 1), nullptr);
  for (const char* bad : {"", "x", "=1.2.3.4", "x=", "x=name", "x:0=1.2.3.4", "x=1.2.3.4:99999", "x=[::1]8",
                          "x:8 =1.2.3.4", "x:+8=1.2.3.4"}) {
    EXPECT_FALSE(map.Add(bad).ok()) << bad;
  }
}

TEST(ResponseHead, ReadsWhatFetchingActsOn) {
  ResponseHead head;
  for (const char* line : {"HTTP/1.1 100 Continue\r\n", "ETag: old\r\n"}) head.Add(line);
  EXPECT_EQ(head.Add("\r\n"), ResponseHead::Line::kMore);
  for (const char* line : {"HTTP/2 206 \r\n", "content-range:bytes 0-9/20\r\n", "CONTENT-LENGTH: 10\r\n",
                           "ETag: \"x\" \r\n", "Content-Type: image/png\r\n", "Retry-After: 7\r\n"}) {
    EXPECT_EQ(head.Add(line), ResponseHead::Line::kMore);
  }
  EXPECT_EQ(head.Add("\r\n"), ResponseHead::Line::kEnd);
  EXPECT_EQ(head.status, 206u);
  EXPECT_EQ(head.etag, "\"x\"");
  EXPECT_EQ(head.content_length, 10u);
  EXPECT_EQ(head.range->last, 9u);
  EXPECT_EQ(head.RetryAfter(absl::Now()), absl::Seconds(7));
}

// They are sent back in If-Range.
TEST(ResponseHead, NothingEndsAHeaderWithinAValidator) {
  ResponseHead head;
  head.Add("ETag: \"a\rX: y\"\r\n");
  head.Add("Last-Modified: Sun, 06\rNov\v1994\r\n");
  EXPECT_EQ(head.etag, "\"a X: y\"");
  EXPECT_EQ(head.last_modified, "Sun, 06 Nov 1994");
}

TEST(ResponseHead, RefusesConflictsAndFloods) {
  ResponseHead head;
  EXPECT_EQ(head.Add("Content-Length: 10\r\n"), ResponseHead::Line::kMore);
  EXPECT_EQ(head.Add("Content-Length: 10\r\n"), ResponseHead::Line::kMore);
  EXPECT_EQ(head.Add("Content-Length: 11\r\n"), ResponseHead::Line::kRefused);
  head.Clear();
  EXPECT_EQ(head.Add("Content-Length: 10, 11\r\n"), ResponseHead::Line::kRefused);
  EXPECT_EQ(head.Add("Content-Length: -1\r\n"), ResponseHead::Line::kRefused);
  head.Clear();
  EXPECT_EQ(head.Add("X: " + std::string(40'000, 'x') + "\r\n"), ResponseHead::Line::kMore);
  EXPECT_EQ(head.Add("X: " + std::string(40'000, 'x') + "\r\n"), ResponseHead::Line::kRefused);
}

TEST(ResponseHead, RetryAfterTakesDates) {
  ResponseHead head;
  head.Add("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  EXPECT_EQ(head.RetryAfter(absl::FromUnixSeconds(784111777 - 60)), absl::Seconds(60));
  EXPECT_EQ(head.RetryAfter(absl::FromUnixSeconds(784111777 + 60)), absl::ZeroDuration());
  head.Add("Retry-After: soon\r\n");
  EXPECT_EQ(head.RetryAfter(absl::Now()), std::nullopt);
}

// An origin that answers after `base`, and no more than `per_second`; asked by a caller that always has more.
class Origin {
 public:
  Origin(double base, double per_second) : base_(base), gap_(1 / per_second) {}

  void Answer(OriginWindow& window, int answers) {
    for (; answers > 0; --answers) {
      while (window.HasRoom()) {
        window.Start();
        free_ = std::max(free_ + gap_, now_);
        pending_.push_back({now_, std::max(free_, now_) + base_});
      }
      now_ = std::max(now_, pending_.front().second);
      window.Answered(now_ - pending_.front().first, now_, true);
      pending_.pop_front();
    }
  }
  double passed() const { return now_ - 1; }

 private:
  const double base_, gap_;  // Seconds.
  double now_ = 1, free_ = 1;
  std::deque<std::pair<double, double>> pending_;  // Sent, answered.
};

// Plays rounds of full windows answered after `latency` seconds, from `now` on; returns when they are over.
double Rounds(OriginWindow& window, int rounds, double latency, double now = 1) {
  for (int round = 0; round < rounds; ++round) {
    int sent = 0;
    for (; window.HasRoom(); ++sent) window.Start();
    now += latency;
    for (; sent > 0; --sent) window.Answered(latency, now, true);
  }
  return now;
}

TEST(OriginWindow, GrowsNoFurtherThanTheOriginsRate) {
  for (const auto& [base, per_second] :
       {std::pair(100e-6, 20'000.0), std::pair(1e-3, 20'000.0), std::pair(40e-3, 1'000.0)}) {
    OriginWindow window(512);
    Origin origin(base, per_second);
    origin.Answer(window, 200'000);
    const double knee = std::max(base * per_second, OriginWindow::kStart);
    EXPECT_GE(window.size(), knee * 0.8) << base;
    EXPECT_LE(window.size(), knee * 4) << base;
  }
}

// As on loopback, where an answer is often there before the next request is sent: the window is never filled, whatever
// its size, and a larger one only spreads the work over more connections and memory.
TEST(OriginWindow, AnswersThatComeAtOnceNeedFewRequests) {
  OriginWindow window(512);
  double now = 1;
  for (int turn = 0; turn < 10'000; ++turn) {
    int sent = 0;
    for (; window.HasRoom(); ++sent) window.Start();
    for (; sent > 0; --sent) window.Answered(3e-6, now += 20e-6, true);
  }
  EXPECT_LE(window.size(), 80u);
}

TEST(OriginWindow, AFarOriginThatKeepsUpGetsAllThereIs) {
  OriginWindow window(512);
  Origin origin(0.1, 1e6);
  origin.Answer(window, 8 + 16 + 32 + 64 + 128 + 256 + 512);
  EXPECT_EQ(window.size(), 512u);
  EXPECT_LT(origin.passed(), 1);
}

TEST(OriginWindow, AWillingOriginIsAt128WithinASecond) {
  OriginWindow window(512);
  const double now = Rounds(window, 5, 0.2);
  EXPECT_GE(window.size(), 128u);
  Rounds(window, 20, 0.2, now);
  EXPECT_EQ(window.size(), 512u);
}

TEST(OriginWindow, StrainHalvesOncePerRound) {
  OriginWindow window(512);
  Rounds(window, 4, 0.01);
  const uint32_t before = window.size();
  const double sent = 100, now = 101;
  for (int i = 0; i < 5; ++i) window.Start();
  for (int i = 0; i < 4; ++i) window.Strained(sent, now);
  EXPECT_EQ(window.size(), before / 2);
  window.Strained(now + 1, now + 2);
  EXPECT_EQ(window.size(), before / 4);
  Rounds(window, 1, 0.01);
  EXPECT_LE(window.size(), before / 4 + 1);  // No slow start after strain.
  for (int i = 0; i < 50; ++i) {
    window.Start();
    window.Strained(now + 3 + i, now + 3 + i);
  }
  EXPECT_EQ(window.size(), 1u);
}

TEST(OriginWindow, RisingLatencyStopsGrowth) {
  OriginWindow window(512);
  double now = Rounds(window, 3, 0.05);
  now = Rounds(window, 1, 0.9, now);
  const uint32_t strained = window.size();
  Rounds(window, 1, 0.9, now);
  EXPECT_LE(window.size(), strained + 1);
}

}  // namespace
}  // namespace imgfleet::fetch
