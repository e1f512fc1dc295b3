// Heads that are too much, or no heads.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kLarge[] = "header is larger than 64 KiB";

Conversation WithLine(absl::string_view line) { return Answers(Whole("200 OK", {line}, Picture())); }

std::string ManyHeaders(int count, absl::string_view line) {
  std::string lines;
  for (int i = 0; i < count; ++i) absl::StrAppend(&lines, line, "\r\n");
  return absl::StrCat("HTTP/1.1 200 OK\r\n", lines, "Content-Length: 2000\r\n\r\n", Picture());
}

}  // namespace

std::vector<Case> HeadCases() {
  return {
      {.name = "head-of-100000-headers",
       .sends = "100,000 headers",
       .ends = Fails(Reason::PROTOCOL_ERROR, "headers"),
       .guard = "fetch/response_head.cc: Add (kMaxHeadLines, kMaxHeadBytes)",
       .converse = Answers(ManyHeaders(100'000, "X-Header: value"))},
      {.name = "head-of-small-headers",
       .sends = "15,000 headers of four bytes: little to read, much to keep for libcurl",
       .ends = Fails(Reason::PROTOCOL_ERROR, "more than 1000 headers"),
       .guard = "fetch/response_head.cc: Add (kMaxHeadLines)",
       .converse = Answers(ManyHeaders(15'000, "a:"))},
      {.name = "head-of-900-headers",
       .sends = "900 headers, which are still taken",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Answers(ManyHeaders(900, "X-Header: value"))},
      {.name = "head-without-end",
       .sends = "headers without end",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/response_head.cc: Add",
       .converse = Floods("HTTP/1.1 200 OK\r\n",
                          "X-Header: a somewhat longer value, as cookies are wont to have\r\n")},
      {.name = "head-line-without-end",
       .sends = "one header without end",
       .ends = Fails(Reason::PROTOCOL_ERROR, kLarge),
       .guard = "libcurl (100 KB for a line), fetch/exchange.cc: error",
       .converse = Floods("HTTP/1.1 200 OK\r\nX-Header: ", "value")},
      {.name = "head-line-of-90-kb",
       .sends = "one header of 90 KB, which libcurl would take",
       .ends = Fails(Reason::PROTOCOL_ERROR, kLarge),
       .guard = "fetch/response_head.cc: Add (kMaxHeadBytes)",
       .converse = WithLine(absl::StrCat("X-Header: ", std::string(90'000, 'x')))},
      {.name = "head-status-line-without-end",
       .sends = "a status line without end",
       .ends = Fails(Reason::PROTOCOL_ERROR, kLarge),
       .guard = "libcurl (100 KB for a line), fetch/exchange.cc: error",
       .converse = Floods("HTTP/1.1 200 ", "OK")},
      {.name = "head-without-colon",
       .sends = "a header without a colon",
       .ends = Fails(Reason::PROTOCOL_ERROR, "Header without colon"),
       .guard = "libcurl",
       .converse = WithLine("no colon in here")},
      {.name = "head-of-nothing-but-colons",
       .sends = "headers without names",
       .ends = Measured(),
       .guard = "none needed",
       .converse = WithLine(": : :")},
      {.name = "head-with-nul",
       .sends = "a NUL byte in a header",
       .ends = Fails(Reason::PROTOCOL_ERROR, "Nul byte in header"),
       .guard = "libcurl",
       .converse = WithLine(absl::string_view("X-Header: a\0b", 13))},
      {.name = "head-folded",
       .sends = "a header that goes on in a folded line",
       .ends = Measured(),
       .guard = "none needed: it is one that nothing depends on",
       .converse = WithLine("X-Header: a\r\n b")},
      {.name = "head-folded-length",
       .sends = "a Content-Length that goes on in a folded line",
       .ends = Fails(Reason::PROTOCOL_ERROR, "folded"),
       .guard = "fetch/response_head.cc: Add",
       .converse = Answers(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n 000\r\n\r\n", Picture()),
                           After::kHang)},
      {.name = "head-folded-location",
       .sends = "a Location that goes on in a folded line",
       .ends = Fails(Reason::PROTOCOL_ERROR, "folded"),
       .guard = "fetch/response_head.cc: Add",
       .converse = Answers(Whole("302 Found", {"Location: http://127.0.0.1\r\n .example/"}, ""))},
      {.name = "head-folded-first",
       .sends = "a folded line behind the status line",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "libcurl, fetch/response_head.cc: Add",
       .converse = WithLine(" folded from nothing")},
      {.name = "head-with-bare-line-feeds",
       .sends = "lines that end with LF only, which RFC 9112 lets pass",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Answers(absl::StrCat("HTTP/1.1 200 OK\nContent-Length: 2000\n\n", Picture()))},
      {.name = "head-with-bare-returns",
       .sends = "a CR in the middle of a header, and Content-Length behind it",
       .ends = Measured(),
       .guard = "fetch/response_head.cc: Add (a line ends with LF)",
       .converse = Answers(absl::StrCat(Head("200 OK", {"X-Header: a\rContent-Length: 7"}), Picture()),
                           After::kClose)},
      {.name = "head-of-bytes",
       .sends = "headers of bytes that are no text",
       .ends = Measured(),
       .guard = "task/outcome.cc: ToUtf8",
       .converse = WithLine("ETag: \"\xff\xfe\x80\"\r\nContent-Type: \xc3\x28")},
      {.name = "head-twice",
       .sends = "a second head within the first",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "libcurl (a status line is no header)",
       .converse = Answers(absl::StrCat(
           "HTTP/1.1 200 OK\r\nContent-Length: 35\r\nHTTP/1.1 404 Not Found\r\n\r\n", Gif(1, 1)))},
      {.name = "head-with-cookies",
       .sends = "Set-Cookie, Alt-Svc, Refresh and WWW-Authenticate, none of which is acted on",
       .ends = Measured(),
       .guard = "none needed",
       .converse =
           WithLine("Set-Cookie: a=b\r\nAlt-Svc: h2=\"127.0.0.2:80\"\r\nRefresh: 0; url=http://127.0.0.2/\r\n"
                    "WWW-Authenticate: Negotiate")},
  };
}

}  // namespace imgfleet::hostile
