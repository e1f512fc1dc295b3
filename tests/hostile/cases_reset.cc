// Connections that end where they should not.
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kTransfer[] = "fetch/exchange.cc: Finish";

}  // namespace

std::vector<Case> ResetCases() {
  return {
      {.name = "reset-after-accept",
       .sends = "RST before anything was read",
       .ends = FailsEither(Reason::PROTOCOL_ERROR, Reason::CONNECT_FAILED, "reset by peer"),
       .guard = kTransfer,
       .converse = [](Peer& peer) { peer.Reset(); }},
      {.name = "reset-in-the-request",
       .sends = "RST after ten bytes of the request",
       .ends = FailsEither(Reason::PROTOCOL_ERROR, Reason::CONNECT_FAILED, "reset by peer"),
       .guard = kTransfer,
       .converse =
           [](Peer& peer) {
             std::string some;
             if (peer.ReadBytes(10, &some)) peer.Reset();
           }},
      {.name = "reset-before-head",
       .sends = "RST after the request",
       .ends = Fails(Reason::PROTOCOL_ERROR, "reset by peer"),
       .guard = kTransfer,
       .converse = Answers("", After::kReset)},
      {.name = "reset-after-status-line",
       .sends = "RST after the status line",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = kTransfer,
       .converse = Answers("HTTP/1.1 200 OK\r\n", After::kReset)},
      {.name = "reset-in-head",
       .sends = "RST in the middle of a header",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = kTransfer,
       .converse = Answers("HTTP/1.1 200 OK\r\nContent-Le", After::kReset)},
      {.name = "reset-in-body",
       .sends = "RST in the middle of a body that does not tell yet what it is",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(absl::StrCat(Head("200 OK", {"Content-Length: 99999"}), EndlessJpeg(9000)),
                           After::kReset)},
      {.name = "reset-in-part",
       .sends = "RST in the middle of the part asked for",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(
           absl::StrCat(Head("206 Partial Content", {"Content-Range: bytes 0-12287/99999"}), Picture()),
           After::kReset)},
      {.name = "reset-after-size-owed",
       .sends = "RST at the end of a body without a length",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(absl::StrCat(Head("200 OK"), Picture()), After::kReset)},
      {.name = "reset-after-body",
       .sends = "an image, and once the client has all of it RST",
       .ends = Measured(),
       .guard = "libcurl (a reused connection that is dead is replaced)",
       .converse =
           [](Peer& peer) {
             if (!peer.Read() || !peer.Send(Whole("200 OK", {}, Picture()))) return;
             peer.Read();
             peer.Reset();
           }},
      {.name = "close-after-accept",
       .sends = "the end of the connection before anything was read",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = kTransfer,
       .converse = [](Peer&) {}},
      {.name = "close-before-head",
       .sends = "the end of the connection for an answer",
       .ends = Fails(Reason::PROTOCOL_ERROR, "Empty reply from server"),
       .guard = kTransfer,
       .converse = Answers("", After::kClose)},
      {.name = "close-in-head",
       .sends = "half a head",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "fetch/exchange.cc: Finish (head_complete)",
       .converse = Answers("HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\n", After::kClose)},
      {.name = "close-in-part",
       .sends = "half of the part asked for",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the body broke off after 2000 bytes"),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(
           absl::StrCat(Head("206 Partial Content", {"Content-Range: bytes 0-12287/99999"}), Picture()),
           After::kClose)},
      {.name = "close-after-each-answer",
       .sends = "an image and the end, though it says keep-alive",
       .ends = Measured(),
       .guard = "libcurl (a reused connection that is dead is replaced)",
       .converse = Answers(Whole("200 OK", {"Connection: keep-alive"}, Picture()), After::kClose)},
      {.name = "close-announced-and-not-done",
       .sends = "Connection: close, a length, and a connection that stays open",
       .ends = Measured(),
       .guard = "libcurl",
       .converse = Answers(Whole("200 OK", {"Connection: close"}, Picture()), After::kHang)},
  };
}

}  // namespace imgfleet::hostile
