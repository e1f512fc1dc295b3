// Status lines and versions.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

// `line` for a status line over an image.
Conversation WithStatusLine(absl::string_view line, After after = After::kKeep) {
  return Answers(absl::StrCat(line, "\r\nContent-Length: 2000\r\n\r\n", Picture()), after);
}

Case Refused(std::string name, std::string line, std::string says = "") {
  return {.name = std::move(name),
          .sends = absl::StrCat("\"", line, "\""),
          .ends = Fails(Reason::PROTOCOL_ERROR, std::move(says)),
          .guard = "libcurl",
          .converse = WithStatusLine(line)};
}

}  // namespace

std::vector<Case> StatusCases() {
  return {
      Refused("status-99", "HTTP/1.1 99 Balloons"),
      Refused("status-1000", "HTTP/1.1 1000 Nights"),
      Refused("status-none", "HTTP/1.1"),
      Refused("status-words", "HTTP/1.1 OK"),
      Refused("status-negative", "HTTP/1.1 -20 OK"),
      Refused("status-version-9", "HTTP/9.9 200 OK"),
      Refused("status-lowercase", "http/1.1 200 ok"),
      Refused("status-of-another-protocol", "ICY 200 OK"),
      Refused("status-banner", "220 smtp.example ESMTP"),
      {.name = "status-000",
       .sends = "\"HTTP/1.1 000 Nothing\"",
       .ends = Fails(Reason::PROTOCOL_ERROR, "response code"),
       .guard = "fetch/response_head.cc: StatusLine",
       .converse = WithStatusLine("HTTP/1.1 000 Nothing")},
      {.name = "status-050",
       .sends = "\"HTTP/1.1 050 Little\"",
       .ends = Fails(Reason::PROTOCOL_ERROR, "response code"),
       .guard = "fetch/response_head.cc: StatusLine",
       .converse = WithStatusLine("HTTP/1.1 050 Little")},
      {.name = "status-999",
       .sends = "\"HTTP/1.1 999 Request denied\", as some do",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 999"),
       .guard = "fetch/exchange.cc: AcceptsStatus",
       .converse = WithStatusLine("HTTP/1.1 999 Request denied")},
      {.name = "status-version-2-on-a-connection-of-version-1",
       .sends = "\"HTTP/2 200 OK\" where HTTP/1.1 is spoken",
       .ends = Measured(),
       .guard = "none needed",
       .converse = WithStatusLine("HTTP/2 200 OK")},
      {.name = "status-299",
       .sends = "a 2xx that nobody has defined",
       .ends = Measured(),
       .guard = "none needed",
       .converse = WithStatusLine("HTTP/1.1 299 Fine")},
      {.name = "status-version-0.9",
       .sends = "the image without any head",
       .ends = Fails(Reason::PROTOCOL_ERROR, "HTTP/0.9"),
       .guard = "libcurl",
       .converse = Answers(Picture(), After::kClose)},
      {.name = "status-garbage",
       .sends = "bytes that are no HTTP",
       .ends = Fails(Reason::PROTOCOL_ERROR, "HTTP/0.9"),
       .guard = "libcurl",
       .converse = Answers("\x16\x03\x01\x02\xff\xfe garbage \r\n\r\n", After::kHang)},
      {.name = "status-http2-preface",
       .sends = "an HTTP/2 SETTINGS frame on a connection of HTTP/1.1",
       .ends = Fails(Reason::PROTOCOL_ERROR, "HTTP/0.9"),
       .guard = "libcurl",
       .converse = Answers(std::string("\0\0\0\x04\0\0\0\0\0", 9), After::kHang)},
      {.name = "status-version-1.0-keep-alive",
       .sends = "HTTP/1.0 that says keep-alive and does not",
       .ends = Measured(),
       .guard = "libcurl (a reused connection that is dead is replaced)",
       .converse =
           Answers(absl::StrCat("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2000\r\n\r\n",
                                Picture()),
                   After::kClose)},
      {.name = "status-version-1.0-without-length",
       .sends = "HTTP/1.0 without a length that keeps the connection open",
       .ends = Fails(Reason::STALLED, "the answer made no progress for"),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Answers(absl::StrCat("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", Picture()),
                           After::kHang)},
      {.name = "status-100-then-200",
       .sends = "a hundred interim answers before the image",
       .ends = Measured(),
       .guard = "none needed",
       .converse = Answers(
           absl::StrCat(Repeat("HTTP/1.1 100 Continue\r\n\r\n", 2500), Whole("200 OK", {}, Picture())))},
      {.name = "status-103-with-lies",
       .sends = "103 Early Hints with another length, encoding and range",
       .ends = Measured(),
       .guard = "fetch/response_head.cc: Add (an interim answer is forgotten)",
       .converse = Answers(absl::StrCat(Head("103 Early Hints", {"Content-Length: 7", "Content-Encoding: br",
                                                                 "Content-Range: bytes 5-6/7"}),
                                        Whole("200 OK", {}, Picture())))},
      {.name = "status-1xx-without-end",
       .sends = "102 Processing for ever",
       .ends = Fails(Reason::PROTOCOL_ERROR, "header"),
       .guard = "fetch/response_head.cc: Add",
       .converse = Floods("", "HTTP/1.1 102 Processing\r\n\r\n")},
      {.name = "status-101",
       .sends = "101 Switching Protocols, though nobody asked",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the origin switched to another protocol"),
       .guard = "fetch/response_head.cc: StatusLine",
       .converse = Answers(Head("101 Switching Protocols", {"Upgrade: websocket", "Connection: Upgrade"}),
                           After::kHang)},
      {.name = "status-101-h2c",
       .sends = "101 to h2c, though nobody asked",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the origin switched to another protocol"),
       .guard = "fetch/response_head.cc: StatusLine",
       .converse =
           Answers(Head("101 Switching Protocols", {"Upgrade: h2c", "Connection: Upgrade"}), After::kHang)},
      {.name = "status-204-with-body",
       .sends = "204 with an image behind it",
       .ends = Fails(Reason::EMPTY_BODY, "the answer has no body"),
       .guard = "fetch/reading.cc: OnWholeHead",
       .converse = WithStatusLine("HTTP/1.1 204 No Content")},
      {.name = "status-205-with-body",
       .sends = "205 with an image behind it",
       .ends = Fails(Reason::EMPTY_BODY, "the answer has no body"),
       .guard = "fetch/reading.cc: OnWholeHead",
       .converse = WithStatusLine("HTTP/1.1 205 Reset Content")},
      {.name = "status-304-with-body",
       .sends = "304, though nothing was asked for on a condition, with an image behind it",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 304"),
       .guard = "fetch/exchange.cc: AcceptsStatus",
       .converse = WithStatusLine("HTTP/1.1 304 Not Modified")},
      {.name = "status-401",
       .sends = "401 with every scheme there is",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 401"),
       .guard = "none needed: there are no credentials",
       .converse = Answers(
           Whole("401 Unauthorized",
                 {"WWW-Authenticate: Basic realm=x", "WWW-Authenticate: NTLM", "WWW-Authenticate: Negotiate"},
                 Picture()))},
      {.name = "status-407",
       .sends = "407, though there is no proxy",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 407"),
       .guard = "none needed",
       .converse =
           Answers(Whole("407 Proxy Authentication Required", {"Proxy-Authenticate: Basic realm=x"}, ""))},
  };
}

}  // namespace imgfleet::hostile
