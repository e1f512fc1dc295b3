// The engine against origins that behave in every way we know of.
#include "worker/fetch/engine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "worker/fetch/testing/harness.h"
#include "worker/fetch/testing/scripted_origin.h"

namespace imgfleet::fetch {
namespace {

using Request = ScriptedOrigin::Request;
using Answer = ScriptedOrigin::Answer;

Limits Once(absl::Duration timeout = absl::Seconds(20)) {
  return {.attempt_timeout = timeout, .max_attempts = 1};
}

// The one report of a fetch from an origin that always answers `answer`.
Report Against(const Answer& answer, Options options = TestOptions(), Limits limits = Once()) {
  ScriptedOrigin origin([&](const Request&) { return answer; });
  const auto engine = MakeEngine(std::move(options));
  return Submit(*engine, origin.Url("/x"), 100, limits).get();
}

TEST(Engine, OneRangeTellsAll) {
  ScriptedOrigin origin([](const Request& request) {
    return Answer{ScriptedOrigin::Serve(
        request, File(),
        {"ETag: \"e\"", "Content-Type: image/x", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"})};
  });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/a?b=c"), 100).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, File().size());
  EXPECT_EQ(report.size_source, SizeSource::kContentRange);
  EXPECT_EQ(report.fetched_bytes, 12288u);
  EXPECT_EQ(report.attempts, 1u);
  EXPECT_EQ(report.http_status, 206u);
  EXPECT_EQ(report.etag, "\"e\"");
  EXPECT_EQ(report.content_type, "image/x");
  EXPECT_EQ(report.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(report.final_url, "");
  EXPECT_GT(report.first_byte, absl::ZeroDuration());
  const Request request = origin.log()[0];
  EXPECT_EQ(request.path, "/a?b=c");
  EXPECT_EQ(request.range, "bytes=0-12287");
  EXPECT_TRUE(absl::StrContains(request.head, "Accept-Encoding: identity\r\n"));
  EXPECT_TRUE(absl::StrContains(request.head, "User-Agent: imgfleet/"));
}

TEST(Engine, LaterRangesCarryIfRangeOnTheSameConnection) {
  ScriptedOrigin origin(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File(), {"ETag: \"e\""})}; });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/x"), 20'000).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  ASSERT_EQ(origin.log().size(), 2u);
  EXPECT_EQ(origin.log()[1].range, "bytes=12288-77823");
  EXPECT_EQ(origin.log()[1].if_range, "\"e\"");
  EXPECT_EQ(origin.connections(), 1);
  EXPECT_EQ(report.fetched_bytes, 77824u);
  // The next item asks without If-Range again.
  Submit(*engine, origin.Url("/y"), 0).wait();
  EXPECT_EQ(origin.log()[2].range, "bytes=0-12287");
  EXPECT_EQ(origin.log()[2].if_range, "");
}

TEST(Engine, ConnectionsAreReused) {
  ScriptedOrigin origin(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  Options options = TestOptions();
  options.concurrency = 16;
  const auto engine = MakeEngine(options);
  std::vector<std::future<Report>> reports;
  for (int i = 0; i < 500; ++i) reports.push_back(Submit(*engine, origin.Url(absl::StrCat("/", i))));
  for (auto& report : reports) EXPECT_EQ(report.get().failure, Failure::kNone);
  EXPECT_EQ(origin.requests(), 500);
  EXPECT_LE(origin.connections(), 16);
}

TEST(Engine, IgnoredRangeWithALengthIsBrokenOff) {
  const std::string large(8 << 20, 'x');
  const Report report = Against({ScriptedOrigin::Http(200, {}, large)});
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, large.size());
  EXPECT_EQ(report.size_source, SizeSource::kContentLength);
  EXPECT_LT(report.fetched_bytes, 1u << 20);
}

TEST(Engine, IgnoredRangeWithoutALengthIsCounted) {
  const Report closed = Against({"HTTP/1.1 200 OK\r\n\r\n" + File(), Answer::kClose});
  EXPECT_EQ(closed.failure, Failure::kNone) << closed.message;
  EXPECT_EQ(closed.size_bytes, File().size());
  EXPECT_EQ(closed.size_source, SizeSource::kBody);
  const std::string chunk = absl::StrCat(absl::Hex(File().size()), "\r\n", File(), "\r\n");
  const Report chunked = Against(
      {absl::StrCat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, chunk, "0\r\n\r\n")});
  EXPECT_EQ(chunked.failure, Failure::kNone) << chunked.message;
  EXPECT_EQ(chunked.size_bytes, 2 * File().size());
}

TEST(Engine, AFileThatChangesStartsOver) {
  ScriptedOrigin origin([](const Request& request) {
    if (request.count == 1) return Answer{ScriptedOrigin::Serve(request, File(), {"ETag: \"old\""})};
    return Answer{ScriptedOrigin::Http(200, {"ETag: \"new\""}, std::string(30'000, 'y'))};
  });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/x"), 20'000).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, 30'000u);
  EXPECT_EQ(report.etag, "\"new\"");
}

TEST(Engine, RangeLiesAreRetriedThenReported) {
  ScriptedOrigin origin([](const Request&) {
    return Answer{ScriptedOrigin::Http(206, {"Content-Range: bytes 5-9/100"}, "01234")};
  });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/x")).get();
  EXPECT_EQ(report.failure, Failure::kRangeMismatch);
  EXPECT_TRUE(report.retryable);
  EXPECT_EQ(report.attempts, 3u);
  EXPECT_EQ(origin.requests(), 3);
}

TEST(Engine, GzipAgainstOurWill) {
  std::string packed(File().size(), '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(File().data()));
  stream.avail_in = File().size();
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = packed.size();
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  const Answer answer{ScriptedOrigin::Http(200, {"Content-Encoding: gzip"}, packed)};
  const Report report = Against(answer);
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.size_bytes, File().size());
  EXPECT_EQ(report.fetched_bytes, packed.size());
  Limits small = Once();
  small.max_body_bytes = 100'000;
  EXPECT_EQ(Against(answer, TestOptions(), small).failure, Failure::kBodyTooLarge);
  EXPECT_EQ(Against({ScriptedOrigin::Http(200, {"Content-Encoding: br"}, packed)}).failure,
            Failure::kProtocol);
}

TEST(Engine, RefusesBrokenHttp) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const Answer& answer :
       std::vector<Answer>{{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
                           {"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabcd"},
                           {"HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n"},
                           {"HTTP/1.1 200 OK\r\n" +
                            [] {
                              std::string lines;
                              for (int i = 0; i < 5000; ++i)
                                absl::StrAppend(&lines, "X-", i, ": some header value\r\n");
                              return lines;
                            }() +
                            "\r\n"},
                           {"no http at all\r\n\r\n", Answer::kClose},
                           {"", Answer::kClose},
                           {"", Answer::kReset},
                           {"HTTP/1.1 200 OK\r\nContent-Le", Answer::kClose},
                           {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", Answer::kClose},
                           {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", Answer::kReset},
                           {chunked + "zz\r\nabc\r\n0\r\n\r\n"},
                           {chunked + "5\r\nab", Answer::kClose}}) {
    const Report report = Against(answer);
    EXPECT_EQ(report.failure, Failure::kProtocol) << answer.bytes.substr(0, 60) << ": " << report.message;
    EXPECT_FALSE(report.message.empty());
  }
}

TEST(Engine, EmptyBodies) {
  EXPECT_EQ(Against({ScriptedOrigin::Http(200, {}, "")}).failure, Failure::kEmptyBody);
  EXPECT_EQ(Against({"HTTP/1.1 204 X\r\n\r\n"}).failure, Failure::kEmptyBody);
  EXPECT_EQ(Against({ScriptedOrigin::Http(416, {"Content-Range: bytes */0"}, "")}).failure,
            Failure::kEmptyBody);
}

TEST(Engine, DeadlinesAndStalls) {
  const Limits brief = Once(absl::Milliseconds(150));
  EXPECT_EQ(Against({"", Answer::kHang}, TestOptions(), brief).failure, Failure::kTimeout);
  EXPECT_EQ(Against({"HTTP/1.1 200 OK\r\nX: y\r\n", Answer::kHang}, TestOptions(), brief).failure,
            Failure::kTimeout);
  Options impatient = TestOptions();
  impatient.stall_timeout = absl::Milliseconds(100);
  const Report stalled =
      Against({"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Answer::kHang}, impatient);
  EXPECT_EQ(stalled.failure, Failure::kStalled);
  EXPECT_TRUE(stalled.retryable);
}

TEST(Engine, StatusesAndRetries) {
  const Report missing = Against({ScriptedOrigin::Http(404, {}, "no")}, TestOptions(), Limits());
  EXPECT_EQ(missing.failure, Failure::kHttpStatus);
  EXPECT_EQ(missing.http_status, 404u);
  EXPECT_EQ(missing.attempts, 1u);
  EXPECT_FALSE(missing.retryable);
  // Two failures, then success.
  ScriptedOrigin origin([](const Request& request) {
    if (request.count == 1) return Answer{ScriptedOrigin::Http(500, {}, "")};
    if (request.count == 2) return Answer{ScriptedOrigin::Http(429, {"Retry-After: 0"}, "")};
    return Answer{ScriptedOrigin::Serve(request, File())};
  });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/x")).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.attempts, 3u);
}

TEST(Engine, FollowsRedirects) {
  ScriptedOrigin other([](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  ScriptedOrigin origin([&](const Request& request) {
    if (request.path == "/a") return Answer{ScriptedOrigin::Http(301, {"Location: b"}, "moved")};
    return Answer{ScriptedOrigin::Http(302, {"Location: " + other.Url("/c d")}, "")};
  });
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, origin.Url("/a")).get();
  EXPECT_EQ(report.failure, Failure::kNone) << report.message;
  EXPECT_EQ(report.final_url, other.Url("/c%20d"));
  EXPECT_EQ(report.size_bytes, File().size());
  EXPECT_EQ(origin.requests(), 2);
  EXPECT_EQ(other.requests(), 1);
}

TEST(Engine, RefusesEndlessRedirectsAndOtherSchemes) {
  int hop = 0;
  ScriptedOrigin chain([&](const Request&) {
    return Answer{ScriptedOrigin::Http(302, {absl::StrCat("Location: /", ++hop)}, "")};
  });
  const auto engine = MakeEngine();
  EXPECT_EQ(Submit(*engine, chain.Url("/")).get().failure, Failure::kTooManyRedirects);
  EXPECT_EQ(chain.requests(), 6);
  const Report loop = Against({ScriptedOrigin::Http(302, {"Location: /x"}, "")});
  EXPECT_EQ(loop.failure, Failure::kTooManyRedirects);
  for (const char* location : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"}) {
    const Report report = Against({ScriptedOrigin::Http(302, {absl::StrCat("Location: ", location)}, "")});
    EXPECT_EQ(report.failure, Failure::kBadUrl) << location;
  }
  EXPECT_EQ(Against({ScriptedOrigin::Http(302, {}, "")}).failure, Failure::kHttpStatus);
}

// However loopback is spelt, nobody knocks at its door. Judged by the listener, not by the error.
TEST(Engine, ClosedAddressesAreNotReached) {
  ScriptedOrigin forbidden(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  Options options = TestOptions();
  options.policy = AddressPolicy();
  const auto engine = MakeEngine(options);
  for (const char* host : {"127.0.0.1",
                           "localhost",
                           "LOCALHOST",
                           "127.1",
                           "0x7f.1",
                           "2130706433",
                           "017700000001",
                           "0",
                           "0.0.0.0",
                           "[::1]",
                           "[::]",
                           "[::ffff:127.0.0.1]",
                           "[::ffff:7f00:1]",
                           "[0:0:0:0:0:ffff:127.0.0.1]",
                           "%31%32%37.0.0.1",
                           "127.0.0.1.",
                           "user:pw@127.0.0.1",
                           "[64:ff9b::7f00:1]",
                           "[2002:7f00:1::]",
                           "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1",
                           "169.254.169.254",
                           "10.0.0.1"}) {
    const Report report =
        Submit(*engine, absl::StrCat("http://", host, ":", forbidden.port(), "/x"), 0, Once()).get();
    EXPECT_TRUE(report.failure == Failure::kBlockedAddress || report.failure == Failure::kDns ||
                report.failure == Failure::kBadUrl)
        << host << ": " << static_cast<int>(report.failure) << " " << report.message;
  }
  EXPECT_EQ(forbidden.connections(), 0);
}

TEST(Engine, ARedirectOrAHostMapOpensNoAddress) {
  ScriptedOrigin forbidden(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  ScriptedOrigin open([&](const Request&) {
    return Answer{
        ScriptedOrigin::Http(302, {absl::StrCat("Location: http://127.0.0.2:", forbidden.port(), "/")}, "")};
  });
  Options options = TestOptions();
  options.policy = AddressPolicy({*Cidr::Parse("127.0.0.1/32")});
  ASSERT_TRUE(options.host_map.Add("mapped.example=127.0.0.3").ok());
  const auto engine = MakeEngine(options);
  EXPECT_EQ(Submit(*engine, open.Url("/")).get().failure, Failure::kBlockedAddress);
  EXPECT_EQ(Submit(*engine, absl::StrCat("http://mapped.example:", forbidden.port(), "/")).get().failure,
            Failure::kBlockedAddress);
  EXPECT_EQ(forbidden.connections(), 0);
}

TEST(Engine, HostMapGoesBeforeDns) {
  ScriptedOrigin origin(
      [](const Request& request) { return Answer{ScriptedOrigin::Serve(request, File())}; });
  Options options = TestOptions();
  ASSERT_TRUE(options.host_map.Add(absl::StrCat("images.example=127.0.0.1:", origin.port())).ok());
  const auto engine = MakeEngine(options);
  EXPECT_EQ(Submit(*engine, "http://images.example/x").get().failure, Failure::kNone);
  EXPECT_TRUE(absl::StrContains(origin.log()[0].head, "Host: images.example\r\n"));
}

TEST(Engine, ProxiesOfTheEnvironmentAreIgnored) {
  setenv("http_proxy", "http://127.0.0.1:1/", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
  EXPECT_EQ(Against({ScriptedOrigin::Http(200, {}, File())}).failure, Failure::kNone);
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
}

TEST(Engine, NobodyListens) {
  int port;
  {
    ScriptedOrigin gone([](const Request&) { return Answer{}; });
    port = gone.port();
  }
  const auto engine = MakeEngine();
  const Report report = Submit(*engine, absl::StrCat("http://127.0.0.1:", port, "/")).get();
  EXPECT_EQ(report.failure, Failure::kConnect) << report.message;
  EXPECT_EQ(report.attempts, 3u);
}

TEST(Engine, ShutdownEndsEverything) {
  ScriptedOrigin slow([](const Request&) { return Answer{"", Answer::kHang}; });
  std::vector<std::future<Report>> reports;
  {
    Options options = TestOptions();
    options.threads = 2;
    options.backoff = {.base = absl::Hours(1), .max = absl::Hours(1)};
    const auto engine = MakeEngine(options);
    for (int i = 0; i < 100; ++i) reports.push_back(Submit(*engine, slow.Url("/")));
    for (int i = 0; i < 10; ++i)
      reports.push_back(Submit(*engine, "http://127.0.0.1:1/"));  // Waits for a retry.
    reports.push_back(Submit(*engine, "http://nowhere.invalid/"));
  }
  for (auto& report : reports) {
    const Failure failure = report.get().failure;
    EXPECT_TRUE(failure == Failure::kAbandoned || failure == Failure::kDns);
  }
}

TEST(Engine, BadUrlsEndAtOnce) {
  const auto engine = MakeEngine();
  for (const char* url : {"", "no url", "ftp://example.com/x", "http://", "http://a b/"}) {
    const Report report = Submit(*engine, url).get();
    EXPECT_EQ(report.failure, Failure::kBadUrl) << url;
    EXPECT_EQ(report.attempts, 0u);
  }
}

TEST(Engine, RefusesACaFileThatIsNone) {
  Options options = TestOptions();
  options.ca_file = "/nonexistent.pem";
  EXPECT_FALSE(Engine::Create(options).ok());
  options.ca_file = "/etc/passwd";
  EXPECT_FALSE(Engine::Create(options).ok());
}

// Path and query reach the origin as they were given, whichever way libcurl is told them: dot segments are taken out, and
// fragments are not sent.
TEST(Engine, AsksForThePathThatWasGiven) {
  std::vector<std::string> asked;  // One thread, one request at a time.
  ScriptedOrigin origin([&](const ScriptedOrigin::Request& request) {
    asked.push_back(request.path);
    return Answer{ScriptedOrigin::Http(200, {}, "hi")};
  });
  const auto engine = MakeEngine();
  for (const char* path : {"/a.jpg", "/a%20b/[1].jpg?x=1&y=%2F", "/a/../b/./c.jpg?q=/../z", "/d.jpg?w=1#part",
                           "/e f.jpg", "/"}) {
    EXPECT_EQ(Submit(*engine, origin.Url(path)).get().failure, Failure::kNone) << path;
  }
  EXPECT_EQ(asked, (std::vector<std::string>{"/a.jpg", "/a%20b/[1].jpg?x=1&y=%2F", "/b/c.jpg?q=/../z",
                                             "/d.jpg?w=1", "/e%20f.jpg", "/"}));
}

// There is no header before it, least of all that of an earlier answer.
TEST(Engine, AFoldedLineBehindTheStatusIsNobodys) {
  ScriptedOrigin origin([](const ScriptedOrigin::Request& request) {
    return Answer{request.path == "/folded"
                      ? "HTTP/1.1 200 OK\r\n\tand more\r\nContent-Length: 2\r\n\r\nhi"
                      : ScriptedOrigin::Http(200, {"X-Last: " + std::string(100, 'x')}, "hi")};
  });
  const auto engine = MakeEngine();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Submit(*engine, origin.Url("/plain")).get().failure, Failure::kNone);
    EXPECT_EQ(Submit(*engine, origin.Url("/folded")).get().failure, Failure::kProtocol);
  }
}

}  // namespace
}  // namespace imgfleet::fetch
