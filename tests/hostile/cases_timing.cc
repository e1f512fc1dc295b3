// Answers that take for ever: by being slow, by stopping, or by having no end.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kLate[] = "no complete answer within 1s";
const char kStill[] = "the answer made no progress for";
const char kLarge[] = "the body is larger than the";
// Twice what is read of a page that nobody needs.
constexpr uint64_t kMostOfAPage = 128 << 10;

}  // namespace

std::vector<Case> TimingCases() {
  return {
      {.name = "stall-after-accept",
       .sends = "nothing: the connection is accepted and that is all",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = [](Peer& peer) { peer.Hang(); },
       .timeout = kBrief},
      {.name = "stall-before-head",
       .sends = "nothing, once it has read the request",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Answers("", After::kHang),
       .timeout = kBrief},
      {.name = "stall-in-status-line",
       .sends = "\"HTTP/1.1 2\"",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Answers("HTTP/1.1 2", After::kHang),
       .timeout = kBrief},
      {.name = "stall-in-head",
       .sends = "a status line and a header, no blank line",
       .ends = Fails(Reason::STALLED, kStill),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Answers("HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n", After::kHang)},
      {.name = "stall-in-body",
       .sends = "the head and half of the body of an image whose header comes later",
       .ends = Fails(Reason::STALLED, kStill),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99999"}), EndlessJpeg(20'000)),
                           After::kHang)},
      {.name = "stall-in-rest",
       .sends = "all that tells what the image is, a Content-Length of 9000, and no more",
       .ends = Measured(9000),
       .guard = "fetch/attempts.cc: CheckRunning (what is not needed is not waited for)",
       .converse =
           Answers(absl::StrCat(Head("200 OK", {"Content-Length: 9000"}), Picture(4500)), After::kHang)},
      {.name = "stall-in-size-owed",
       .sends = "all that tells what the image is, no length, and no more",
       .ends = Fails(Reason::STALLED, kStill),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Answers(absl::StrCat(Head("200 OK"), Picture(100)), After::kHang)},
      {.name = "stall-in-chunk",
       .sends = "half a chunk",
       .ends = Fails(Reason::STALLED, kStill),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse =
           Answers(absl::StrCat(Head("200 OK", {"Transfer-Encoding: chunked"}), "800\r\n", Picture(1000)),
                   After::kHang)},
      {.name = "stall-in-error-page",
       .sends = "404 and no body, though it announces one",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 404"),
       .guard = "fetch/attempts.cc: CheckRunning (what is not needed is not waited for)",
       .converse = Answers(Head("404 Not Found", {"Content-Length: 100"}), After::kHang)},
      {.name = "stall-in-redirect",
       .sends = "302 to a good image, and none of the body it announces",
       .ends = Measured(2000),
       .guard = "fetch/attempts.cc: CheckRunning (what is not needed is not waited for)",
       .converse =
           [](Peer& peer) {
             if (!peer.Read()) return;
             peer.Send(Head("302 Found",
                            {absl::StrCat("Location: ", peer.UrlOf("picture")), "Content-Length: 100"}));
             peer.Hang();
           }},
      {.name = "slow-head",
       .sends = "headers without end, a byte every 30 ms",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Drips("HTTP/1.1 200 OK\r\n", "X-Header: value\r\n"),
       .timeout = kBrief},
      {.name = "slow-status-line",
       .sends = "a status line without end, a byte every 30 ms",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Drips("HTTP/1.1 200 ", "O"),
       .timeout = kBrief},
      {.name = "slow-body",
       .sends = "a body of a megabyte, a byte every 30 ms",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Drips(absl::StrCat(Head("200 OK", {"Content-Length: 1000000"}), "\xff\xd8"), JpegFiller()),
       .timeout = kBrief},
      {.name = "slow-chunks",
       .sends = "a chunk of one byte every 200 ms",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Drips(Head("200 OK", {"Transfer-Encoding: chunked"}), "1\r\nG\r\n"),
       .timeout = kBrief},
      {.name = "slow-part",
       .sends = "the part asked for, a byte every 30 ms",
       .ends = Fails(Reason::TIMEOUT, kLate),
       .guard = "fetch/attempts.cc: CheckRunning (deadline)",
       .converse = Drips(Head("206 Partial Content", {"Content-Range: bytes 0-12287/99999"}), "GIF89a"),
       .timeout = kBrief},
      {.name = "endless-body-without-length",
       .sends = "a JPEG that never comes to its frame header, until the client has had enough",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = FloodsTooMuch(absl::StrCat(Head("200 OK"), "\xff\xd8"), JpegFiller())},
      {.name = "endless-body-chunked",
       .sends = "the same in chunks",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse =
           FloodsTooMuch(absl::StrCat(Head("200 OK", {"Transfer-Encoding: chunked"}), Chunk("\xff\xd8")),
                         Chunk(JpegFiller()))},
      {.name = "endless-body-with-length",
       .sends = "the same under a Content-Length of a terabyte",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = FloodsTooMuch(absl::StrCat(Head("200 OK", {"Content-Length: 1000000000000"}), "\xff\xd8"),
                                 JpegFiller())},
      {.name = "endless-size-owed",
       .sends = "an image, and then zeros without end and without a length",
       .ends = Fails(Reason::BODY_TOO_LARGE, kLarge),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = FloodsTooMuch(absl::StrCat(Head("200 OK"), Picture()), std::string(1000, '\0'))},
      {.name = "endless-error-page",
       .sends = "404 with a page without end",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 404"),
       .guard = "fetch/exchange.cc: OnBody (kMaxUnusedBody)",
       .converse = Floods(Head("404 Not Found"), "not here "),
       .most_bytes = kMostOfAPage},
      {.name = "endless-redirect-page",
       .sends = "302 to a good image, with a page without end",
       .ends = Measured(2000),
       .guard = "fetch/exchange.cc: OnBody (kMaxUnusedBody)",
       .converse =
           [](Peer& peer) {
             if (!peer.Read()) return;
             peer.Send(Head("302 Found", {absl::StrCat("Location: ", peer.UrlOf("picture"))}));
             peer.SendForEver("moved ");
           },
       .most_bytes = kMostOfAPage},
      {.name = "endless-text",
       .sends = "HTML without end: no image, so nothing is owed",
       .ends = Fails(Reason::NOT_AN_IMAGE, ""),
       .guard = "fetch/reading.cc: AfterInspection",
       .converse = Floods(Head("200 OK"), "<html><body>and so on")},
  };
}

}  // namespace imgfleet::hostile
