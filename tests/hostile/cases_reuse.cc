// Bytes that belong to no answer, meant for whoever uses the connection next. What these cases prove comes after them:
// the test fetches a good image from the same origin, and must not see Poison().
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

std::string PoisonedAnswer() { return Whole("200 OK", {"Content-Type: image/gif"}, Poison()); }

// `answer`, and another one that nobody asked for, once the item is over and its connection is kept for the next.
Conversation ThenPoison(std::string answer) {
  return [answer = std::move(answer)](Peer& peer) {
    while (peer.Read() && peer.SendThenLater(answer, PoisonedAnswer())) continue;
  };
}

const char kStray[] = "fetch/connections.cc: HasStrayBytes";
const char kExcess[] = "libcurl (closes a connection with excess)";

}  // namespace

std::vector<Case> ReuseCases() {
  return {
      {.name = "reuse-extra-answer-at-once",
       .sends = "two answers to one request, in one packet",
       .ends = Measured(),
       .guard = kExcess,
       .converse = Answers(absl::StrCat(Whole("200 OK", {}, Picture()), PoisonedAnswer()))},
      {.name = "reuse-extra-answer-later",
       .sends = "two answers to one request, one after the other",
       .ends = Measured(),
       .guard = kStray,
       .converse = ThenPoison(Whole("200 OK", {}, Picture()))},
      {.name = "reuse-extra-answer-after-part",
       .sends = "a part, and another answer behind it",
       .ends = Measured(),
       .guard = kStray,
       .converse = ThenPoison(Part("0-1999/2000", Picture()))},
      {.name = "reuse-extra-answer-after-chunks",
       .sends = "a last chunk, and another answer behind it",
       .ends = Measured(),
       .guard = kStray,
       .converse =
           ThenPoison(absl::StrCat(Head("200 OK", {"Transfer-Encoding: chunked"}), Chunked(Picture())))},
      {.name = "reuse-extra-answer-after-chunks-at-once",
       .sends = "the same in one packet",
       .ends = Measured(),
       .guard = kStray,
       .converse = Answers(absl::StrCat(Head("200 OK", {"Transfer-Encoding: chunked"}), Chunked(Picture()),
                                        Repeat(PoisonedAnswer(), 100'000)))},
      {.name = "reuse-extra-answer-after-404",
       .sends = "404, and another answer behind it",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 404"),
       .guard = kStray,
       .converse = ThenPoison(Whole("404 Not Found", {}, "no"))},
      {.name = "reuse-body-after-204",
       .sends = "204, and a whole answer for its body",
       .ends = Fails(Reason::EMPTY_BODY, "the answer has no body"),
       .guard = "libcurl (closes a connection whose answer is broken off)",
       .converse = ThenPoison(Head("204 No Content"))},
      {.name = "reuse-body-after-304",
       .sends = "304, and a whole answer for its body",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 304"),
       .guard = kStray,
       .converse = ThenPoison(Head("304 Not Modified"))},
      {.name = "reuse-body-after-304-at-once",
       .sends = "the same in one packet, and more of it than is read at a time",
       .ends = Fails(Reason::HTTP_STATUS, "the origin answered 304"),
       .guard = kStray,
       .converse = Answers(absl::StrCat(Head("304 Not Modified"), Repeat(PoisonedAnswer(), 100'000)))},
      {.name = "reuse-length-and-chunked",
       .sends = "Content-Length beside chunked, and an answer where the length says that the body ends",
       .ends = Measured(),
       .guard = kExcess,
       .converse = Answers(absl::StrCat(Head("200 OK", {"Content-Length: 10", "Transfer-Encoding: chunked"}),
                                        Chunked(Picture()), PoisonedAnswer()))},
      {.name = "reuse-poison-over-tls",
       .sends = "two answers to one request over TLS",
       .ends = Measured(),
       .guard = kStray,
       .converse = ThenPoison(Whole("200 OK", {}, Picture())),
       .tls = Tls::kTrusted},
      {.name = "reuse-answer-before-the-request",
       .sends = "an answer as soon as the connection stands, and another to the request: the item has to "
                "believe the "
                "first, the second must reach nobody",
       .ends = Measured(500),
       .guard = "libcurl (closes a connection with excess), fetch/connections.cc: HasStrayBytes",
       .converse =
           [](Peer& peer) {
             if (!peer.Send(Whole("200 OK", {}, Picture(500)))) return;
             while (peer.Read() && peer.Send(PoisonedAnswer())) continue;
           }},
      {.name = "reuse-answer-before-the-request-is-whole",
       .sends = "the answer after the first line of the request, which is read to its end later",
       .ends = Measured(),
       .guard = "none needed",
       .converse =
           [](Peer& peer) {
             std::string some;
             if (!peer.ReadBytes(16, &some) || !peer.Send(Whole("200 OK", {}, Picture()))) return;
             while (peer.Read() && peer.Send(Peer::Good())) continue;
           }},
      {.name = "reuse-stray-line-ends",
       .sends = "CRLF behind each answer, as old servers did",
       .ends = Measured(),
       .guard = kExcess,
       .converse = Answers(absl::StrCat(Whole("200 OK", {}, Picture()), "\r\n"))},
  };
}

}  // namespace imgfleet::hostile
