// Content-Length that says something else than what comes, or nothing that can be read (RFC 9112 section 6.3).
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kUnreadable[] = "Content-Length";
const char kGuard[] = "fetch/response_head.cc: AddLength";

Conversation WithLength(absl::string_view length, size_t body = 2000, After after = After::kKeep) {
  return Answers(absl::StrCat(Head("200 OK", {absl::StrCat("Content-Length: ", length)}), Picture(body)),
                 after);
}

Case Unreadable(std::string name, std::string length) {
  return {.name = std::move(name),
          .sends = absl::StrCat("Content-Length: ", length),
          .ends = Fails(Reason::PROTOCOL_ERROR, kUnreadable),
          .guard = kGuard,
          .converse = WithLength(length)};
}

}  // namespace

std::vector<Case> LengthCases() {
  return {
      Unreadable("length-negative", "-2000"),
      Unreadable("length-plus", "+2000"),
      Unreadable("length-words", "a lot"),
      Unreadable("length-hex", "0x7d0"),
      Unreadable("length-fraction", "2000.0"),
      Unreadable("length-empty", ""),
      Unreadable("length-list-with-a-hole", "2000,,2000"),
      Unreadable("length-underscore", "2_000"),
      Unreadable("length-two-words", "2000 2000"),
      {.name = "length-beyond-64-bits",
       .sends = "Content-Length: 99999999999999999999999",
       .ends = Fails(Reason::PROTOCOL_ERROR, kUnreadable),
       .guard = kGuard,
       .converse = WithLength("99999999999999999999999")},
      {.name = "length-beyond-63-bits",
       .sends = "Content-Length: 9223372036854775809, which libcurl cannot count",
       .ends = Fails(Reason::PROTOCOL_ERROR, kUnreadable),
       .guard = "fetch/response_head.cc: Size",
       .converse = WithLength("9223372036854775809", 2000, After::kClose)},
      {.name = "length-beyond-all-files",
       .sends = "Content-Length: 9007199254740993, more than a JSON number can say",
       .ends = Fails(Reason::PROTOCOL_ERROR, kUnreadable),
       .guard = "fetch/response_head.cc: Size",
       .converse = WithLength("9007199254740993", 2000, After::kClose)},
      {.name = "length-twice-the-same",
       .sends = "the right Content-Length twice, which RFC 9110 lets pass",
       .ends = Measured(),
       .guard = kGuard,
       .converse = Answers(Whole("200 OK", {"Content-Length: 2000"}, Picture()))},
      {.name = "length-list-of-the-same",
       .sends = "Content-Length: 2000, 2000",
       .ends = Measured(),
       .guard = kGuard,
       .converse = WithLength("2000, 2000")},
      {.name = "length-twice-differing",
       .sends = "two Content-Length headers, 2000 and 1000",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the answer's Content-Length headers contradict each other"),
       .guard = kGuard,
       .converse = Answers(Whole("200 OK", {"Content-Length: 1000"}, Picture()))},
      {.name = "length-list-differing",
       .sends = "Content-Length: 2000, 1000",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the answer's Content-Length headers contradict each other"),
       .guard = kGuard,
       .converse = WithLength("2000, 1000")},
      {.name = "length-too-small",
       .sends = "1000 under a body of 2000 bytes: what is more belongs to nobody",
       .ends = Measured(1000),
       .guard = "libcurl (closes a connection with excess)",
       .converse = WithLength("1000")},
      {.name = "length-too-large-then-close",
       .sends = "a Content-Length of 99999, 20,000 bytes that do not tell what it is, and the end",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 20000 bytes"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99999"}), EndlessJpeg(20'000)),
                           After::kClose)},
      {.name = "length-zero-with-body",
       .sends = "Content-Length: 0, and an image behind it",
       .ends = Fails(Reason::EMPTY_BODY, "the body is empty"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = WithLength("0")},
      {.name = "length-with-chunked",
       .sends = "Content-Length: 99 beside Transfer-Encoding: chunked, which wins",
       .ends = Measured(),
       .guard = "fetch/reading.cc: OnWholeHead",
       .converse = Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99", "Transfer-Encoding: chunked"}),
                                        Chunked(Picture())))},
      {.name = "length-after-a-space",
       .sends = "\"Content-Length : 99\", which is no Content-Length",
       .ends = Measured(),
       .guard = "fetch/response_head.cc: Field",
       .converse =
           Answers(absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length : 99\r\n\r\n", Picture()), After::kClose)},
  };
}

}  // namespace imgfleet::hostile
