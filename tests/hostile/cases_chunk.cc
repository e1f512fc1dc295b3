// Abuse of the chunked coding (RFC 9112 section 7.1).
#include "absl/strings/str_cat.h"
#include "tests/hostile/bodies.h"
#include "tests/hostile/case.h"

namespace imgfleet::hostile {
namespace {

const char kBroken[] = "the body broke off after";
const char kParser[] = "libcurl (chunk parser), fetch/reading.cc: OnEnd";

std::string Begin() { return Head("200 OK", {"Transfer-Encoding: chunked"}); }

Case Broken(std::string name, std::string sends, absl::string_view rest, After after = After::kHang) {
  return {.name = std::move(name),
          .sends = std::move(sends),
          .ends = Fails(Reason::PROTOCOL_ERROR, kBroken),
          .guard = kParser,
          .converse = Answers(absl::StrCat(Begin(), Chunk(Picture()), rest), after)};
}

}  // namespace

std::vector<Case> ChunkCases() {
  return {
      Broken("chunk-bad-hex", "a chunk size of \"zz\"", "zz\r\nabc\r\n0\r\n\r\n"),
      Broken("chunk-negative", "a chunk size of -5", "-5\r\nabcde\r\n0\r\n\r\n"),
      Broken("chunk-overflow", "a chunk size of 17 digits", "fffffffffffffffff\r\nabc"),
      Broken("chunk-overflow-64", "a chunk size of 2^64 - 1", "ffffffffffffffff\r\nabc"),
      Broken("chunk-missing-crlf", "a chunk that is followed by more of itself", "3\r\nabcdef\r\n0\r\n\r\n"),
      Broken("chunk-empty-size", "an empty line for a chunk size", "\r\n\r\n0\r\n\r\n"),
      Broken("chunk-no-last", "no last chunk, but the end of the connection", "", After::kClose),
      Broken("chunk-cut-in-size", "half a chunk size, then the end", "7d", After::kClose),
      Broken("chunk-cut-in-data", "half a chunk, then the end", "7d0\r\nabc", After::kClose),
      Broken("chunk-cut-before-trailer-end", "a last chunk without its blank line, then the end", "0\r\n",
             After::kClose),
      {.name = "chunk-of-63-bits",
       .sends = "one chunk of 2^63 - 1 bytes that never ends",
       .ends = Fails(Reason::BODY_TOO_LARGE, "the body is larger than the"),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = Floods(absl::StrCat(Begin(), "7fffffffffffffff\r\n", Picture()), std::string(1000, '\0'))},
      {.name = "chunk-0x",
       .sends = "a chunk size of \"0x7d0\"",
       .ends = Fails(Reason::PROTOCOL_ERROR, kBroken),
       .guard = "fetch/reading.cc: OnEnd",
       .converse = Answers(absl::StrCat(Begin(), "0x7d0\r\n", Picture(), "\r\n0\r\n\r\n"), After::kHang)},
      {.name = "chunk-endless-extension",
       .sends = "a chunk extension without end",
       .ends = Fails(Reason::STALLED, "the answer made no progress for"),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Drips(absl::StrCat(Begin(), "7d0;"), "extension")},
      {.name = "chunk-endless-extension-at-full-speed",
       .sends = "the same, as fast as it can",
       .ends = Fails(Reason::STALLED, "the answer made no progress for"),
       .guard = "fetch/attempts.cc: CheckRunning (stall)",
       .converse = Floods(absl::StrCat(Begin(), "7d0;"), "extension"),
       .floods = true},
      {.name = "chunk-endless-zeros",
       .sends = "a chunk size of zeros without end",
       .ends = Fails(Reason::PROTOCOL_ERROR, kBroken),
       .guard = "libcurl (at most 16 digits)",
       .converse = Floods(Begin(), "0")},
      {.name = "chunk-endless-trailers",
       .sends = "trailers without end behind the last chunk",
       .ends = Fails(Reason::PROTOCOL_ERROR, "the answer has more than 1000 headers"),
       .guard = "fetch/response_head.cc: Add",
       .converse = Floods(absl::StrCat(Begin(), Chunk(Picture()), "0\r\n"), "X-Trailer: value\r\n")},
      {.name = "chunk-endless-trailer-line",
       .sends = "one trailer without end",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "libcurl (4 KiB for a trailer)",
       .converse = Floods(absl::StrCat(Begin(), Chunk(Picture()), "0\r\nX-Trailer: "), "value")},
      {.name = "chunk-trailers-that-rewrite-the-head",
       .sends = "trailers that say another status, length, range and encoding",
       .ends = Measured(),
       .guard = "fetch/response_head.cc: Add (nothing counts behind the head)",
       .converse = Answers(absl::StrCat(Begin(), Chunk(Picture()),
                                        "0\r\nContent-Length: 7\r\nContent-Range: bytes 0-1/2\r\n"
                                        "Content-Encoding: br\r\nLocation: http://127.0.0.2/\r\n"
                                        "HTTP/1.1 302 Found: x\r\n\r\n"))},
      {.name = "chunk-of-one-byte-each",
       .sends = "two thousand chunks of one byte",
       .ends = Measured(),
       .guard = "none needed",
       .converse =
           [](Peer& peer) {
             std::string chunks;
             for (const char byte : Picture()) chunks += Chunk(std::string(1, byte));
             while (peer.Read() && peer.Send(absl::StrCat(Begin(), chunks, "0\r\n\r\n"))) continue;
           }},
      {.name = "chunk-transfer-gzip",
       .sends = "Transfer-Encoding: gzip, chunked",
       .ends = Measured(),
       .guard = "none needed: libcurl undoes it, and what comes out is counted",
       .converse = Answers(
           absl::StrCat(Head("200 OK", {"Transfer-Encoding: gzip, chunked"}), Chunked(Gzip(Picture()))))},
      {.name = "chunk-transfer-gzip-bomb",
       .sends = "Transfer-Encoding: gzip, chunked, of an image and 100 MB of zeros",
       .ends = Fails(Reason::BODY_TOO_LARGE, "the body is larger than the"),
       .guard = "fetch/reading.cc: OnWholeBytes",
       .converse = AnswersDear([] {
         return absl::StrCat(Head("200 OK", {"Transfer-Encoding: gzip, chunked"}),
                             Chunked(Gzip(Picture(100'000'000))));
       })},
      {.name = "chunk-transfer-unknown",
       .sends = "Transfer-Encoding: nonsense",
       .ends = Fails(Reason::PROTOCOL_ERROR, ""),
       .guard = "libcurl",
       .converse =
           Answers(absl::StrCat(Head("200 OK", {"Transfer-Encoding: nonsense"}), Picture()), After::kClose)},
  };
}

}  // namespace imgfleet::hostile
